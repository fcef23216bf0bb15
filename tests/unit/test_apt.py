"""apt and dpkg programs, run for real where no root is needed; recorded output of apt stands for an archive."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from provision.model import Package
from provision.platforms import apt, platform_for
from provision.platforms.shell import program

needs_dpkg = pytest.mark.skipif(shutil.which("apt-cache") is None, reason="needs apt")

FAILING = program("die 'it failed'\n")
WANTED = (Package(name="linux-image-1.2+deb0-amd64"), Package(name="libcuda1", version="55.1-*"))

# `apt-cache policy` of Debian 13, versions changed.
POLICY = """\
libcuda1:
  Installed: {installed}
  Candidate: 55.2-1
  Version table:
     55.2-1 500
        500 http://archive.example/debian trixie/non-free amd64 Packages
 {mark} 55.1-2 500
        500 http://archive.example/debian trixie/non-free amd64 Packages
        100 /var/lib/dpkg/status
     55.1-1 -1
         -1 http://archive.example/debian trixie/non-free amd64 Packages
"""
INSTALLED = POLICY.format(installed="55.1-2", mark="***")
ABSENT = POLICY.format(installed="(none)", mark="   ")


def run(text: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    search = f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]
    environment = os.environ | {"PATH": search, "LC_ALL": "C"}
    return subprocess.run(["sh", "-euc", text], capture_output=True, text=True, env=environment, check=False)


def replay(path: Path, name: str, output: str) -> None:
    """A program that answers with recorded output."""
    (path / f"{name}.txt").write_text(output)
    (path / name).write_text(f'#!/bin/sh\ncat "{path}/{name}.txt"\n')
    (path / name).chmod(0o755)


@pytest.mark.parametrize(
    "text",
    [
        apt.transaction(WANTED, ["libcuda1"]),
        apt.consistent(),
        apt.locks_free(),
        apt.chosen(WANTED),
        apt.offers(["linux-image-*+deb?-amd64"]),
        apt.sources_unmixed(["libnvidia-.*"]),
    ],
)
def test_every_program_is_posix_shell(text: str) -> None:
    assert subprocess.run(["dash", "-n"], input=text, capture_output=True, text=True, check=False).stderr == ""


def test_a_value_never_becomes_program(tmp_path: Path) -> None:
    value = f"'; touch {tmp_path}/a; $(touch {tmp_path}/b) `touch {tmp_path}/c` \"\n\\"
    assert run(program('printf %s "$value"\n', value=value)).stdout == value
    assert list(tmp_path.iterdir()) == []


def test_the_last_words_of_a_program_do_not_end_the_text_around_it() -> None:
    around = run(f"if {FAILING.strip()}; then echo yes; else echo no; fi")
    assert (around.stdout, around.stderr) == ("no\n", "it failed\n")


def test_a_transaction_needs_packages() -> None:
    with pytest.raises(ValueError, match="without packages"):
        apt.transaction([])


@pytest.mark.parametrize(
    ("policy", "pattern", "chosen"),
    [
        (INSTALLED, "*", "55.1-2"),
        (INSTALLED, "55.1-*", "55.1-2"),
        (INSTALLED, "55.2-*", "55.2-1"),
        (ABSENT, "*", "55.2-1"),
        (ABSENT, "55.1-*", "55.1-2"),
        (ABSENT, "55.1-1", "55.1-1"),
        (ABSENT, "55", ""),
        ("", "*", ""),
        ("libcuda1:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n", "*", ""),
    ],
    ids=[
        "what is installed stays",
        "what is installed and matches stays",
        "what is installed but does not match moves",
        "a star takes what the archive prefers",
        "a pattern takes the newest that matches",
        "an exact version, even one pinned away",
        "a pattern is no prefix",
        "an unknown package",
        "a name without versions",
    ],
)
def test_which_version_is_chosen(tmp_path: Path, policy: str, pattern: str, chosen: str) -> None:
    replay(tmp_path, "apt-cache", policy)
    result = run(program(apt._OFFERS, 'choose libcuda1 "$pattern"\n', pattern=pattern), tmp_path)
    assert (result.stdout.strip(), result.returncode) == (chosen, 0 if chosen else 1)


@pytest.mark.parametrize(
    ("states", "evidence"),
    [
        ("ii |dpkg\nhi |libcuda1\nrc |old-thing\n", "dpkg is consistent"),
        ("ii |dpkg\niF |linux-image\nhU |headers\n", "dpkg left unfinished: linux-image (iF), headers (hU)"),
        ("iHR|linux-image\n", "dpkg left unfinished: linux-image (iHR)"),
        ("iiR|linux-image\n", "dpkg left unfinished: linux-image (iiR)"),
        ("it |man-db\n", "dpkg left unfinished: man-db (it)"),
    ],
)
def test_consistency_of_dpkg(tmp_path: Path, states: str, evidence: str) -> None:
    replay(tmp_path, "dpkg-query", states)
    replay(tmp_path, "dpkg", "")
    result = run(apt.consistent().replace("/var/lib/dpkg", str(tmp_path)), tmp_path)
    assert (result.stdout.strip(), result.returncode) == (evidence, 0 if "is consistent" in evidence else 1)


def installed(path: Path, origins: dict[str, str]) -> None:
    """Packages that are installed, each from an archive of this origin."""
    replay(path, "dpkg-query", "ii |dpkg\n" + "".join(f"hi |{name}\n" for name in origins))
    sources = "Package files:\n 100 /var/lib/dpkg/status\n     release a=now\n"
    for number, (name, origin) in enumerate(origins.items()):
        source = f"http://{number}.example/ x amd64 Packages"
        sources += f" 500 {source}\n     release v=13,o={origin},a=stable\n     origin {number}.example\n"
        table = f"{name}:\n  Installed: 1\n  Candidate: 1\n  Version table:\n *** 1 500\n        500 {source}\n"
        (path / name).write_text(table)
    (path / "sources").write_text(f"{sources}Pinned packages:\n")
    (path / "apt-cache").write_text(f'#!/bin/sh\nshift\ncd "{path}" && cat ${{@:-sources}}\n')
    (path / "apt-cache").chmod(0o755)


@pytest.mark.parametrize(
    ("second_origin", "holds"), [("Debian", True), ("NVIDIA", False)], ids=["one archive", "two archives"]
)
def test_parts_of_one_driver_from_two_archives_are_refused(tmp_path: Path, second_origin: str, holds: bool) -> None:
    installed(tmp_path, {"libcuda1": "Debian", "nvidia-smi": second_origin})
    result = run(apt.sources_unmixed(["libcuda.*", "nvidia-.*"]), tmp_path)
    assert result.returncode == (0 if holds else 1), result.stdout
    assert holds or {"libcuda1 from Debian", "nvidia-smi from NVIDIA"} == set(result.stdout.strip().split(", "))


@pytest.mark.parametrize(
    ("theirs", "holds"),
    [("libnvidia-compute-580", False), ("nvidia-open", False), ("nvidia-modprobe", True), ("cuda-toolkit-13-0", True)],
)
def test_a_part_of_nvidias_driver_beside_ubuntus_is_refused(tmp_path: Path, theirs: str, holds: bool) -> None:
    installed(tmp_path, {"libnvidia-compute-580-server": "Ubuntu", theirs: "NVIDIA"})
    result = run(platform_for("ubuntu24.04", "x86_64").driver_sources_unmixed(), tmp_path)
    assert result.returncode == (0 if holds else 1), result.stdout


@needs_dpkg
def test_a_driver_of_the_run_installer_is_refused(tmp_path: Path) -> None:
    uninstaller = tmp_path / "nvidia-uninstall"
    uninstaller.touch()
    result = run(apt.sources_unmixed(["libcuda1"]).replace("/usr/bin/nvidia-uninstall", str(uninstaller)))
    assert result.returncode == 1
    assert "belongs to no package" in result.stderr


@needs_dpkg
def test_an_installed_package_is_chosen_as_it_is() -> None:
    installed = run("dpkg-query -W -f '${Version}' dpkg").stdout
    assert run(apt.chosen([Package(name="dpkg")])).stdout == f"dpkg={installed}\n"


def test_a_version_that_the_archive_has_dropped_is_told_with_how_to_choose_anew(tmp_path: Path) -> None:
    """No package manager is asked: what stands in for it answers as an archive that has a newer version only."""
    replay(tmp_path, "apt-cache", POLICY.format(installed="(none)", mark="   "))
    for name in ("apt-get", "apt-mark", "dpkg", "dpkg-query"):
        replay(tmp_path, name, "")
    replay(tmp_path, "apt-config", f"lists='{tmp_path}/lists_'")
    (tmp_path / "lists_main_Packages").touch()
    text = apt.transaction([Package(name="libcuda1", version="54.*")]).replace(
        "/var/lib/provision", f"{tmp_path}/state"
    )
    done = run(text.replace("path=$held_back:", f"path={tmp_path}:$held_back:"), tmp_path)
    assert done.returncode == 1
    assert "no version of libcuda1 matches 54.*; offered: 55.2-1, 55.1-2, 55.1-1. " in done.stderr
    assert "`provision apply --refresh` chooses anew" in done.stderr


@needs_dpkg
def test_what_nobody_offers_is_named() -> None:
    result = run(apt.chosen([Package(name="dpkg"), Package(name="no-such-package", version="1-*")]))
    assert result.returncode == 1
    assert result.stderr.startswith("no version of no-such-package matches 1-*; offered:")


@needs_dpkg
def test_only_names_that_match_are_listed() -> None:
    lines = run(apt.offers(["dpk?", "no.such+package*"])).stdout.splitlines()
    assert all(line.split("\t")[0].startswith("dpk") for line in lines)


@pytest.mark.parametrize("glob", ["$(reboot)", "a b", "Nvidia*", "", "a|b"])
def test_a_glob_is_checked(glob: str) -> None:
    with pytest.raises(ValueError, match="not a glob"):
        apt.offers([glob])


def test_the_holder_of_a_lock_is_named(tmp_path: Path) -> None:
    text = apt.locks_free().replace("/var/lib/dpkg/lock-frontend", str(tmp_path / "lock"))
    lock = (tmp_path / "lock").open("w")
    before = run(text)
    fcntl.lockf(lock, fcntl.LOCK_EX)
    held = run(text)
    lock.close()
    assert (before.returncode, held.returncode) == (0, 1)
    assert held.stdout.startswith(f"{tmp_path}/lock is held by ")
    assert f"(pid {os.getpid()})" in held.stdout


def test_images_and_menus_are_held_back_but_nothing_else(tmp_path: Path) -> None:
    replay(tmp_path, "update-initramfs", "the real one")
    body = 'hold_back\nPATH=$path\nupdate-initramfs "$@"\nupdate-grub\n'
    text = program(apt._HOLD_BACK, body)
    text = text.replace("/usr/sbin/update-initramfs", f"{tmp_path}/update-initramfs")
    text = text.replace("/var/lib/provision", f"{tmp_path}/state")
    for arguments, answer in [("-u", "held back"), ("-c -k 1.2+deb0", "held back"), ("-d -k 1.2+deb0", "the real one")]:
        result = run(f"set -- {arguments}\n{text}")
        assert answer in result.stdout.splitlines()[0], result
        assert "update-grub: held back" in result.stdout
    assert not (tmp_path / "state/held-back").exists()
