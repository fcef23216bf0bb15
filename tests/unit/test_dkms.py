"""DKMS programs, run for real where no root is needed; recorded output stands for dkms and modinfo."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.platforms import dkms
from provision.platforms.shell import program

RELEASE = "1.2.3+deb0-amd64"
TINY = dkms.Wanted("tiny", "1.0", RELEASE, ("tiny",), "*GPL*")

# Lines of make.log of Debian 13's dkms, as gcc and modpost write them.
COMPILER = """\
DKMS (dkms) make.log for tiny/1.0 for kernel 1.2.3+deb0-amd64 (x86_64)
  CC [M]  tiny.o
/var/lib/dkms/tiny/1.0/build/tiny.c: In function 'tiny_init':
/var/lib/dkms/tiny/1.0/build/tiny.c:3:44: error: too few arguments to function 'pci_resize_resource'
/var/lib/dkms/tiny/1.0/build/other.c:9:1: error: unknown type name 'foo'
make[3]: *** [/usr/src/linux-headers/scripts/Makefile.build:234: tiny.o] Error 1
"""
HEADER = "tiny.c:1:10: fatal error: linux/nosuch.h: No such file or directory\nmake: *** [Makefile:2: all] Error 2\n"
MODPOST = 'ERROR: modpost: "ib_register" [tiny.ko] undefined!\nmake: *** [Makefile:2: all] Error 2\n'
MAKE = "  CC [M] error_handling.o\nmake: *** [Makefile:2: all] Error 2\n"

MODINFO = """\
filename:       /lib/modules/x/updates/dkms/tiny.ko.xz
version:        1.0
license:        Dual MIT/GPL
vermagic:       {release} SMP preempt mod_unload modversions
"""


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
        dkms.build("tiny", "1.0", RELEASE, ["/usr/src/ofa_kernel/default/Module.symvers"]),
        dkms.first_error("tiny", "1.0"),
        dkms.built(TINY),
        dkms.known(TINY),
        dkms.keep_verdict(TINY),
    ],
)
def test_every_program_is_posix_shell(text: str) -> None:
    assert subprocess.run(["dash", "-n"], input=text, capture_output=True, text=True, check=False).stderr == ""


def test_a_value_never_becomes_program(tmp_path: Path) -> None:
    evil = f"x'; touch {tmp_path}/a; $(touch {tmp_path}/b)"
    result = run(dkms.build(evil, evil, evil, [evil]))
    assert result.returncode == 1
    assert f"the source of {evil}/{evil} is not on this node" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("log", "error"),
    [
        (COMPILER, COMPILER.splitlines()[3]),
        (HEADER, HEADER.splitlines()[0]),
        (MODPOST, MODPOST.splitlines()[0]),
        (MAKE, MAKE.splitlines()[1]),
        ("", "no compiler error is logged"),
    ],
    ids=["compiler", "header", "modpost", "make", "nothing"],
)
def test_the_first_error_of_a_log(tmp_path: Path, log: str, error: str) -> None:
    log_file = Path(dkms.log_glob("tiny", "1.0").replace("/var/lib/dkms", str(tmp_path)))
    log_file.parent.mkdir(parents=True)
    log_file.write_text(log)
    assert run(dkms.first_error("tiny", "1.0").replace("/var/lib/dkms", str(tmp_path))).stdout.strip() == error


def installed_module(root: Path, modinfo: str, status: str) -> Path:
    """A node on which dkms has installed tiny.ko.xz, and says `status`."""
    modules = root / "modules" / RELEASE
    (modules / "updates/dkms").mkdir(parents=True)
    (modules / "updates/dkms/tiny.ko.xz").write_text("a module")
    (modules / "modules.dep").write_text("updates/dkms/tiny.ko.xz:\n")
    replay(root, "modinfo", modinfo)
    replay(root, "dkms", status)
    return modules


def judged(
    root: Path, program: Callable[[dkms.Wanted], str] = dkms.built, wanted: dkms.Wanted = TINY
) -> subprocess.CompletedProcess[str]:
    text = program(wanted).replace("/lib/modules", f"{root}/modules").replace("/var/lib/dkms", f"{root}/dkms-tree")
    for place in ("/sys/", "/etc/", "/var/lib/shim-signed/"):
        text = text.replace(f" {place}", f" {root}{place}").replace(f"={place}", f"={root}{place}")
    return run(text, root)


INSTALLED = f"tiny/1.0, {RELEASE}, x86_64: installed\n"
GOOD = MODINFO.format(release=RELEASE)


def test_an_installed_module_is_told_with_its_licence(tmp_path: Path) -> None:
    installed_module(tmp_path, GOOD, INSTALLED)
    result = judged(tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"tiny/1.0 is installed for kernel {RELEASE}: 1 modules, licence Dual MIT/GPL\n"


@pytest.mark.parametrize(("licence", "holds"), [("NVIDIA", True), ("Dual*", False)])
def test_the_first_module_tells_the_flavour(tmp_path: Path, licence: str, holds: bool) -> None:
    """Licences of Debian's proprietary modules: NVIDIA for the first, MIT and others for those beside it."""
    modules = installed_module(tmp_path, "", INSTALLED)
    (modules / "updates/dkms/tiny-drm.ko.xz").write_text("a module")
    (modules / "modules.dep").write_text(
        "updates/dkms/tiny.ko.xz:\nupdates/dkms/tiny-drm.ko.xz: updates/dkms/tiny.ko.xz\n"
    )
    first, other = (GOOD.replace("Dual MIT/GPL", told) for told in ("NVIDIA", "MIT"))
    (tmp_path / "modinfo").write_text(f"#!/bin/sh\ncase $1 in *-drm*) echo '{other}' ;; *) echo '{first}' ;; esac\n")
    result = judged(tmp_path, wanted=TINY._replace(files=("tiny", "tiny-drm"), licence=licence))
    assert (result.returncode == 0) is holds, result.stderr
    assert "2 modules, licence NVIDIA" in result.stdout or "has licence NVIDIA, not Dual*" in result.stderr


@pytest.mark.parametrize(
    ("modinfo", "status", "reason"),
    [
        (GOOD, f"tiny/1.0, {RELEASE}, x86_64: built\n", "is not installed for kernel"),
        (GOOD, "tiny/1.0: added\n", "is not installed for kernel"),
        (GOOD, "", "dkms status: nothing"),
        (GOOD, INSTALLED.strip() + " (Differences between built and installed modules)\n", "Differences between"),
        (MODINFO.format(release="1.2.4+deb0-amd64"), INSTALLED, "is built for kernel 1.2.4+deb0-amd64, not for"),
        (MODINFO.format(release=RELEASE + "0"), INSTALLED, f"is built for kernel {RELEASE}0, not for"),
        ("", INSTALLED, "is not a kernel module"),
        (GOOD.replace("1.0", "1.1"), INSTALLED, "is version 1.1, not 1.0"),
        (GOOD.replace("Dual MIT/GPL", "NVIDIA"), INSTALLED, "has licence NVIDIA, not *GPL*"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(tmp_path: Path, modinfo: str, status: str, reason: str) -> None:
    installed_module(tmp_path, modinfo, status)
    result = judged(tmp_path)
    assert result.returncode == 1
    assert reason in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("gone", "reason"),
    [("updates/dkms/tiny.ko.xz", "there is no tiny.ko"), ("modules.dep", "depmod does not know")],
)
def test_dkms_is_not_believed(tmp_path: Path, gone: str, reason: str) -> None:
    modules = installed_module(tmp_path, GOOD, INSTALLED)
    (modules / gone).write_text("") if gone == "modules.dep" else (modules / gone).unlink()
    result = judged(tmp_path)
    assert result.returncode == 1
    assert reason in result.stderr


def test_an_empty_module_is_a_missing_one(tmp_path: Path) -> None:
    modules = installed_module(tmp_path, GOOD, INSTALLED)
    (modules / "updates/dkms/tiny.ko.xz").write_text("")
    assert "is missing or empty" in judged(tmp_path).stdout


def test_a_build_without_files_proves_nothing() -> None:
    with pytest.raises(ValueError, match="proves nothing"):
        dkms.built(TINY._replace(files=()))


MACHINE = os.uname().machine
VERDICT = f"dkms-tree/tiny/1.0/{RELEASE}/{MACHINE}/verdict"
MODULE = f"modules/{RELEASE}/updates/dkms/tiny.ko.xz"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A node with a kept verdict, on which neither dkms nor modinfo answers any more."""
    installed_module(tmp_path, GOOD, INSTALLED)
    tree = tmp_path / "dkms-tree/tiny"
    (tree / "1.0" / RELEASE / MACHINE / "module").mkdir(parents=True)
    (tree / "1.0" / RELEASE / MACHINE / "module/tiny.ko.xz").write_text("a module")
    (tree / "1.0/source").mkdir()
    (tree / "1.0/source/dkms.conf").touch()
    (tree / f"kernel-{RELEASE}-{MACHINE}").symlink_to(f"1.0/{RELEASE}/{MACHINE}")
    kept = judged(tmp_path, dkms.keep_verdict)
    assert (kept.returncode, kept.stdout, kept.stderr) == (0, "", "")
    replay(tmp_path, "dkms", "dkms was asked\n")
    replay(tmp_path, "modinfo", "")
    return tmp_path


def test_a_kept_verdict_stands_while_nothing_that_it_is_about_changes(known: Path) -> None:
    result = judged(known)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"tiny/1.0 is installed for kernel {RELEASE}: 1 modules, licence Dual MIT/GPL\n"
    assert judged(known, dkms.known).returncode == 0


@pytest.mark.parametrize(
    "harm",
    [
        f"echo more >>{MODULE}",
        f": >{MODULE}",
        f"rm {MODULE}",
        f"mv {MODULE} {MODULE}.other",
        f"echo more >>dkms-tree/tiny/1.0/{RELEASE}/{MACHINE}/module/tiny.ko.xz",
        f"rm dkms-tree/tiny/kernel-{RELEASE}-{MACHINE}",
        f"mkdir -p dkms-tree/tiny/1.1/{RELEASE}/{MACHINE}; "
        f"ln -sfn 1.1/{RELEASE}/{MACHINE} dkms-tree/tiny/kernel-{RELEASE}-{MACHINE}",
        f"rm -r dkms-tree/tiny/1.0/{RELEASE}",
        "rm -r dkms-tree/tiny/1.0/source",
        f": >modules/{RELEASE}/modules.dep",
        f"rm modules/{RELEASE}/modules.dep",
        f"echo extra/tiny.ko.xz: >modules/{RELEASE}/modules.dep",
        f"rm {VERDICT}",
        f": >{VERDICT}",
        f"sed -i '3,$d' {VERDICT}",
        f"echo x >>{VERDICT}; sed -i s/^[0-9a-f]/x/ {VERDICT}",
    ],
)
def test_whatever_changes_is_judged_anew(known: Path, harm: str) -> None:
    subprocess.run(["sh", "-euc", harm], cwd=known, check=True)
    assert "dkms was asked" in judged(known).stderr
    assert judged(known, dkms.known).returncode == 1


def test_another_question_is_judged_anew(known: Path) -> None:
    assert "dkms was asked" in judged(known, wanted=TINY._replace(licence="NVIDIA")).stderr
    assert "dkms was asked" in judged(known, wanted=TINY._replace(files=("tiny", "other"))).stderr


def test_a_bad_verdict_is_never_kept_and_takes_a_good_one_away(known: Path) -> None:
    replay(known, "dkms", INSTALLED)
    replay(known, "modinfo", GOOD.replace("Dual MIT/GPL", "NVIDIA"))
    assert judged(known, dkms.keep_verdict).returncode == 0
    assert not (known / VERDICT).exists()


def test_a_build_is_due_again_when_what_it_is_made_from_changes(tmp_path: Path) -> None:
    source, headers, symvers = tmp_path / "src/tiny-1.0", tmp_path / f"modules/{RELEASE}/build", tmp_path / "symvers"
    (headers / "include/config").mkdir(parents=True)
    source.mkdir(parents=True)
    (source / "tiny.c").write_text("int x;")
    (headers / "include/config/auto.conf").write_text('CONFIG_CC_VERSION_TEXT="gcc (Debian) 1.2.3"\n')
    values = {"module": "tiny", "version": "1.0", "release": RELEASE, "inputs": str(symvers)}
    functions = dkms._BUILD.split("\n[ -d ")[0]
    text = program(dkms._TREE, functions, "\ninputs_digest\n", **values)
    text = text.replace("/usr/src", f"{tmp_path}/src").replace("/lib/modules", f"{tmp_path}/modules")

    def digest() -> str:
        result = run(text)
        assert result.returncode == 0, result.stderr
        return result.stdout

    digests = [digest()]
    assert digest() == digests[0]
    for file in (source / "tiny.c", source / "new.h", headers / "Module.symvers", symvers):
        file.write_text("changed")
        digests.append(digest())
    assert len(set(digests)) == len(digests)
