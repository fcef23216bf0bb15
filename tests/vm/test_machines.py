"""What a virtual machine of the lab is for: a kernel of its own, real boots, and a saved state to start from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sessions

from provision.lab import Lab, LabError, VirtualMachine
from provision.lab.vm.machine import architecture
from provision.model.spec import Arch
from provision.probe import parse, probe_program

NATIVE = architecture(os.uname().machine)


def kernel_state(lab: Lab) -> str:
    """What the kernel knows of a lab, other processes' command lines included."""
    return sessions.kernel_state(
        lab, *(path.read_bytes().replace(b"\0", b" ").decode(errors="replace") for path in command_lines())
    )


def command_lines() -> list[Path]:
    return [
        path for path in Path("/proc").glob("[0-9]*/cmdline") if path.parent.name != str(os.getpid()) and path.exists()
    ]


def test_a_clone_has_a_kernel_of_its_own_and_no_limits(machine: VirtualMachine) -> None:
    snapshot = parse(machine.sudo("sh -s", stdin=probe_program()).stdout, machine.name)

    assert snapshot.limits == frozenset()
    assert snapshot.arch == NATIVE
    assert snapshot.kernel != os.uname().release
    assert machine.sudo("modprobe dummy && grep -c ^dummy /proc/modules").stdout == "1\n"
    assert machine.sudo("sysctl -w vm.swappiness=7 >/dev/null && cat /proc/sys/vm/swappiness").stdout == "7\n"
    assert machine.ssh("cat /etc/provision-lab").stdout.startswith("A throw-away virtual machine")


def test_clones_of_one_state_are_told_apart_though_they_share_a_boot(vm_lab: Lab, machine: VirtualMachine) -> None:
    (other,) = vm_lab.up(["other"], vm=NATIVE)
    try:
        identity = "hostname; cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
        mine, theirs = (set(node.ssh(identity).stdout.splitlines()) for node in (machine, other))
        assert len(mine) == len(theirs) == 3
        assert not mine & theirs
        assert machine.boot_id() == other.boot_id()
        assert abs(float(machine.ssh("date +%s.%N").stdout) - time.time()) < 5
    finally:
        vm_lab.down([other.name])


def test_a_reboot_and_a_power_cut_are_real_and_keep_what_was_written(machine: VirtualMachine) -> None:
    saved = machine.boot_id()
    machine.sudo("echo kept >/var/lib/kept && sync")

    rebooted = machine.reboot()

    assert rebooted != saved
    assert machine.ssh("cat /var/lib/kept").stdout == "kept\n"
    assert "root=UUID=" in machine.ssh("cat /proc/cmdline").stdout, "Debian's own boot menu was used"
    alive = machine.processes

    machine.power_cut()

    assert [process for process in alive if Path(f"/proc/{process}/exe").exists()] == []
    assert not machine.running
    machine.power_on()
    assert machine.boot_id() not in (saved, rebooted)
    assert machine.ssh("cat /var/lib/kept").stdout == "kept\n"
    assert "recovery complete" in machine.sudo("dmesg").stdout, "the file system was not closed"


def test_a_node_without_network_is_reached_through_its_agent(machine: VirtualMachine) -> None:
    assert machine.inside("ip link set $(ls /sys/class/net | grep ^e) down && echo down").output == "down\n"
    with pytest.raises(LabError, match="was not ready within"):
        machine.wait(seconds=1)
    assert machine.inside("id -u").output == "0\n"


def test_a_saved_state_goes_on_in_its_clone(vm_lab: Lab, machine: VirtualMachine) -> None:
    machine.sudo("mkdir /run/only-in-memory && echo written >/var/lib/written")
    layer = f"state-{vm_lab.id}"
    vm_lab.save(machine.name, layer)
    (clone,) = vm_lab.up(["clone"], layer=layer)
    try:
        for node in (machine, clone):
            assert node.ssh("cat /var/lib/written; ls -d /run/only-in-memory").stdout.split() == [
                "written",
                "/run/only-in-memory",
            ]
        assert clone.ssh("hostname").stdout == "clone\n"
        with pytest.raises(LabError, match=f"in use by clone, {machine.name}"):
            vm_lab.drop(layer)
    finally:
        vm_lab.down([clone.name, machine.name])
        vm_lab.drop(layer)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0])
def test_up_killed_at_any_time_is_mended_by_up(vm_lab: Lab, seconds: float) -> None:
    name = f"killed-{int(seconds * 100)}"
    program = "import sys; from pathlib import Path; from provision.lab import Lab; "
    program += "Lab(Path(sys.argv[1]), store=Path(sys.argv[2])).up([sys.argv[3]], vm=sys.argv[4])"
    controller = subprocess.Popen([sys.executable, "-c", program, str(vm_lab.state), str(vm_lab.store), name, NATIVE])
    time.sleep(seconds)
    controller.send_signal(signal.SIGKILL)
    controller.wait()

    (node,) = vm_lab.up([name], vm=NATIVE)

    assert node.ssh("hostname").stdout.strip() == name
    vm_lab.down([name])
    assert name not in kernel_state(vm_lab)


def test_a_node_of_another_kind_is_not_taken_for_it(vm_lab: Lab, machine: VirtualMachine) -> None:
    other = architecture_of_nobody_here()
    with pytest.raises(LabError, match=f"{machine.name} exists already, as a machine of {NATIVE} and not of {other}"):
        vm_lab.up([machine.name], vm=other)


def architecture_of_nobody_here() -> Arch:
    return "aarch64" if NATIVE == "x86_64" else "x86_64"


def test_clean_leaves_nothing(vm_lab: Lab) -> None:
    own = Lab(vm_lab.state.with_name(f"{vm_lab.state.name}-clean"), store=vm_lab.store)
    own.up(["one"], vm=NATIVE)
    assert "qemu-system" in kernel_state(own)

    own.clean()

    assert kernel_state(own) == ""
    assert not own.state.exists()
    assert not list(Path("/proc/sys/fs/binfmt_misc").glob("provision-lab-*"))
