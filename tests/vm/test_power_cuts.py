"""The power goes while a kernel is brought in: the same command again ends in the same machine.

The cut is a real one to the controller as well: the network falls silent, and then QEMU is killed. The disk's cache is
`writeback`: the guest's flushes are obeyed, and what it did not flush may be lost.
"""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import pytest
from bring_up import OS, Applied, BringUp, clone, kernels
from test_arguments import OTHER, PROVEN, Proven, are_default, brought_up, declared, started_with
from test_trial_boot import IN_AND_BACK, Target, assert_promoted

from provision.lab import Lab, LabError, VirtualMachine, network
from provision.model import digest
from provision.platforms import boot, platform_for, trial_boot

MOMENT_SECONDS = 900
"""How long an emulated machine may take to come to the moment of a cut."""
SILENCE_SECONDS = 60
"""How long a controller may take to notice that a node is gone."""


HALF = "dpkg-query -W -f '${db:Status-Abbrev}|${Package}\\n' | grep -v '^.[inc] ' || :"


# Compilers and what all headers share take an emulated machine five minutes, and are like any other package.
FETCH = """
set -eu
get() {{ apt-get -qq -y --no-install-recommends "$@"; }}
get --download-only install {names}
common=$(get -s install {names} | awk '$1 == "Inst" && $2 != "{image}" && $2 != "{headers}" {{ print $2 }}')
get -o Dpkg::Options::=--force-unsafe-io install $common
if dpkg -s {image} >/dev/null 2>&1; then echo "{image} came along"; exit 1; fi
sync
"""


@pytest.fixture(scope="module")
def fetched(vm_lab: Lab) -> Target:
    """A layer that lacks nothing of a second kernel but its image, which lies in apt's cache, and its headers."""
    with clone(vm_lab, "fetched", "x86_64") as node:
        old = node.ssh("uname -r").stdout.strip()
        new = next(release for release in kernels(node) if release != old)
        names = " ".join(package.name for package in platform_for(OS, node.arch).kernel_packages(new))
        program = FETCH.format(names=names, image=image_of(new), headers=f"linux-headers-{new}")
        target = Target(f"fetched-{digest(f'{node.layers} {program}')}", old, new)
        if target.layer not in {kept.name for kept in vm_lab.layers()}:
            got = node.sudo(program, seconds=1200)
            assert got.returncode == 0, got.stdout + got.stderr
            vm_lab.save("fetched", target.layer)
    return target


@pytest.fixture(scope="module")
def proven(vm_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    return brought_up(vm_lab, tmp_path_factory.mktemp("proven"))


def image_of(release: str) -> str:
    return f"linux-image-{release}"


class Cut(NamedTuple):
    about: str
    moment: str
    """A shell condition inside the node; $new is the new kernel's release."""
    during: str
    """The resource that the controller says it lost the node in."""
    left: tuple[str, ...]
    """What dpkg may say of the kernel's package when the power is back."""

    def __str__(self) -> str:
        return self.about


# Not dpkg's log, which is a moment ahead of what dpkg has on the disk: cut then, nothing of the package was ever there.
UNPACKING = Cut("unpacking", '[ -d "/usr/lib/modules/$new/kernel" ]', "kernel-packages", ("iHR",))
SETTING_UP = Cut(
    "setting up",
    'grep -qs "status half-configured linux-image-$new:" /var/log/dpkg.log',
    "kernel-packages",
    ("iF", "iU"),
)
INITRD = Cut("initrd", '[ -s "/boot/initrd.img-$new.new" ]', "initrd", ("ii", "hi"))
REBOOT = Cut("reboot", "pgrep -f 'systemctl reboot'", "", ())
PROMOTION = Cut("promotion", f"grep -qs '^# Not in the boot menu' {boot.ARGUMENTS}", "default-kernel", ())
"""The default's arguments are being written into the menu."""


def test_cut_while_unpacking_and_again_in_the_initrd_build(vm_lab: Lab, fetched: Target, tmp_path: Path) -> None:
    with clone(vm_lab, "twice", "x86_64", fetched.layer) as node:
        bring_up = BringUp(tmp_path, node, **fetched.keys())
        is_lost(UNPACKING, vm_lab, bring_up, fetched)
        is_lost(INITRD, vm_lab, bring_up, fetched)
        finished = bring_up.apply()
        assert (finished.code, finished.reboots, finished.boots) == (0, 1, 1), finished.output
        is_whole(bring_up, fetched)


def test_cut_while_setting_up_and_again_right_after_the_reboot_command(
    vm_lab: Lab, fetched: Target, tmp_path: Path
) -> None:
    """A run waits for the reboot that it ordered: that the power comes back is all that it asks."""
    with clone(vm_lab, "reboots", "x86_64", fetched.layer) as node, ThreadPoolExecutor(1) as pool:
        bring_up = BringUp(tmp_path, node, **fetched.keys())
        is_lost(SETTING_UP, vm_lab, bring_up, fetched)
        running = pool.submit(bring_up.apply)
        cut_power(REBOOT, vm_lab, node, fetched.new)
        began = monotonic()
        node.power_on()
        print(f"{REBOOT}: up again in {monotonic() - began:.0f} s")
        finished = running.result()
        assert (finished.code, finished.reboots, finished.boots) == (0, 1, 1), finished.output
        is_whole(bring_up, fetched)


# A trial of other arguments has the entry, the record and the dead man of a new kernel, and no package transaction.


def test_cut_while_a_trial_boots(vm_lab: Lab, proven: Proven, tmp_path: Path) -> None:
    """The run that ordered it meets what ran before; nobody knows why the trial ended, so a person is asked."""
    release = proven.release
    with clone(vm_lab, "trial", "x86_64", proven.layer) as node, ThreadPoolExecutor(1) as pool:
        bring_up = declared(tmp_path, node, release, OTHER)
        running = pool.submit(bring_up.apply)
        await_console(node, f"Trial of {release}")
        silence(vm_lab, node)
        node.power_cut()
        node.power_on()
        met = running.result()
        assert (met.code, met.reboots, met.boots) == (1, 1, IN_AND_BACK), met.output
        assert f"kernel {release} was booted on trial with {OTHER}" in met.output
        are_default(node, release, PROVEN)
        assert node.sudo(f"cut -d' ' -f1 {trial_boot.RECORD}").stdout.strip() == release
        again = bring_up.apply()
        assert (again.code, again.reboots, again.boots) == (1, 0, 0), again.output
        retried = bring_up.apply("--retry")
        assert (retried.code, retried.reboots, retried.boots) == (0, 1, 1), retried.output
        are_default(node, release, OTHER)


def test_cut_while_a_trial_is_promoted(vm_lab: Lab, proven: Proven, tmp_path: Path) -> None:
    """It was found good before: so the same command goes on unasked, and finishes."""
    release = proven.release
    with clone(vm_lab, "promoted", "x86_64", proven.layer) as node, ThreadPoolExecutor(1) as pool:
        bring_up = declared(tmp_path, node, release, OTHER)
        running = pool.submit(bring_up.apply)
        await_console(node, f"Trial of {release}")
        await_agent(node)
        cut_power(PROMOTION, vm_lab, node, release)
        lost = running.result(SILENCE_SECONDS)
        assert (lost.code, lost.reboots, lost.boots) == (1, 1, 1), lost.output
        assert f"{node.name}: the connection was lost during {PROMOTION.during}" in lost.output
        node.power_on()
        print(f"{PROMOTION}: after the cut the node was started with {started_with(node)}")
        finished = bring_up.apply()
        assert (finished.code, finished.reboots) == (0, 1), finished.output
        are_default(node, release, OTHER)
        assert node.sudo(HALF).stdout == ""


def await_console(node: VirtualMachine, words: str) -> None:
    """GRUB names the entry that it starts; the kernel itself is quiet."""
    deadline = monotonic() + MOMENT_SECONDS
    while words not in node.console:
        assert monotonic() < deadline, node.console[-2000:]
        sleep(0.2)


def await_agent(node: VirtualMachine) -> None:
    """The agent of the boot that has just begun."""
    deadline = monotonic() + MOMENT_SECONDS
    while monotonic() < deadline:
        try:
            node.inside("true", 20)
            return
        except LabError:
            sleep(1)
    raise AssertionError(f"no agent within {MOMENT_SECONDS} s")


def is_lost(cut: Cut, lab: Lab, bring_up: BringUp, target: Target) -> None:
    """A run loses its node, says so, and the node comes back on the old kernel with what dpkg left half done."""
    node = bring_up.node
    lost, noticed = lose(cut, lab, bring_up, target.new)
    assert lost.code == 1, lost.output
    assert f"{node.name}: the connection was lost during {cut.during}" in lost.output

    began = monotonic()
    node.power_on()
    booted = monotonic() - began
    assert node.ssh("uname -r").stdout.strip() == target.old
    image = image_of(target.new)
    state = node.sudo(f"dpkg-query -W -f '${{db:Status-Abbrev}}' {image}").stdout.strip()
    print(f"{cut}: noticed after {noticed:.0f} s, up again in {booted:.0f} s; {image} is {state}: {audit(node)!r}")
    assert state in cut.left


def lose(cut: Cut, lab: Lab, bring_up: BringUp, new: str) -> tuple[Applied, float]:
    """A bring-up whose node is cut off, and the seconds that it took to notice."""
    assert bring_up.node.sudo("rm -f /var/log/dpkg.log").returncode == 0
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(bring_up.apply)
        cut_power(cut, lab, bring_up.node, new)
        began = monotonic()
        return running.result(SILENCE_SECONDS), monotonic() - began


def cut_power(cut: Cut, lab: Lab, node: VirtualMachine, new: str) -> None:
    waited = node.inside(f"new={new}\nuntil {cut.moment}; do sleep 0.02; done", MOMENT_SECONDS)
    assert waited.code == 0, waited.output
    silence(lab, node)
    node.power_cut()


def silence(lab: Lab, node: VirtualMachine) -> None:
    """Nobody hears of the node's end."""
    link = ("ip", "-netns", network.namespace(lab.id, node.name), "link", "set", "host0", "down")
    subprocess.run(link, check=True)


def is_whole(bring_up: BringUp, target: Target) -> None:
    node = bring_up.node
    assert_promoted(node, target)
    assert (audit(node), node.sudo(HALF).stdout) == ("", "")
    assert node.sudo(f"lsinitramfs /boot/initrd.img-{target.new} >/dev/null").returncode == 0
    assert node.sudo("find / -xdev -name '.*.provision' -o -xdev -name '*.dpkg-new'").stdout == ""
    again = bring_up.apply()
    assert (again.code, again.reboots, again.boots) == (0, 0, 0), again.output


def audit(node: VirtualMachine) -> str:
    return " ".join(node.sudo("dpkg --audit").stdout.split())
