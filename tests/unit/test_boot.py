"""What a node boots, judged in a directory that stands for its root; GRUB's menu as update-grub 2.12 writes it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from provision.platforms import boot

OLD, NEW, UUID = "1.2.9+deb0-amd64", "1.2.10+deb0-amd64", "f6f3e21d-712d-4573-a1fc-fc5f232df9ae"


def menu_entry(title: str, name: str, release: str) -> str:
    return f"""\
menuentry '{title}' --class debian --class os $menuentry_id_option '{name}-{UUID}' {{
	load_video
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	echo	'Loading Linux {release} ...'
	linux	/boot/vmlinuz-{release} root=UUID={UUID} ro
	initrd	/boot/initrd.img-{release}
}}
"""


def menu(default: str) -> str:
    title = "Debian GNU/Linux"
    advanced = "".join(
        menu_entry(f"{title}, with Linux {release}{mode}", f"gnulinux-{release}-{kind}", release)
        for release in (NEW, OLD)
        for kind, mode in (("advanced", ""), ("recovery", " (recovery mode)"))
    )
    return f"""\
if [ "${{next_entry}}" ] ; then
   set default="${{next_entry}}"
else
   set default="{default}"
fi
function load_video {{
  insmod all_video
}}
{menu_entry(title, "gnulinux-simple", NEW)}submenu 'Advanced options for {title}' \
$menuentry_id_option 'gnulinux-advanced-{UUID}' {{
{advanced}}}
if [ "$grub_platform" = "efi" ]; then
		menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {{
			fwsetup
		}}
fi
"""


SAVED = menu("${saved_entry}")


def entry(release: str) -> str:
    return f"gnulinux-advanced-{UUID}>gnulinux-{release}-advanced-{UUID}"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A root with two complete kernels, a consistent dpkg, and stand-ins for GRUB's tools."""
    for release in (OLD, NEW):
        (tmp_path / "lib/modules" / release).mkdir(parents=True)
        (tmp_path / "lib/modules" / release / "modules.dep").write_text("x:")
        (tmp_path / "boot/grub").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"boot/vmlinuz-{release}").write_text("kernel")
        (tmp_path / f"boot/initrd.img-{release}").write_bytes(b"070701 and so on")
    (tmp_path / "vmlinuz").symlink_to(f"boot/vmlinuz-{OLD}")
    (tmp_path / "initrd.img").symlink_to(f"boot/initrd.img-{OLD}")
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    tool(tmp_path, "dpkg-query", "echo 'ii |dpkg'")
    tool(tmp_path, "dpkg", "")
    tool(tmp_path, "uname", f"echo {OLD}")
    environment = tmp_path / "boot/grub/grubenv"
    for name, key in (("grub-set-default", "saved_entry"), ("grub-reboot", "next_entry")):
        tool(tmp_path, name, f'sed -i "/^{key}=/d" "{environment}"; echo "{key}=$1" >>"{environment}"')
    environment.touch()
    return tmp_path


def tool(root: Path, name: str, body: str) -> None:
    (root / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
    (root / "bin" / name).chmod(0o755)


def run(root: Path, text: str) -> subprocess.CompletedProcess[str]:
    for place in ("/boot/", "/lib/modules", "/var/lib", "/vmlinuz /", "/initrd.img /"):
        text = text.replace(f" {place}", f" {root}{place}").replace(f'"{place}', f'"{root}{place}')
        text = text.replace(f"={place}", f"={root}{place}")
    environment = os.environ | {"PATH": f"{root}/bin:{os.environ['PATH']}", "LC_ALL": "C"}
    return subprocess.run(["sh", "-euc", text], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    "text",
    [
        boot.initrd(NEW),
        boot.complete(),
        boot.boot_menu(),
        boot.default_release(),
        boot.set_default(NEW),
        boot.trial(NEW),
        boot.withdraw(NEW),
    ],
)
def test_every_program_is_posix_shell(text: str) -> None:
    assert subprocess.run(["dash", "-n"], input=text, capture_output=True, text=True, check=False).stderr == ""


def test_a_value_never_becomes_program(node: Path) -> None:
    result = run(node, boot.initrd(f"x'; touch {node}/a; $(touch {node}/b)"))
    assert result.returncode == 1
    assert "is not installed" in result.stderr
    assert not {"a", "b"} & {path.name for path in node.iterdir()}


def test_two_complete_kernels(node: Path) -> None:
    result = run(node, boot.complete())
    assert (result.returncode, result.stdout) == (
        0,
        f"2 kernel(s) in /boot, each with initrd and modules: {OLD} {NEW}\n",
    )


@pytest.mark.parametrize(
    ("harm", "first_offender"),
    [
        (f"rm boot/initrd.img-{NEW}", f"boot/vmlinuz-{NEW} has no "),
        (f": >boot/initrd.img-{NEW}", f"boot/vmlinuz-{NEW} has no "),
        (f"head -c 9000 /dev/zero >boot/initrd.img-{NEW}", f"boot/initrd.img-{NEW} is not an initrd"),
        (f"rm lib/modules/{NEW}/modules.dep", f"kernel {NEW} has no "),
        ("ln -sfn boot/gone vmlinuz", "vmlinuz points to boot/gone, which is not there"),
        ("rm boot/vmlinuz-* boot/initrd.img-*", "there is no kernel in /boot"),
        ("printf '#!/bin/sh\\necho \"iF |linux-image\"\\n' >bin/dpkg-query", "dpkg left unfinished: linux-image (iF)"),
    ],
)
def test_the_first_thing_that_would_not_boot_is_named(node: Path, harm: str, first_offender: str) -> None:
    subprocess.run(["sh", "-euc", harm], cwd=node, check=True)
    result = run(node, boot.complete())
    assert result.returncode == 1
    assert first_offender in result.stdout
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("grub_cfg", "saved", "release"),
    [
        ("", "", OLD),
        (menu("0"), entry(OLD), NEW),
        (menu("1>2"), "", OLD),
        (menu(entry(OLD)), "", OLD),
        (SAVED, "", NEW),
        (SAVED, entry(OLD), OLD),
        (SAVED, "1>2", OLD),
        (SAVED, f"Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux {OLD}", OLD),
        (SAVED, f"gnulinux-advanced-{UUID}", NEW),
        (SAVED, entry("9.9.9"), NEW),
        (SAVED, f"gnulinux-{OLD}-advanced-{UUID}", NEW),
    ],
    ids=[
        "no menu: the link",
        "a menu that does not follow the saved entry",
        "by number",
        "by id",
        "nothing saved: the newest",
        "saved by id",
        "saved by number",
        "saved by title",
        "a submenu: its first",
        "an entry that is gone: the first",
        "an id without its submenu: the first",
    ],
)
def test_what_boots_by_default(node: Path, grub_cfg: str, saved: str, release: str) -> None:
    (node / "boot/grub/grub.cfg").write_text(grub_cfg)
    (node / "boot/grub/grubenv").write_text(f"# GRUB Environment Block\nsaved_entry={saved}\n####")
    result = run(node, boot.default_release())
    assert (result.stdout.strip(), result.stderr) == (release, "")


def test_a_default_is_set_by_the_entry_that_keeps_its_kernel(node: Path) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED)
    result = run(node, boot.set_default(NEW))
    assert result.returncode == 0, result.stderr
    assert (node / "boot/grub/grubenv").read_text() == f"saved_entry={entry(NEW)}\n"


@pytest.mark.parametrize(
    ("grub_cfg", "release", "reason"),
    [
        (menu("0"), NEW, "set GRUB_DEFAULT=saved"),
        (SAVED, "9.9.9", "no entry for kernel 9.9.9"),
        ("", NEW, "there is no boot menu"),
    ],
)
def test_a_default_that_would_not_hold_is_refused(node: Path, grub_cfg: str, release: str, reason: str) -> None:
    (node / "boot/grub/grub.cfg").write_text(grub_cfg)
    result = run(node, boot.set_default(release))
    assert result.returncode == 1
    assert reason in result.stderr
    assert (node / "boot/grub/grubenv").read_text() == ""


@pytest.mark.parametrize(
    "saved", ["", f"saved_entry={entry(OLD)}\n", f"saved_entry={entry(NEW)}\n"], ids=["nothing", "the old", "the new"]
)
def test_a_trial_falls_back_to_a_saved_kernel_that_is_not_the_tried_one(node: Path, saved: str) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED)
    (node / "boot/grub/grubenv").write_text(saved)
    result = run(node, boot.trial(NEW))
    assert result.stdout.splitlines()[-1] == f"the next boot tries {NEW}, once; after that {OLD}", result.stderr
    written = set((node / "boot/grub/grubenv").read_text().splitlines())
    assert written == {f"saved_entry={entry(OLD)}", f"next_entry={entry(NEW)}"}


def test_the_running_kernel_is_not_tried_when_nothing_else_could_follow(node: Path) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED)
    result = run(node, boot.trial(OLD))
    assert result.returncode == 1
    assert "nothing to fall back to" in result.stderr
    assert (node / "boot/grub/grubenv").read_text() == ""


def test_no_menu_is_written_for_a_kernel_that_cannot_boot(node: Path) -> None:
    tool(node, "update-grub", f"touch {node}/written")
    (node / f"boot/initrd.img-{NEW}").unlink()
    result = run(node, boot.boot_menu())
    assert result.returncode == 1
    assert result.stderr.startswith("no boot menu is written: ")
    assert not (node / "written").exists()


def test_a_first_menu_keeps_the_running_kernel_the_default(node: Path) -> None:
    (node / "menu").write_text(SAVED)
    tool(node, "update-grub", f"cp {node}/menu {node}/boot/grub/grub.cfg")
    result = run(node, boot.boot_menu())
    assert result.returncode == 0, result.stderr
    assert (node / "boot/grub/grubenv").read_text() == f"saved_entry={entry(OLD)}\n"


def test_an_image_is_built_for_the_kernel_and_for_those_that_lack_one(node: Path) -> None:
    (node / f"boot/initrd.img-{OLD}").unlink()
    tool(node, "update-initramfs", f'echo "$*" >>{node}/calls; sleep 0.01; echo 070701 >{node}/boot/initrd.img-$3')
    result = run(node, boot.initrd(NEW))
    assert result.returncode == 0, result.stderr
    assert (node / "calls").read_text() == f"-u -k {NEW}\n-c -k {OLD}\n"


def test_success_without_a_new_image_is_not_believed(node: Path) -> None:
    tool(node, "update-initramfs", "echo Not updating")
    result = run(node, boot.initrd(NEW))
    assert result.returncode == 1
    assert "is not new" in result.stderr


def test_the_survivor_is_the_default_then_the_running_kernel_then_the_newest(node: Path) -> None:
    functions = boot.withdraw("9.9.9").split("\nother_images ")[0]
    assert run(node, functions + "\nsurvivor\n)").stdout == OLD
    (node / "vmlinuz").unlink()
    (node / "vmlinuz").symlink_to(f"boot/vmlinuz-{NEW}")
    assert run(node, functions + "\nsurvivor\n)").stdout == NEW
    (node / f"boot/initrd.img-{NEW}").unlink()
    assert run(node, functions + "\nsurvivor\n)").stdout == OLD
