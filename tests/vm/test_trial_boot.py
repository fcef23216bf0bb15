"""A new kernel is booted on trial: a good one becomes the default; after a bad one the old one runs, without help.

The node is brought up to its reboot once and saved; every case starts from there with a harm of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from bring_up import BringUp, clone, kernels

from provision.lab import Lab, VirtualMachine
from provision.model import digest

HOLD = "/etc/hold-the-reboot"
TRIAL_MINUTES = 6
"""An emulated machine on a busy host needs four of them to boot; a hang costs all of them."""


IN_AND_BACK = 2
"""Starts of the machine, of which one was ordered."""


class Target(NamedTuple):
    layer: str
    old: str
    new: str

    def keys(self) -> dict[str, object]:
        return {
            "kernel": self.new,
            "features": ["proprietary"],  # no open module of Debian 13 builds for every kernel that it carries
            "roles": ["preflight", "kernel_64k", "await_word"],
            "kernel_64k_trial_minutes": TRIAL_MINUTES,
            "kernel_64k_arguments": ["provision.proof=1"],
        }


@pytest.fixture(scope="module")
def ready(vm_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """A layer on which all is done that stands before the reboot into a second kernel; kept for as long as it fits."""
    with clone(vm_lab, "ready", "x86_64") as node:
        old = node.ssh("uname -r").stdout.strip()
        new = next(release for release in kernels(node) if release != old)
        target = Target("", old, new)
        bring_up = BringUp(tmp_path_factory.mktemp("ready"), node, **target.keys())
        target = target._replace(layer=f"trial-{digest(f'{node.layers} {bring_up.plan()}')}")
        if target.layer in {kept.name for kept in vm_lab.layers()}:
            return target
        assert node.sudo(f"touch {HOLD}").returncode == 0
        held = bring_up.apply()
        assert (held.code, "the word was given" in held.output) == (1, True), held.output
        assert node.ssh("uname -r").stdout.strip() == old
        assert node.sudo(f"rm {HOLD}; sync").returncode == 0
        vm_lab.save("ready", target.layer)
    return target


class Bad(NamedTuple):
    harm: str
    """Shell, as root; $kernel and $initrd are the new kernel's files."""
    mend: str
    caught_by: str


ENTRY = "/if linux.*provision.trial/"
STUCK = """
DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install make </dev/null
mkdir -p /root/stuck
cat >/root/stuck/stuck.c <<'END'
#include <linux/module.h>
#include <linux/smp.h>
static void spin(void *unused) { local_irq_disable(); for (;;) cpu_relax(); }
static int __init begin(void) { pr_alert("stuck: no interrupts from here on\\n"); on_each_cpu(spin, NULL, 0); return 0; }
module_init(begin);
MODULE_LICENSE("GPL");
END
echo 'obj-m := stuck.o' >/root/stuck/Makefile
make -C "/lib/modules/${kernel#/boot/vmlinuz-}/build" M=/root/stuck modules
cat >/etc/systemd/system/stuck.service <<'END'
[Unit]
ConditionKernelCommandLine=provision.trial
Before=network-pre.target
Wants=network-pre.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'until grep -qsx active /sys/class/watchdog/watchdog0/state; do sleep 1; done; insmod /root/stuck/stuck.ko'
[Install]
WantedBy=multi-user.target
END
systemctl enable stuck.service
"""
"""No processor takes an interrupt any more, so that neither PID 1 nor the dead man goes on; the watchdog was set by then."""
BAD = {
    "garbage image": Bad(
        'cp "$kernel" /root/kernel; head -c 4000000 /dev/urandom >"$kernel"', 'cp /root/kernel "$kernel"', "the entry"
    ),
    "truncated initrd": Bad(
        'cp "$initrd" /root/initrd; head -c 300000 /root/initrd >"$initrd"', 'cp /root/initrd "$initrd"', "panic="
    ),
    "missing root": Bad(
        f"sed -i '{ENTRY}s/root=[^ ]*/root=UUID=00000000-0000-0000-0000-00000000dead/' /boot/grub/grub.cfg",
        "update-grub", "panic=, which Debian's initrd obeys"),
    "hang": Bad(
        "printf '#!/bin/sh\\nwhile :; do sleep 1000; done\\n' >/hang; chmod 755 /hang; "
        f"sed -i '{ENTRY}s/ provision.trial/ init=\\/hang&/' /boot/grub/grub.cfg",
        "update-grub", "the dead man"),
    "no network": Bad(
        "mkdir -p /etc/systemd/system/systemd-networkd.service.d; "
        "printf '[Unit]\\nConditionKernelCommandLine=!provision.trial\\n' "
        ">/etc/systemd/system/systemd-networkd.service.d/deaf.conf; ",
        "rm -r /etc/systemd/system/systemd-networkd.service.d", "the dead man"),
}  # fmt: skip


def as_root(node: VirtualMachine, target: Target, text: str) -> None:
    files = f"kernel=/boot/vmlinuz-{target.new} initrd=/boot/initrd.img-{target.new}"
    done = node.sudo(f"set -eu\n{files}\n{text}\nsync\n", seconds=1800)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", BAD)
def test_a_bad_kernel_ends_on_the_old_one_and_is_not_tried_again_until_it_is_mended(
    vm_lab: Lab, ready: Target, tmp_path: Path, name: str
) -> None:
    bad = BAD[name]
    with clone(vm_lab, "bad", "x86_64", ready.layer) as node:
        bring_up = BringUp(tmp_path, node, **ready.keys())
        as_root(node, ready, bad.harm)

        first = bring_up.apply()
        assert (first.code, first.reboots, first.boots) == (1, 1, IN_AND_BACK), first.output
        assert f"kernel {ready.new} was booted on trial" in first.output
        assert f"came back on {ready.old}" in first.output
        assert node.ssh("uname -r").stdout.strip() == ready.old

        second = bring_up.apply()
        assert (second.code, second.reboots, second.boots) == (1, 0, 0), second.output

        as_root(node, ready, bad.mend)
        mended = bring_up.apply(*(() if name != "no network" else ("--retry",)))
        assert (mended.code, mended.reboots, mended.boots) == (0, 1, 1), mended.output
        assert_promoted(node, ready)
        print(f"{name}: caught by {bad.caught_by} in {first.seconds} s; mended and promoted in {mended.seconds} s")


def test_a_kernel_that_stands_still_is_reset_by_the_watchdog_of_the_hardware(
    vm_lab: Lab, ready: Target, tmp_path: Path
) -> None:
    with clone(vm_lab, "stuck", "x86_64", ready.layer) as node:
        as_root(node, ready, STUCK)
        applied = BringUp(tmp_path, node, **ready.keys()).apply()
        assert (applied.code, applied.reboots, applied.boots) == (1, 1, IN_AND_BACK), applied.output
        assert f"came back on {ready.old}" in applied.output
        assert "stuck: no interrupts from here on" in node.console
        assert "was not confirmed in time" not in node.console, "that is the dead man"


def test_a_good_kernel_is_promoted_and_stays(vm_lab: Lab, ready: Target, tmp_path: Path) -> None:
    with clone(vm_lab, "good", "x86_64", ready.layer) as node:
        applied = BringUp(tmp_path, node, **ready.keys()).apply()
        assert (applied.code, applied.reboots, applied.boots) == (0, 1, 1), applied.output
        assert_promoted(node, ready)
        assert "provision.trial" in node.ssh("cat /proc/cmdline").stdout
        node.reboot()
        line = node.ssh("uname -r; cat /proc/cmdline").stdout
        assert line.startswith(ready.new)
        assert "provision.trial" not in line
        assert "provision.proof=1" in line


def test_old_kernels_go_behind_the_promotion_and_not_where_the_trial_fell_back(
    vm_lab: Lab, ready: Target, tmp_path: Path
) -> None:
    bad = BAD["garbage image"]
    with clone(vm_lab, "older", "x86_64", ready.layer) as node:
        oldest = next(release for release in kernels(node)[::-1] if release not in (ready.old, ready.new))
        install = f"DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install linux-image-{oldest}"
        as_root(node, ready, f"{install} </dev/null\n{bad.harm}")
        bring_up = BringUp(tmp_path, node, **ready.keys(), kernel_64k_remove_old_kernels=True)

        fell_back = bring_up.apply()
        assert (fell_back.code, fell_back.reboots, fell_back.boots) == (1, 1, IN_AND_BACK), fell_back.output
        assert installed(node) == {ready.old, ready.new, oldest}

        as_root(node, ready, bad.mend)
        applied = bring_up.apply()
        assert (applied.code, applied.reboots, applied.boots) == (0, 1, 1), applied.output
        assert_promoted(node, ready)
        assert installed(node) == {ready.old, ready.new}, "one to fall back to stays"
        assert f"vmlinuz-{oldest} " not in node.sudo("cat /boot/grub/grub.cfg").stdout
        assert node.sudo(f"ls -d /lib/modules/{oldest} || dpkg --audit | grep .").returncode != 0


def installed(node: VirtualMachine) -> set[str]:
    """The kernels in /boot."""
    return set(node.sudo("cd /boot && ls vmlinuz-* | sed s/vmlinuz-//").stdout.split())


def assert_promoted(node: VirtualMachine, target: Target) -> None:
    told = node.sudo("uname -r; cat /proc/cmdline; grub-editenv list; ls /run/provision-trial 2>/dev/null").stdout
    release, line, *environment = told.splitlines()
    assert release == target.new
    assert "provision.proof=1" in line.split()
    assert f"gnulinux-{target.new}-advanced-" in next(one for one in environment if one.startswith("saved_entry="))
    assert [one for one in environment if one.startswith("next_entry=")] in ([], ["next_entry="])
    assert "/run/provision-trial" not in environment
