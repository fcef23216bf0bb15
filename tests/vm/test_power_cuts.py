"""The power goes while a kernel is brought in: the same command again ends in the same machine.

The cut is a real one to the controller as well: the network falls silent, and then QEMU is killed. The disk's cache is
`writeback`: the guest's flushes are obeyed, and what it did not flush may be lost.
"""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest
from bring_up import OS, Applied, BringUp, clone, kernels
from test_trial_boot import Target, assert_promoted

from provision.lab import Lab, VirtualMachine, network
from provision.model import digest
from provision.platforms import platform_for

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
    silence = ("ip", "-netns", network.namespace(lab.id, node.name), "link", "set", "host0", "down")
    subprocess.run(silence, check=True)
    node.power_cut()


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
