"""What a node boots, judged in a directory that stands for its root; GRUB's menu as update-grub 2.12 writes it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from provision.platforms import boot, kernel_removal, trial_boot

OLD, NEW, UUID = "1.2.9+deb0-amd64", "1.2.10+deb0-amd64", "f6f3e21d-712d-4573-a1fc-fc5f232df9ae"


GIVEN = "@given@"
"""Where 10_linux of GRUB 2.12 writes GRUB_CMDLINE_LINUX_DEFAULT."""


def menu_entry(title: str, name: str, release: str) -> str:
    return f"""\
menuentry '{title}' --class debian --class os $menuentry_id_option '{name}-{UUID}' {{
	load_video
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	echo	'Loading Linux {release} ...'
	linux	/boot/vmlinuz-{release} root=UUID={UUID} ro {"single" if "recovery" in name else GIVEN}
	initrd	/boot/initrd.img-{release}
}}
"""


def menu(default: str, given: str = "") -> str:
    return template(default).replace(f" {GIVEN}", given and f" {given}")


def template(default: str) -> str:
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
    (tmp_path / "cmdline").write_text("BOOT_IMAGE=/boot/vmlinuz ro quiet\n")
    (tmp_path / "var/lib/provision").mkdir()
    tool(tmp_path, "grub-script-check", "cat >/dev/null")
    environment = tmp_path / "boot/grub/grubenv"
    tool(tmp_path, "grub-editenv", '[ "$2" = unset ] && sed -i "/^$3=/d" "$1"')
    for name, key in (("grub-set-default", "saved_entry"), ("grub-reboot", "next_entry")):
        tool(tmp_path, name, f'sed -i "/^{key}=/d" "{environment}"; echo "{key}=$1" >>"{environment}"')
    environment.touch()
    return tmp_path


def tool(root: Path, name: str, body: str) -> None:
    (root / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
    (root / "bin" / name).chmod(0o755)


def probed(root: Path, abstraction: str, filesystem: str) -> None:
    tool(root, "grub-probe", f"case $1 in *abstraction) echo {abstraction} ;; *) echo {filesystem} ;; esac")


def guarded(root: Path, release: str, words: tuple[str, ...] = (), default: str = "") -> str:
    """What our script of /etc/grub.d writes, where the distribution's own writes `SAVED`.

    `default` is what grub-mkconfig hands on as GRUB_CMDLINE_LINUX_DEFAULT.
    """
    (root / "grub.d").mkdir(exist_ok=True)
    (root / "template").write_text(template("${saved_entry}"))
    (root / "grub.d/10_linux").write_text(
        f'#!/bin/sh\necho Found >&2\nsed "s/{GIVEN}/$GRUB_CMDLINE_LINUX_DEFAULT/" {root}/template\n'
    )
    (root / "grub.d/10_linux").chmod(0o755)
    text = (
        trial_boot.entry(release, words)
        .replace("/etc/", f"{root}/etc/")
        .replace(f"{root}/etc/grub.d", f"{root}/grub.d")
    )
    environment = os.environ | {"PATH": f"{root}/bin:{os.environ['PATH']}", "GRUB_CMDLINE_LINUX_DEFAULT": default}
    done = subprocess.run(
        ["sh", "-c", text.replace("-e /boot", f"-e {root}/boot")],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    (root / "said").write_text(done.stderr)
    return done.stdout


def run(root: Path, text: str) -> subprocess.CompletedProcess[str]:
    for place in ("/boot/", "/lib/modules", "/var/lib", "/etc/default", "/vmlinuz /", "/initrd.img /"):
        text = text.replace(f" {place}", f" {root}{place}").replace(f'"{place}', f'"{root}{place}')
        text = text.replace(f"={place}", f"={root}{place}")
    text = text.replace("/proc/cmdline", f"{root}/cmdline")
    environment = os.environ | {"PATH": f"{root}/bin:{os.environ['PATH']}", "LC_ALL": "C"}
    return subprocess.run(["sh", "-euc", text], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    "text",
    [
        boot.initrd(NEW),
        boot.complete(),
        boot.boot_menu(),
        boot.default_release(),
        trial_boot.promote(NEW),
        trial_boot.order(NEW),
        trial_boot.tried(),
        trial_boot.can_be_tried(NEW),
        trial_boot.entry(NEW),
        trial_boot.entry(NEW, ("a=1",)),
        trial_boot.promote(NEW, ("a=1",)),
        trial_boot.started_with(("a=1",)),
        trial_boot.dead_man(60),
        kernel_removal.prune(NEW, 1),
        kernel_removal.withdraw(NEW),
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
    result = run(node, trial_boot.promote(NEW))
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
    result = run(node, trial_boot.promote(release))
    assert result.returncode == 1
    assert reason in result.stderr
    assert (node / "boot/grub/grubenv").read_text() == ""


@pytest.mark.parametrize(
    "saved", ["", f"saved_entry={entry(OLD)}\n", f"saved_entry={entry(NEW)}\n"], ids=["nothing", "the old", "the new"]
)
def test_a_trial_falls_back_to_a_saved_kernel_that_is_not_the_tried_one(node: Path, saved: str) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED + guarded(node, NEW))
    (node / "boot/grub/grubenv").write_text(saved)
    result = run(node, trial_boot.order(NEW))
    assert result.stdout.splitlines()[-1:] == [f"the next boot tries {NEW}, once; after that {OLD}"], result.stderr
    written = set((node / "boot/grub/grubenv").read_text().splitlines())
    assert written == {f"saved_entry={entry(OLD)}", "next_entry=provision-trial"}


def test_the_running_kernel_is_not_tried_when_nothing_else_could_follow(node: Path) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED + guarded(node, OLD))
    result = run(node, trial_boot.order(OLD))
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
    result = run(node, trial_boot.order(NEW))
    assert (result.returncode, reason in result.stderr) == (1, True)
    assert (node / "boot/grub/grubenv").read_text() == ""
    asked = run(node, trial_boot.can_be_tried(NEW))
    assert (asked.returncode, reason in asked.stdout) == (1, True)


def test_a_kernel_that_runs_by_default_needs_no_trial_anywhere(node: Path) -> None:
    probed(node, "lvm", "ext2")
    assert run(node, trial_boot.can_be_tried(OLD)).stdout == f"kernel {OLD} runs already\n"


def test_a_trial_needs_its_guarded_entry(node: Path) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED + guarded(node, OLD))
    result = run(node, trial_boot.order(NEW))
    assert (result.returncode, "no guarded entry" in result.stderr) == (1, True)
    assert not (node / "var/lib/provision/trial").exists()


def test_the_guarded_entry_is_the_distributions_own_and_ends_in_a_reset(node: Path) -> None:
    lines = [line.strip() for line in guarded(node, NEW).splitlines()]
    assert lines[0] == f"menuentry 'Trial of {NEW} (provision)' $menuentry_id_option 'provision-trial' {{"
    assert lines[1] == "insmod reboot"
    (linux,) = (line for line in lines if "vmlinuz" in line)
    assert linux.startswith(f"if linux\t/boot/vmlinuz-{NEW} root=UUID={UUID} ro  panic=")
    assert linux.endswith(f" {trial_boot.word(())}; then")
    assert lines[-6:] == [f"if initrd\t/boot/initrd.img-{NEW}; then", "boot", "fi", "fi", "reboot", "}"]


def test_a_kernel_that_is_gone_has_no_guarded_entry(node: Path) -> None:
    assert guarded(node, "9.9.9") == ""


def test_the_guarded_entry_is_never_taken_for_the_kernels_own(node: Path) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED + guarded(node, NEW))
    assert run(node, trial_boot.promote(NEW)).returncode == 0
    assert (node / "boot/grub/grubenv").read_text() == f"saved_entry={entry(NEW)}\n"


@pytest.mark.parametrize(
    ("change", "now"),
    [
        ("true", "same"),
        (f"echo other >boot/vmlinuz-{NEW}", "changed"),
        (f"echo 070701 other >boot/initrd.img-{NEW}", "changed"),
        (f"rm boot/initrd.img-{NEW}", "changed"),
        ("sed -i 's/ provision.trial=/ more&/' boot/grub/grub.cfg", "changed"),
        ("echo '# another comment' >>boot/grub/grub.cfg", "same"),
    ],
)
def test_the_node_knows_what_it_tried_and_whether_that_changed(node: Path, change: str, now: str) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED + guarded(node, NEW))
    assert run(node, trial_boot.tried()).stdout == ""
    assert run(node, trial_boot.order(NEW)).returncode == 0
    subprocess.run(["sh", "-euc", change], cwd=node, check=True)
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert run(node, trial_boot.tried()).stdout == f"{NEW}\t{boot_id}\t{now}\n"


def test_promotion_of_the_running_kernel_ends_the_dead_man(node: Path) -> None:
    (node / "boot/grub/grub.cfg").write_text(SAVED)
    waiting = subprocess.Popen(["sleep", "600"])
    text = trial_boot.promote(OLD).replace(trial_boot.DEAD_MAN, f"{node}/dead-man")
    (node / "dead-man").write_text(f"{waiting.pid}\n")
    try:
        assert run(node, trial_boot.promote(NEW).replace(trial_boot.DEAD_MAN, f"{node}/dead-man")).returncode == 0
        assert waiting.poll() is None
        assert "is confirmed" in run(node, text).stdout
        assert waiting.wait(10) == -15
    finally:
        waiting.kill()


def test_the_dead_man_waits_for_nobody_on_a_kernel_that_is_not_on_trial(node: Path) -> None:
    text = (
        trial_boot.dead_man(1)
        .replace("/proc/cmdline", f"{node}/cmdline")
        .replace(trial_boot.DEAD_MAN, f"{node}/dead-man")
    )
    text = text.replace("/proc/sysrq-trigger", f"{node}/sysrq").replace("/dev/kmsg", f"{node}/kmsg")
    (node / "cmdline").write_text("root=/dev/vda ro\n")
    subprocess.run(["sh", "-c", text, "dead-man"], check=True)
    assert not (node / "dead-man").exists()
    (node / "cmdline").write_text(f"root=/dev/vda ro panic=10 {trial_boot.word(())} quiet\n")
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
    assert "does not run" in run(node, kernel_removal.prune(NEW, 1)).stderr
    (node / "boot/grub/grubenv").write_text(f"saved_entry={entry(NEW)}\n")
    assert "is not the default" in run(node, kernel_removal.prune(OLD, 1)).stderr


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
    functions = kernel_removal.withdraw("9.9.9").split("\nother_images ")[0]
    assert run(node, functions + "\nsurvivor\n)").stdout == OLD
    (node / "vmlinuz").unlink()
    (node / "vmlinuz").symlink_to(f"boot/vmlinuz-{NEW}")
    assert run(node, functions + "\nsurvivor\n)").stdout == NEW
    (node / f"boot/initrd.img-{NEW}").unlink()
    assert run(node, functions + "\nsurvivor\n)").stdout == OLD


class TestArguments:
    """The words of ours on the default's command line; `PROVEN` are those that every kernel has now."""

    PROVEN, WANTED = ("a=1", "b"), ("a=2", "c.d=e,f")

    @pytest.fixture
    def proven(self, node: Path) -> Path:
        """Kernel OLD runs with the proven words, and is the default; update-grub writes what the drop-in says."""
        (node / "etc/default/grub.d").mkdir(parents=True)
        (node / "cmdline").write_text(f"root=UUID={UUID} ro quiet {' '.join(self.PROVEN)}\n")
        (node / "boot/grub/grubenv").write_text(f"saved_entry={entry(OLD)}\n")
        self.drop_in(node).write_text(boot.arguments(self.PROVEN))
        (node / "template").write_text(template("${saved_entry}"))
        tool(
            node,
            "update-grub",
            f"GRUB_CMDLINE_LINUX_DEFAULT=quiet; for file in {node}/etc/default/grub.d/*.cfg; do\n"
            '[ ! -e "$file" ] || . "$file"; done\n'
            f'sed "s/{GIVEN}/$GRUB_CMDLINE_LINUX_DEFAULT/" {node}/template >{node}/boot/grub/grub.cfg',
        )
        assert run(node, boot.boot_menu()).returncode == 0
        return node

    def drop_in(self, node: Path) -> Path:
        return node / boot.ARGUMENTS[1:]

    def menu_words(self, node: Path) -> set[str]:
        """Behind `quiet` in the entries that start a kernel as it is meant."""
        lines = (node / "boot/grub/grub.cfg").read_text().splitlines()
        return {line.partition(" quiet")[2].strip() for line in lines if line.startswith("\tlinux") and "quiet" in line}

    @pytest.mark.parametrize(
        ("drop_in", "default", "words", "line"),
        [
            ((), "quiet", (), "ro quiet"),
            ((), "quiet", WANTED, "ro quiet a=2 c.d=e,f"),
            (PROVEN, "quiet a=1 b", WANTED, "ro quiet a=2 c.d=e,f"),
            (PROVEN, "quiet a=1 b", (), "ro quiet"),
            (PROVEN, "quiet a=1 b", PROVEN, "ro quiet a=1 b"),
            (PROVEN, "a=1 b quiet a=1 b", (), "ro a=1 b quiet"),
            (PROVEN, "quiet a=1 b behind", WANTED, "ro quiet behind a=2 c.d=e,f"),
            (PROVEN, "set anew", WANTED, "ro set anew a=2 c.d=e,f"),
            (PROVEN, "quiet a=1 bc", (), "ro quiet a=1 bc"),
        ],
    )
    def test_the_trial_has_the_words_that_are_tried_and_none_that_the_default_has_from_us(
        self, proven: Path, drop_in: tuple[str, ...], default: str, words: tuple[str, ...], line: str
    ) -> None:
        self.drop_in(proven).write_text(boot.arguments(drop_in))
        (linux,) = (one for one in guarded(proven, OLD, words, default).splitlines() if "vmlinuz" in one)
        guard = f" panic=10 systemd.watchdog_sec={trial_boot.WATCHDOG_SECONDS} {trial_boot.word(words)}; then"
        assert linux.endswith(guard)
        assert " ".join(linux.removesuffix(guard).partition(f"{UUID} ")[2].split()) == line

    @pytest.mark.parametrize(
        ("drop_in", "line", "words", "told"),
        [
            ((), "ro", (), "yes: started with no words of ours"),
            ((), "ro", ("a=1",), "no: the kernel was started without a=1"),
            ((), "ro a=1", ("a=1",), "yes: started with a=1"),
            ((), "ro a=11", ("a=1",), "no: the kernel was started without a=1"),
            (("a=1",), "ro a=1", ("a=1",), "yes: started with a=1"),
            (("a=1",), "ro", ("a=1",), "no: the kernel was started without a=1"),
            (("a=1",), "ro a=1", (), "no: what boots by default has other words than none"),
            (("a=1",), f"ro {trial_boot.word(())}", (), "yes: on trial with no words of ours"),
            (("a=1",), f"ro {trial_boot.word(('b',))}", (), "no: what boots by default has other words than none"),
            (("a=1",), "ro a=1", ("a=2",), "no: the kernel was started without a=2"),
            (("a=1",), "ro a=2", ("a=2",), "no: what boots by default has other words than a=2"),
            (("a=1",), f"ro a=2 {trial_boot.word(('a=2',))}", ("a=2",), "yes: on trial with a=2"),
        ],
    )
    def test_what_the_running_kernel_was_started_with(
        self, proven: Path, drop_in: tuple[str, ...], line: str, words: tuple[str, ...], told: str
    ) -> None:
        if drop_in:
            self.drop_in(proven).write_text(boot.arguments(drop_in))
        else:
            self.drop_in(proven).unlink()
        (proven / "cmdline").write_text(f"{line}\n")
        asked = run(proven, trial_boot.started_with(words))
        answer = f"{'no' if asked.returncode else 'yes'}: {asked.stdout.strip()}"
        assert answer.startswith(told), asked.stderr

    def test_other_words_for_the_default_are_tried_and_what_it_has_now_is_where_they_end(self, proven: Path) -> None:
        with (proven / "boot/grub/grub.cfg").open("a") as menu:
            menu.write(guarded(proven, OLD, self.WANTED, "quiet a=1 b"))
        with (proven / "boot/grub/grubenv").open("a") as environment:
            environment.write("initrdfail=1\n")
        result = run(proven, trial_boot.order(OLD, self.WANTED))
        told = f"the next boot tries {OLD} with a=2 c.d=e,f, once; after that {OLD}"
        assert result.stdout.splitlines()[-1:] == [told], result.stderr
        written = set((proven / "boot/grub/grubenv").read_text().splitlines())
        assert written == {f"saved_entry={entry(OLD)}", "next_entry=provision-trial"}
        assert self.menu_words(proven) == {"a=1 b"}

    @pytest.mark.parametrize(
        ("tried", "in_the_menu"), [(WANTED, PROVEN), (WANTED, ()), ((), WANTED)], ids=["others", "none", "some"]
    )
    def test_no_trial_by_an_entry_with_other_words(
        self, proven: Path, tried: tuple[str, ...], in_the_menu: tuple[str, ...]
    ) -> None:
        with (proven / "boot/grub/grub.cfg").open("a") as menu:
            menu.write(guarded(proven, OLD, in_the_menu, "quiet a=1 b"))
        result = run(proven, trial_boot.order(OLD, tried))
        assert (result.returncode, "no guarded entry" in result.stderr) == (1, True)

    def test_words_that_the_default_has_already_have_nothing_to_fall_back_to(self, proven: Path) -> None:
        with (proven / "boot/grub/grub.cfg").open("a") as menu:
            menu.write(guarded(proven, OLD, self.PROVEN, "quiet a=1 b"))
        result = run(proven, trial_boot.order(OLD, self.PROVEN))
        assert (result.returncode, "nothing to fall back to" in result.stderr) == (1, True)

    @pytest.mark.parametrize(
        ("words", "holds"), [(PROVEN, True), (WANTED, False), ((), False)], ids=["proven", "others", "none any more"]
    )
    def test_other_words_need_a_menu_that_can_forget_an_entry(
        self, proven: Path, words: tuple[str, ...], holds: bool
    ) -> None:
        probed(proven, "lvm", "ext2")
        asked = run(proven, trial_boot.can_be_tried(OLD, words))
        assert (asked.returncode == 0, "runs already" in asked.stdout) == (holds, holds)

    @pytest.mark.parametrize("words", [WANTED, (), PROVEN], ids=["others", "none any more", "the same"])
    def test_proven_words_become_those_of_the_default(self, proven: Path, words: tuple[str, ...]) -> None:
        result = run(proven, trial_boot.promote(OLD, words))
        assert result.returncode == 0, result.stderr
        drop_in = self.drop_in(proven)
        assert (drop_in.read_text() if drop_in.exists() else "") == boot.arguments(words)
        assert self.menu_words(proven) == {" ".join(words)}
        assert (proven / "boot/grub/grubenv").read_text() == f"saved_entry={entry(OLD)}\n"

    def test_a_promotion_that_was_cut_is_not_taken_for_done(self, proven: Path) -> None:
        """The menu is not written: as a power cut would have it. Neither the gate nor the drop-in say that all is well."""
        whole = (proven / "bin/update-grub").read_text()
        tool(proven, "update-grub", "exit 1")
        (proven / "cmdline").write_text(f"ro quiet {' '.join(self.WANTED)} {trial_boot.word(self.WANTED)}\n")
        assert run(proven, trial_boot.promote(OLD, self.WANTED)).returncode == 1
        assert self.drop_in(proven).read_text() != boot.arguments(self.WANTED)
        (proven / "cmdline").write_text(f"ro quiet {' '.join(self.PROVEN)}\n")
        assert run(proven, trial_boot.started_with(self.WANTED)).returncode == 1
        (proven / "bin/update-grub").write_text(whole)
        (proven / "cmdline").write_text(f"ro quiet {' '.join(self.WANTED)} {trial_boot.word(self.WANTED)}\n")
        assert run(proven, trial_boot.started_with(self.WANTED)).returncode == 0
        assert run(proven, trial_boot.promote(OLD, self.WANTED)).returncode == 0
        assert self.menu_words(proven) == {" ".join(self.WANTED)}

    def test_words_that_do_not_reach_the_menu_are_told(self, proven: Path) -> None:
        (proven / "etc/default/grub.d/zzz.cfg").write_text("GRUB_CMDLINE_LINUX_DEFAULT=quiet\n")
        result = run(proven, trial_boot.promote(OLD, self.WANTED))
        assert (result.returncode, "sets GRUB_CMDLINE_LINUX_DEFAULT anew" in result.stderr) == (1, True)

    def test_no_words_are_written_into_a_menu_with_a_kernel_that_cannot_boot(self, proven: Path) -> None:
        (proven / f"boot/initrd.img-{NEW}").unlink()
        result = run(proven, trial_boot.promote(OLD, self.WANTED))
        assert (result.returncode, "no boot menu is written" in result.stderr) == (1, True)
        assert self.drop_in(proven).read_text() == boot.arguments(self.PROVEN)

    def test_what_was_found_good_may_be_tried_again_unasked(self, proven: Path) -> None:
        with (proven / "boot/grub/grub.cfg").open("a") as menu:
            menu.write(guarded(proven, OLD, self.WANTED, "quiet a=1 b"))
        assert run(proven, trial_boot.order(OLD, self.WANTED)).returncode == 0
        assert run(proven, trial_boot.tried()).stdout.endswith("\tsame\n")
        assert run(proven, trial_boot.promote(NEW, self.PROVEN)).returncode == 0
        assert run(proven, trial_boot.tried()).stdout.endswith("\tsame\n")
        assert run(proven, trial_boot.promote(OLD, self.WANTED)).returncode == 0
        assert (proven / trial_boot.RECORD[1:]).read_text().endswith(" good\n")
        assert run(proven, trial_boot.tried()).stdout.endswith("\tchanged\n")


def test_an_entry_that_grub_could_not_read_is_left_out_and_the_menu_is_written_without_it(node: Path) -> None:
    tool(node, "grub-script-check", "cat >/dev/null; echo 'error: line no: 7: syntax error' >&2; exit 1")
    assert guarded(node, NEW) == ""
    assert "no entry for a trial of" in (node / "said").read_text()
    assert "line no: 7" in (node / "said").read_text()


def test_the_menu_starts_kernels_with_their_initrds_where_a_cloud_image_says_otherwise(tmp_path: Path) -> None:
    """As grub-mkconfig reads them: /etc/default/grub, then the drop-ins by name (its text in GRUB 2.12)."""
    (tmp_path / "40-force-partuuid.cfg").write_text(f"GRUB_FORCE_PARTUUID={UUID}\n")
    (tmp_path / "zz-provision-boot.cfg").write_text(boot.settings())
    read = f'for file in {tmp_path}/*.cfg; do . "$file"; done; echo "[$GRUB_FORCE_PARTUUID]"'
    assert subprocess.run(["sh", "-euc", read], capture_output=True, text=True, check=True).stdout == "[]\n"
