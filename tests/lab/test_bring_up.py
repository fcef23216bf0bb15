"""The main job on real input: a bare Debian node becomes what `inventories/lab.py` declares, with NVIDIA's packages.

A DKMS build takes minutes, so the converged node is kept as a layer, under the digest of its plan, with the record of
the run that made it; later sessions in the same checkout start from the layer and judge that record.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.engines.events import read
from provision.inventory import read_inventory
from provision.lab import Lab, Node
from provision.ledger import Reading
from provision.model import Derived, Snapshot
from provision.planning import Planned, assemble, rooms

CHECKOUT = Path(__file__).parents[2]
INVENTORY = CHECKOUT / "inventories" / "lab.py"
NAME = "gpu1"


class Converged:
    """A node that was brought up, the record of how, and a way to run the same command again."""

    def __init__(self, lab: Lab, state: Path) -> None:
        self.lab, self.state = lab, state
        self.environment = os.environ | {
            "PROVISION_LAB": str(lab.state),
            "PROVISION_STATE": str(state),
            "PROVISION_LAB_NODES": NAME,
            "PYINFRA_PROGRESS": "off",
        }

    @property
    def node(self) -> Node:
        return self.lab.node(NAME)

    @property
    def planned(self) -> Planned:
        spec = read_inventory(INVENTORY)[NAME]
        return assemble(spec, rooms(), Reading(NAME, self.state).load())

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pyinfra", str(INVENTORY), "deploy.py", "-y", *arguments]
        return subprocess.run(
            command,
            check=False,
            cwd=CHECKOUT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def events(self) -> list[dict[str, Any]]:
        """The newest run's."""
        newest = sorted((self.state / "runs").iterdir())[-1]
        return list(read(newest))


@pytest.fixture(scope="module")
def first(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converged]:
    """The node, converged; `state/` holds the record of the run that converged it."""
    state = tmp_path_factory.mktemp("bring-up") / "state"
    converged = Converged(lab, state)
    kept = {layer.name for layer in lab.layers()}
    records = lab.store / "records"
    known = next((r for r in sorted(records.glob("*")) if r.name in kept and _same_plan(r)), None)
    if known is not None:
        shutil.copytree(known, state)
        lab.up([NAME], layer=known.name)
    else:
        lab.up([NAME])
        ran = converged.run()
        assert ran.returncode == 0, ran.stderr[-3000:]
        name = converged.planned.plan.digest
        lab.save(NAME, name)
        shutil.rmtree(records / name, ignore_errors=True)
        shutil.copytree(state, records / name)
    yield converged
    lab.down([NAME])


def _same_plan(record: Path) -> bool:
    """Would today's code plan the same for the node that left this record?"""
    reading = Reading(NAME, record).load()
    return (
        reading is not None and assemble(read_inventory(INVENTORY)[NAME], rooms(), reading).plan.digest == record.name
    )


def _connections(node: Node) -> int:
    return int(node.sudo("journalctl -u ssh --no-pager | grep -c 'Accepted publickey' || :").stdout)


def _commands(node: Node) -> int:
    """Programs that pyinfra sent, by sudo's own record; the bracket keeps the question out of its answer."""
    return int(node.sudo("journalctl -t sudo --no-pager | grep -c 'COMMAND=.*sh -[s]' || :").stdout)


def test_the_node_came_up_through_one_transaction_one_build_one_initrd_and_one_reboot(first: Converged) -> None:
    events = list(read(sorted((first.state / "runs").iterdir())[0]))
    done = [event["resource"] for event in events if event["event"] == "ok"]
    assert [event["event"] for event in events if event["event"] in {"failed", "refused"}] == []
    assert done.count("module-build") == 1
    assert done.count("initrd") == 1
    assert [name for name in done if name.endswith("-packages") and not name.startswith("preflight")] == [
        "kernel-packages"
    ]
    assert [event["event"] for event in events].count("reboot") == 1
    assert events[-1]["event"] == "done"


def test_what_a_container_cannot_hold_is_told_and_not_pretended(first: Converged) -> None:
    (told,) = (e["not_applicable"] for e in read(sorted((first.state / "runs").iterdir())[0]) if e["event"] == "done")
    assert told["running-kernel"] == "boot"
    assert told["gpu-answers"] in {"boot", "modules", "hardware"}


def test_the_modules_are_real_and_for_the_target_kernel(first: Converged) -> None:
    release, driver = first.planned.stack.version("kernel"), first.planned.stack.version("driver")
    found = first.node.sudo(f"find /lib/modules/{release}/updates -name 'nvidia*.ko*'").stdout.split()
    assert len(found) == 5
    for module in found:
        assert first.node.sudo(f"modinfo -F vermagic {module}").stdout.split()[0] == release
        assert first.node.sudo(f"modinfo -F version {module}").stdout.strip() == driver


def test_a_second_run_is_one_connection_and_one_command_and_changes_nothing(first: Converged) -> None:
    # A node that starts from the layer is another machine, whose archive is asked once.
    assert first.run().returncode == 0
    stamps = "cat /var/lib/provision/derived/*; stat -c %Y /boot/initrd.img-* /lib/modules/*/modules.dep"
    before, connections = first.node.sudo(stamps).stdout, _connections(first.node)
    commands = _commands(first.node)

    again = first.run()

    assert again.returncode == 0, again.stderr[-3000:]
    kinds = [event["event"] for event in first.events()]
    assert kinds == ["drift", "done"]
    assert first.node.sudo(stamps).stdout == before
    # The test's own ssh is multiplexed over a connection that is open already.
    assert _connections(first.node) - connections == 1
    assert _commands(first.node) - commands == 1


def test_everything_the_plan_says_is_verified_on_the_node(first: Converged, tmp_path: Path) -> None:
    verified = subprocess.run(
        [sys.executable, "-m", "provision", "verify", str(INVENTORY), "--out", str(tmp_path)],
        check=False,
        cwd=CHECKOUT,
        env=first.environment,
        capture_output=True,
        text=True,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def _drift(first: Converged, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provision", "drift", str(INVENTORY), *arguments],
        check=False,
        cwd=CHECKOUT,
        env=first.environment,
        capture_output=True,
        text=True,
    )


def test_drift_tells_by_its_exit_code_what_the_node_is_like_and_changes_nothing(first: Converged) -> None:
    path = "/etc/modprobe.d/provision-rivals.conf"
    assert _drift(first).returncode == 0

    first.node.sudo(f"cp {path} /root/kept; rm {path}")
    told = _drift(first)
    assert told.returncode == 3
    assert f"rival-drivers: {path} is missing (would write)" in told.stdout
    assert "initrd: rival-drivers changes (would make anew)" in told.stdout
    assert first.node.sudo(f"test -e {path}").returncode == 1
    first.node.sudo(f"cp -p /root/kept {path}; rm /root/kept")
    assert _drift(first).returncode == 0

    first.node.power_cut()
    try:
        assert _drift(first).returncode == 1
    finally:
        first.node.power_on()


def test_a_file_changed_by_hand_is_repaired_with_what_derives_from_it(first: Converged) -> None:
    path = "/etc/modprobe.d/provision-rivals.conf"
    first.node.sudo(f"echo '# mine' >> {path}")

    assert first.run().returncode == 0

    done = [event["resource"] for event in first.events() if event["event"] == "ok"]
    derived = {e.name for e in first.planned.plan.entries if isinstance(e.resource, Derived)}
    assert "rival-drivers" in done
    assert derived.intersection(done) == {"initrd"}
    assert "# mine" not in first.node.sudo(f"cat {path}").stdout


def test_the_record_holds_the_node_before_and_after(first: Converged) -> None:
    run = sorted((first.state / "runs").iterdir())[0]
    before = Snapshot.model_validate_json((run / f"{NAME}.before.json").read_text())
    after = Snapshot.model_validate_json((run / f"{NAME}.after.json").read_text())
    assert before.boot_id != after.boot_id
    assert not before.kernels
    assert [kernel.initrd for kernel in after.kernels] == [True]
