"""Modules that no kernel tree has: the order in which they were built decides whether the kernel takes them.

Stand-ins (see `modules`) with the vendors' names: OFED's `ib_core` exports a symbol with a version, `nvidia-peermem`
imports it, `nvidia` says its version in /proc. Real are the kernels, modprobe, dkms, and Debian's settings for the driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest
from bring_up import BringUp, clone, layered
from modules import ARCH, BAD, OS, Start, built, declared, serve, sudo

from provision.lab import Lab, VirtualMachine
from provision.model import digest
from provision.platforms import platform_for

SYMBOL = "ib_register_peer_memory_client"
LOADED = {"ib_core", "mlx5_core", "nvidia", "nvidia_uvm", "nvidia_modeset", "nvidia_peermem"}

STAGED = 2
"""Reboots: into the kernel, and into what was built for it there."""

OFED_BY_HAND = """
cp -a /usr/src/ofa_kernel /usr/src/ofa_kernel.before
cd /usr/src/mlnx-ofed-kernel-*/
sed -i 's/^struct peer_memory_client {/&\\n\\tint by_hand;/' include/rdma/peer_mem.h
set -- -m mlnx-ofed-kernel -v "${PWD#/usr/src/mlnx-ofed-kernel-}" -k "$release"
dkms remove "$@"
dkms build "$@"
dkms install --force "$@"
"""
"""What a person, or a vendor's script, does. What the build before it left for the driver's is kept aside."""


@pytest.fixture(scope="module")
def brought_up(vm_lab: Lab, start: Start, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The layer of a machine after its bring-up."""
    with clone(vm_lab, "modules", ARCH, start.layer) as node:
        return layered(
            vm_lab, "modules-up", declared(tmp_path_factory.mktemp("modules"), node, start), after_one_reboot
        )


def after_one_reboot(bring_up: BringUp) -> None:
    applied = bring_up.apply()
    assert (applied.code, applied.reboots, applied.boots) == (0, 1, 1), applied.output


@pytest.fixture(scope="module")
def another_ofed(vm_lab: Lab, brought_up: str, start: Start) -> str:
    """The layer of that machine after OFED's source changed what it exports and was built by hand; the driver was not."""
    layer = f"modules-ofed-{digest(f'{brought_up} {OFED_BY_HAND}')}"
    if layer not in {kept.name for kept in vm_lab.layers()}:
        with clone(vm_lab, "modules", ARCH, brought_up) as node:
            sudo(node, f"release={quote(start.facts.release)}\n{OFED_BY_HAND}\nsync")
            vm_lab.save(node.name, layer)
    return layer


@pytest.fixture
def node(vm_lab: Lab, brought_up: str) -> Iterator[VirtualMachine]:
    with clone(vm_lab, "modules", ARCH, brought_up) as fresh:
        yield fresh


@pytest.fixture
def changed(vm_lab: Lab, another_ofed: str) -> Iterator[VirtualMachine]:
    with clone(vm_lab, "changed", ARCH, another_ofed) as fresh:
        yield fresh


# The right order


def test_built_in_their_order_for_a_kernel_that_did_not_run_yet_they_load_after_the_reboot(
    node: VirtualMachine, start: Start
) -> None:
    assert node.ssh("uname -r").stdout.strip() == start.facts.release != start.facts.old
    loads(node, start)


def test_in_stages_they_are_built_in_the_kernel_that_they_are_for_and_a_second_reboot_loads_them(
    vm_lab: Lab, start: Start, tmp_path: Path
) -> None:
    with clone(vm_lab, "staged", ARCH, start.layer) as node:
        staged = declared(tmp_path, node, start, reboots="staged")
        assert staged.planned().reboots == STAGED

        applied = staged.deploy()

        assert (applied.code, applied.reboots, applied.boots) == (0, STAGED, STAGED), applied.output
        assert node.ssh("uname -r").stdout.strip() == start.facts.release
        loads(node, start)
        again = staged.deploy()
        assert (again.code, again.reboots, again.boots) == (0, 0, 0), again.output


# A wrong one


def test_the_kernels_own_ib_core_does_not_do(node: VirtualMachine) -> None:
    """As when an old initrd brings it: one of that name is loaded, and lacks what OFED adds."""
    unload(node)
    # dkms put it away when it installed OFED's.
    sudo(node, "insmod $(find /var/lib/dkms/mlnx-ofed-kernel/original_module -name 'ib_core.ko*')")

    told = refused(node)

    assert f"nvidia_peermem: Unknown symbol {SYMBOL} (err -2)" in told


def test_a_driver_that_ofed_left_behind_is_refused_by_the_kernel_told_of_and_built_anew(
    changed: VirtualMachine, start: Start, tmp_path: Path
) -> None:
    unload(changed)
    assert f"nvidia_peermem: disagrees about version of symbol {SYMBOL}" in refused(changed)

    bring_up = declared(tmp_path, changed, start)
    drift = bring_up.drift()
    assert drift.returncode == 3, drift.stdout
    assert f"-peermem.ko.xz was built against another OFED: it wants {SYMBOL} 0x" in drift.stdout

    mended = bring_up.apply()
    assert (mended.code, mended.reboots) == (0, 1), mended.output
    loads(changed, start)


def test_a_rebuild_on_old_symbol_versions_mends_nothing_and_ends_before_the_reboot(
    changed: VirtualMachine, start: Start, tmp_path: Path
) -> None:
    """OFED's build did not leave its new symbol versions where the driver's looks: those of the build before lie there."""
    unload(changed)
    sudo(changed, "rm -r /usr/src/ofa_kernel; mv /usr/src/ofa_kernel.before /usr/src/ofa_kernel")
    stale = declared(tmp_path, changed, start).apply()
    assert (stale.code, stale.reboots) == (1, 0), stale.output
    assert f"-peermem.ko.xz was built against another OFED: it wants {SYMBOL} 0x" in stale.output
    assert f"nvidia_peermem: disagrees about version of symbol {SYMBOL}" in refused(changed)


def test_a_driver_built_where_ofed_left_nothing_ends_before_the_reboot_and_the_remedy_mends_it(
    changed: VirtualMachine, start: Start, tmp_path: Path
) -> None:
    bring_up = declared(tmp_path, changed, start)
    unload(changed)
    sudo(changed, "rm -r /usr/src/ofa_kernel")
    without = bring_up.apply()
    assert (without.code, without.reboots) == (1, 0), without.output
    assert f"-peermem.ko.xz was built without OFED: it does not use {SYMBOL}, which ib_core exports" in without.output
    assert "`dkms remove mlnx-ofed-kernel/VERSION --all`" in without.output
    assert "Invalid argument" in refused(changed), "the kernel takes it, and it refuses to start"

    ofed = sudo(changed, "dkms status -m mlnx-ofed-kernel").partition(",")[0]
    sudo(changed, f"dkms remove {quote(ofed)} --all")
    mended = bring_up.apply()
    assert (mended.code, mended.reboots) == (0, 1), mended.output
    loads(changed, start)


def test_a_driver_that_does_not_build_leaves_a_machine_that_boots_its_old_kernel(
    vm_lab: Lab, start: Start, tmp_path: Path
) -> None:
    with clone(vm_lab, "refused", ARCH, start.layer) as node:
        serve(node, BAD)
        failed = declared(tmp_path, node, start).apply()

        assert (failed.code, failed.reboots) == (1, 0), failed.output
        told = [line for line in failed.output.splitlines() if "does not build for kernel" in line]
        module, version = platform_for(OS, ARCH).dkms_module(start.facts.driver, "open")
        assert told, failed.output
        for line in told:
            assert f"{module}/{version} does not build for kernel {start.facts.release}: " in line
            assert "error: too few arguments to function" in line
        assert f"/var/lib/dkms/{module}/{version}/build/make.log" in failed.output
        assert node.reboot() != ""
        assert node.ssh("uname -r").stdout.strip() == start.facts.old
        assert node.sudo(f"ls /boot/vmlinuz-{start.facts.release}").returncode != 0
        print(f"a driver that does not build: told after {failed.seconds} s")


# NVIDIA's own


def test_nvidias_modules_load_as_far_as_they_do_without_a_gpu(vm_lab: Lab, node: VirtualMachine, start: Start) -> None:
    release, driver = start.facts.release, start.facts.driver
    # The newest first, as lsmod lists them: what uses another module was loaded after it.
    sudo(node, "rmmod $(lsmod | awk '/^nvidia/ { print $1 }')")
    sudo(node, f"base64 -d | tar -C /lib/modules/{release} -x\ndepmod", stdin=built(vm_lab, start.facts))

    path = f"/lib/modules/{release}/updates/dkms/nvidia-current-open.ko.xz"
    told = sudo(node, f"for field in version license vermagic; do modinfo -F $field {path}; done").splitlines()
    assert told[:2] == [driver, "Dual MIT/GPL"]
    assert told[2].startswith(f"{release} ")

    refusal = refused(node, "nvidia")
    assert "No such device" in refusal
    assert "NVRM: No NVIDIA GPU found" in refusal
    fits = node.sudo(platform_for(OS, ARCH).peer_memory_fits("open", release))
    assert fits.returncode == 1, "built where there was no OFED"
    assert f"was built without OFED: it does not use {SYMBOL}" in fits.stderr


def loads(node: VirtualMachine, start: Start) -> None:
    """The kernel itself says that everything is loaded, and which it is."""
    loaded = {line.split()[0] for line in node.ssh("lsmod").stdout.splitlines()}
    assert loaded >= LOADED, sudo(node, "dmesg | tail -n 50; systemctl status openibd systemd-modules-load || :")
    version = node.ssh("cat /proc/driver/nvidia/version").stdout
    assert f"Open Kernel Module for {ARCH}  {start.facts.driver}  " in version
    assert "stand-in" in version
    assert node.ssh("cat /sys/module/ib_core/version").stdout.strip() == start.facts.ofed
    assert f"ib_core: a stand-in of OFED {start.facts.ofed} registers nv_mem" in sudo(node, "dmesg")


def unload(node: VirtualMachine) -> None:
    sudo(node, "rmmod nvidia_peermem mlx5_core ib_core")


def refused(node: VirtualMachine, module: str = "nvidia-peermem") -> str:
    """What modprobe and the kernel say of a module that does not load."""
    done = node.sudo(f"dmesg --clear; modprobe {module}; code=$?; dmesg; exit $code")
    print(f"the kernel: {done.stdout.strip()}\nmodprobe: {done.stderr.strip()}")
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr
