"""What a lab node is for: it answers, installs, reboots, loses its power, is kept as a layer, and leaves nothing."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path

import paramiko
import pytest
from sessions import kernel_state, output

from provision.lab import Lab, LabError, Node
from provision.lab.settings import FORWARD, INOTIFY, RECORD

SETTINGS = (FORWARD, INOTIFY)


def test_two_nodes_answer_at_once_each_under_its_own_name(pair: tuple[Node, Node]) -> None:
    assert [node.ssh("hostname").stdout.strip() for node in pair] == [node.name for node in pair]
    assert len({node.boot_id() for node in pair}) == 2
    assert len({node.ssh("cat /etc/machine-id").stdout for node in pair}) == 2
    assert {node.ssh("systemctl is-system-running --wait").stdout for node in pair} == {"running\n"}


def test_the_user_may_sudo_and_the_node_bears_the_mark(node: Node) -> None:
    assert node.ssh("id -un; sudo -n id -un").stdout.split() == ["lab", "root"]
    assert node.sudo("test -e /etc/provision-lab && ! test -e /usr/sbin/policy-rc.d && id -u").stdout == "0\n"
    assert node.sudo("cat", stdin="a word\n").stdout == "a word\n"


def test_paramiko_accepts_the_generated_ssh_config_and_the_host_key(node: Node) -> None:
    settings = paramiko.SSHConfig.from_path(str(node.ssh_config)).lookup(node.name)
    assert settings["stricthostkeychecking"] == "yes"
    with paramiko.SSHClient() as client:
        client.load_host_keys(settings["userknownhostsfile"])
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.connect(settings["hostname"], username=settings["user"], key_filename=settings["identityfile"])
        _, out, _ = client.exec_command("hostname")
        assert out.read().decode().strip() == node.name


def test_pyinfra_accepts_the_generated_ssh_config(node: Node, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pyinfra", f"@ssh/{node.name}", "--data", f"ssh_config_file={node.ssh_config}"),
            *("-y", "exec", "--", "sudo -n hostname"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert f"[@ssh/{node.name}] {node.name}" in done.stdout + done.stderr


def test_apt_reads_the_archive_and_installs(node: Node) -> None:
    known = node.ssh("apt-cache policy hello")
    assert "Candidate: (none)" not in known.stdout
    assert "Candidate:" in known.stdout, "package lists are there before the first apt-get update"

    done = node.sudo("apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes hello")

    assert done.returncode == 0, done.stderr
    assert node.ssh("hello").stdout == "Hello, world!\n"


def test_a_reboot_is_a_new_boot_id_and_a_new_uptime(node: Node) -> None:
    before = node.boot_id()
    node.sudo("mkdir -p /var/lib/kept && echo kept >/var/lib/kept/file")
    begun = time.monotonic()

    after = node.reboot()

    assert after != before
    uptime = float(node.ssh("cut -d' ' -f1 /proc/uptime").stdout)
    assert uptime < time.monotonic() - begun, "it counts from before the reboot"
    assert node.ssh("cat /var/lib/kept/file").stdout == "kept\n"
    assert node.boots == 2


def test_a_power_cut_kills_everything_and_keeps_what_was_written(node: Node) -> None:
    before = node.boot_id()
    sleeper = subprocess.Popen(
        ["ssh", "-F", str(node.ssh_config), "-o", "ControlPath=none", node.name, "echo half >written; exec sleep 1000"],
        stderr=subprocess.DEVNULL,
    )
    while node.ssh("test -s written && pgrep -x sleep").returncode != 0:
        time.sleep(0.05)
    alive = node.processes
    assert len(alive) > 5

    node.power_cut()

    assert [process for process in alive if Path(f"/proc/{process}/exe").exists()] == []
    assert not node.running
    assert sleeper.wait(timeout=60) == 255
    node.power_on()
    assert node.boot_id() != before
    assert node.ssh("cat written; pgrep -x sleep").stdout == "half\n"


def test_a_node_that_is_off_says_so(node: Node) -> None:
    boot = node.boot_id()
    node.sudo("systemctl poweroff")
    with pytest.raises(LabError, match=f"{node.name} is off"):
        node.wait(unlike=boot)
    assert not node.running


def test_up_leaves_a_running_node_alone(lab: Lab, node: Node) -> None:
    before = node.boot_id()
    (same,) = lab.up([node.name])
    assert same.boot_id() == before
    assert same.boots == 1


def test_a_network_that_somebody_uses_is_refused(lab: Lab, node: Node) -> None:
    subnet = ip_network(f"{node.address}/24", strict=False)
    other = Lab(lab.state.with_name(f"{lab.state.name}-other"), store=lab.store, subnet=str(subnet))
    try:
        with pytest.raises(LabError, match=rf"{subnet} is taken .* route to {node.address}"):
            other.up(["intruder"])
        assert kernel_state(other) == ""
    finally:
        other.clean()


def test_an_address_that_answers_is_refused_and_nothing_is_left(lab: Lab, node: Node) -> None:
    other = Lab(lab.state.with_name(f"{lab.state.name}-other"), store=lab.store, subnet="10.237.93.0/24")
    first = "10.237.93.11"
    # A machine that answers there without a route of its own that could tell of it: behind a node of the first lab.
    space = f"provision-{lab.id}-{node.name}"
    output("ip", "-n", space, "address", "add", f"{first}/32", "dev", "lo")
    output("ip", "rule", "add", "to", f"{first}/32", "lookup", "237")
    output("ip", "route", "add", "default", "via", node.address, "dev", interface_to(node), "table", "237", "onlink")
    try:
        with pytest.raises(LabError, match=f"{first} is taken: a machine answers there"):
            other.up(["intruder"])
        assert other.nodes() == []
        assert kernel_state(other) == ""
    finally:
        output("ip", "route", "flush", "table", "237")
        output("ip", "rule", "del", "to", f"{first}/32", "lookup", "237")
        other.clean()


def interface_to(node: Node) -> str:
    (route,) = json.loads(output("ip", "-json", "route", "get", node.address))
    return str(route["dev"])


def test_a_saved_layer_carries_files_but_not_the_identity(lab: Lab, node: Node) -> None:
    node.sudo("echo built >/var/lib/built; rm /etc/os-release")
    identity = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
    mine = node.ssh(identity).stdout
    layer = f"test-{lab.id}"

    lab.save(node.name, layer)
    (copy,) = lab.up([f"{node.name}-copy"], layer=layer)

    try:
        assert copy.ssh("cat /var/lib/built; test -e /etc/os-release || echo gone").stdout == "built\ngone\n"
        assert node.ssh("cat /var/lib/built").stdout == "built\n", "the saved node goes on"
        assert node.ssh(identity).stdout == mine
        assert not set(copy.ssh(identity).stdout.splitlines()) & set(mine.splitlines())
        copy.sudo("echo changed >/var/lib/built")
        assert node.ssh("cat /var/lib/built").stdout == "built\n", "a layer is shared read-only"
    finally:
        lab.down([copy.name, node.name])
        lab.drop(layer)


def test_reset_gives_a_new_machine_at_the_same_address(lab: Lab, node: Node) -> None:
    node.sudo("touch /var/lib/touched")
    before = node.ssh("cat /etc/machine-id").stdout

    fresh = lab.reset(node.name)

    assert fresh.address == node.address
    assert fresh.ssh("test -e /var/lib/touched").returncode == 1
    assert fresh.ssh("cat /etc/machine-id").stdout not in ("", before)


def test_two_commands_at_once_wait_for_each_other(lab: Lab, node: Node) -> None:
    program = "import sys; from pathlib import Path; from provision.lab import Lab; "
    program += "Lab(Path(sys.argv[1]), store=Path(sys.argv[2]), say=print).up([sys.argv[3]])"
    with (lab.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [sys.executable, "-u", "-c", program, str(lab.state), str(lab.store), node.name],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert second.stdout is not None
        assert second.stdout.readline() == "waiting for another lab command to end\n"
        assert second.poll() is None
    second.stdout.close()
    assert second.wait(timeout=120) == 0


@pytest.mark.parametrize("seconds", [0.25, 0.4, 0.6, 0.9])
def test_up_killed_at_any_time_is_mended_by_up(lab: Lab, seconds: float) -> None:
    name = f"killed-{int(seconds * 100)}"
    program = "import sys; from pathlib import Path; from provision.lab import Lab; "
    program += "Lab(Path(sys.argv[1]), store=Path(sys.argv[2])).up([sys.argv[3]])"
    controller = subprocess.Popen([sys.executable, "-c", program, str(lab.state), str(lab.store), name])
    time.sleep(seconds)
    controller.kill()
    controller.wait()

    (node,) = lab.up([name])

    assert node.ssh("hostname").stdout.strip() == name
    lab.down([name])
    assert name not in kernel_state(lab)


@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.1])
def test_save_killed_at_any_time_loses_nothing(lab: Lab, node: Node, seconds: float) -> None:
    node.sudo("echo built >/var/lib/built")
    layer = f"killed-{lab.id}"
    program = "import sys; from pathlib import Path; from provision.lab import Lab; "
    program += "Lab(Path(sys.argv[1]), store=Path(sys.argv[2])).save(*sys.argv[3:])"
    controller = subprocess.Popen([sys.executable, "-c", program, str(lab.state), str(lab.store), node.name, layer])
    time.sleep(seconds)
    controller.kill()
    controller.wait()

    lab.save(node.name, layer)
    (same,) = lab.up([node.name])

    assert same.ssh("cat /var/lib/built").stdout == "built\n"
    lab.down([node.name])
    lab.drop(layer)


def test_clean_leaves_nothing(lab: Lab) -> None:
    others = any(RECORD.glob("lab-*"))
    before = [setting.read_text(encoding="ascii") for setting in SETTINGS]
    own = Lab(lab.state.with_name(f"{lab.state.name}-clean"), store=lab.store)
    one, two = own.up(["one", "two"])
    two.power_cut()
    processes = one.processes
    assert one.name in kernel_state(own)

    own.clean()

    assert kernel_state(own) == ""
    assert [process for process in processes if Path(f"/proc/{process}/exe").exists()] == []
    assert not own.state.exists()
    if not others:
        assert [setting.read_text(encoding="ascii") for setting in SETTINGS] == before
    own.clean()
    assert any(lab.store.glob("base-*")), "a shared store stays"
