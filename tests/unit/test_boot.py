"""What a node boots, judged in a directory that stands for its root; GRUB's menu as update-grub 2.12 writes it."""

from __future__ import annotations

import os
import subprocess
import time
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
    probed(tmp_path, "", "ext2")
    (tmp_path / "var/lib/provision").mkdir()
    environment = tmp_path / "boot/grub/grubenv"
    for name, key in (("grub-set-default", "saved_entry"), ("grub-reboot", "next_entry")):
        tool(tmp_path, name, f'sed -i "/^{key}=/d" "{environment}"; echo "{key}=$1" >>"{environment}"')
    environment.touch()
    return tmp_path


def tool(root: Path, name: str, body: str) -> None:
    (root / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
    (root / "bin" / name).chmod(0o755)


def probed(root: Path, abstraction: str, filesystem: str) -> None:
    tool(root, "grub-probe", f"case $1 in *abstraction) echo {abstraction} ;; *) echo {filesystem} ;; esac")


def guarded(root: Path, release: str) -> str:
    """What our script of /etc/grub.d writes, where the distribution's own writes `SAVED`."""
    (root / "grub.d").mkdir(exist_ok=True)
    (root / "saved").write_text(SAVED)
    (root / "grub.d/10_linux").write_text(f"#!/bin/sh\necho Found >&2\ncat {root}/saved\n")
    (root / "grub.d/10_linux").chmod(0o755)
    text = boot.trial_entry(release).replace("/etc/grub.d", f"{root}/grub.d").replace("-e /boot", f"-e {root}/boot")
    return subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True).stdout


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
        boot.tried(),
        boot.can_be_tried(NEW),
        boot.trial_entry(NEW),
        boot.dead_man(60),
        boot.prune(NEW, 1),
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
    (node / "boot/grub/grub.cfg").write_text(SAVED + guarded(node, NEW))
    (node / "boot/grub/grubenv").write_text(saved)
    result = run(node, boot.trial(NEW))
    assert result.stdout.splitlines()[-1:] == [f"the next boot tries {NEW}, once; after that {OLD}"], result.stderr
    written = set((node / "boot/grub/grubenv").read_text().splitlines())
    assert written == {f"saved_entry={entry(OLD)}", "next_entry=provision-trial"}


def test_the_running_kernel_is_not_tried_when_nothing_else_could_follow(node: Path) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED + guarded(node, OLD))
    result = run(node, boot.trial(OLD))
    assert result.returncode == 1
    assert "nothing to fall back to" in result.stderr
    assert (node / "boot/grub/grubenv").read_text() == ""


@pytest.mark.parametrize(
    ("abstraction", "filesystem", "reason"),
    [
        ("lvm", "ext2", "lies on lvm"),
        ("diskfilter mdraid1x", "ext2", "lies on diskfilter"),
        ("", "btrfs", "is btrfs"),
        ("", "zfs", "is zfs"),
    ],
)
def test_no_trial_where_grub_cannot_clear_a_one_time_entry(
    node: Path, abstraction: str, filesystem: str, reason: str
) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED + guarded(node, NEW))
    probed(node, abstraction, filesystem)
    result = run(node, boot.trial(NEW))
    assert (result.returncode, reason in result.stderr) == (1, True)
    assert (node / "boot/grub/grubenv").read_text() == ""
    asked = run(node, boot.can_be_tried(NEW))
    assert (asked.returncode, reason in asked.stdout) == (1, True)


def test_a_kernel_that_runs_by_default_needs_no_trial_anywhere(node: Path) -> None:
    probed(node, "lvm", "ext2")
    assert run(node, boot.can_be_tried(OLD)).stdout == f"kernel {OLD} runs already\n"


def test_a_trial_needs_its_guarded_entry(node: Path) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED + guarded(node, OLD))
    result = run(node, boot.trial(NEW))
    assert (result.returncode, "no guarded entry" in result.stderr) == (1, True)
    assert not (node / "var/lib/provision/trial").exists()


def test_the_guarded_entry_is_the_distributions_own_and_ends_in_a_reset(node: Path) -> None:
    lines = [line.strip() for line in guarded(node, NEW).splitlines()]
    assert lines[0] == f"menuentry 'Trial of {NEW} (provision)' $menuentry_id_option 'provision-trial' {{"
    assert lines[1] == "insmod reboot"
    (linux,) = (line for line in lines if "vmlinuz" in line)
    assert linux.startswith(f"if linux\t/boot/vmlinuz-{NEW} root=UUID={UUID} ro panic=")
    assert linux.endswith(" provision.trial; then")
    assert lines[-6:] == [f"if initrd\t/boot/initrd.img-{NEW}; then", "boot", "fi", "fi", "reboot", "}"]


def test_a_kernel_that_is_gone_has_no_guarded_entry(node: Path) -> None:
    assert guarded(node, "9.9.9") == ""


def test_the_guarded_entry_is_never_taken_for_the_kernels_own(node: Path) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED + guarded(node, NEW))
    assert run(node, boot.set_default(NEW)).returncode == 0
    assert (node / "boot/grub/grubenv").read_text() == f"saved_entry={entry(NEW)}\n"


@pytest.mark.parametrize(
    ("change", "now"),
    [
        ("true", "same"),
        (f"echo other >boot/vmlinuz-{NEW}", "changed"),
        (f"echo 070701 other >boot/initrd.img-{NEW}", "changed"),
        (f"rm boot/initrd.img-{NEW}", "changed"),
        ("sed -i 's/provision.trial;/more provision.trial;/' boot/grub/grub.cfg", "changed"),
        ("echo '# another comment' >>boot/grub/grub.cfg", "same"),
    ],
)
def test_the_node_knows_what_it_tried_and_whether_that_changed(node: Path, change: str, now: str) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED + guarded(node, NEW))
    assert run(node, boot.tried()).stdout == ""
    assert run(node, boot.trial(NEW)).returncode == 0
    subprocess.run(["sh", "-euc", change], cwd=node, check=True)
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert run(node, boot.tried()).stdout == f"{NEW}\t{boot_id}\t{now}\n"


def test_promotion_of_the_running_kernel_ends_the_dead_man(node: Path) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED)
    waiting = subprocess.Popen(["sleep", "600"])
    text = boot.set_default(OLD).replace(boot.DEAD_MAN, f"{node}/dead-man")
    (node / "dead-man").write_text(f"{waiting.pid}\n")
    try:
        assert run(node, boot.set_default(NEW).replace(boot.DEAD_MAN, f"{node}/dead-man")).returncode == 0
        assert waiting.poll() is None
        assert "is confirmed" in run(node, text).stdout
        assert waiting.wait(10) == -15
    finally:
        waiting.kill()


def test_the_dead_man_waits_for_nobody_on_a_kernel_that_is_not_on_trial(node: Path) -> None:
    text = boot.dead_man(1).replace("/proc/cmdline", f"{node}/cmdline").replace(boot.DEAD_MAN, f"{node}/dead-man")
    text = text.replace("/proc/sysrq-trigger", f"{node}/sysrq").replace("/dev/kmsg", f"{node}/kmsg")
    (node / "cmdline").write_text("root=/dev/vda ro\n")
    subprocess.run(["sh", "-c", text, "dead-man"], check=True)
    assert not (node / "dead-man").exists()
    (node / "cmdline").write_text("root=/dev/vda ro panic=10 provision.trial quiet\n")
    subprocess.run(["sh", "-c", text, "dead-man"], check=True)
    pid = int((node / "dead-man").read_text())
    deadline = time.monotonic() + 20
    while "b" not in ((node / "sysrq").read_text() if (node / "sysrq").exists() else ""):
        assert time.monotonic() < deadline, pid
        time.sleep(0.1)
    assert (node / "sysrq").read_text() == "s\nu\nb\n"
    assert "not confirmed in time" in (node / "kmsg").read_text()


def test_no_old_kernel_is_taken_off_before_the_new_one_is_the_default_and_runs(node: Path) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED)
    (node / "boot/grub/grubenv").write_text(f"saved_entry={entry(NEW)}\n")
    assert "does not run" in run(node, boot.prune(NEW, 1)).stderr
    (node / "boot/grub/grubenv").write_text(f"saved_entry={entry(NEW)}\n")
    assert "is not the default" in run(node, boot.prune(OLD, 1)).stderr


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
