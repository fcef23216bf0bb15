"""The fewest reboots: a faithful machine is brought through whole plans of the shipped roles, and its reboots counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from samples import carried_out, converged, machine, marked, noted

from provision.model import Gate, GateState, LedgerEntry, Manual, NodeSpec, Plan, Snapshot
from provision.planning import assemble, rooms
from provision.steps import Done, Reboot, Stop, Stretch, drift, next_step


def carry_out(plan: Plan, step: Stretch, snapshot: Snapshot) -> Snapshot:
    for due in step.due:
        if due.reach == "kernel":
            snapshot = marked(snapshot, due.entry.name)
        snapshot = carried_out(plan, due.entry.resource, snapshot)
    return snapshot


def started(plan: Plan, snapshot: Snapshot, number: int, kernel: str) -> Snapshot:
    """Another boot: a gate of it holds where everything of the boots before it had been carried out."""
    behind = drift(plan, snapshot)
    gates = {
        entry.name: GateState(holds=not any(behind[:boot]))
        for boot, entries in enumerate(plan.boots)
        for entry in entries
        if isinstance(entry.resource, Gate) and entry.resource.boot_scoped
    }
    update = {"boot_id": f"boot-{number}", "kernel": kernel, "gates": snapshot.gates | gates}
    return snapshot.model_copy(update=update)


def bare(plan: Plan, arch: str) -> Snapshot:
    """A machine that has nothing, at which a person has done what only a person can."""
    by_hand = {entry.name: GateState(holds=True) for entry in plan.entries if isinstance(entry.resource, Manual)}
    return machine(arch=arch, gates=by_hand)


def reboots(plan: Plan, snapshot: Snapshot) -> int:
    ledger = list[LedgerEntry]()
    for _ in range(20):
        match next_step(plan, snapshot, ledger):
            case Stretch() as step:
                snapshot = carry_out(plan, step, snapshot)
            case Reboot(trial=trial, boot_id=boot_id):
                ledger.append(noted(plan, "reboot", boot_id))
                snapshot = started(plan, snapshot, len(ledger) + 1, trial or snapshot.kernel)
            case Stop(reason=reason):
                raise AssertionError(reason)
            case Done():
                return len(ledger)
    raise AssertionError("does not settle")


@pytest.mark.parametrize(("policy", "fewest"), [("single", 1), ("staged", 2)])
@pytest.mark.parametrize(
    ("os", "arch", "gpu"),
    [
        ("ubuntu22.04", "aarch64", "GH200"),
        ("ubuntu24.04", "aarch64", "GH200"),
        ("ubuntu24.04", "x86_64", "H100"),
        ("debian12", "x86_64", "A100"),
        ("debian13", "x86_64", "H100"),
        ("debian13", "aarch64", "GH200"),
    ],
)
def test_a_bare_machine_reboots_as_often_as_its_policy_allows_and_no_more(
    os: str, arch: str, gpu: str, policy: str, fewest: int
) -> None:
    spec = NodeSpec.model_validate({"os": os, "arch": arch, "gpu": gpu, "reboots": policy})
    plan = assemble(spec, rooms()).plan
    assert reboots(plan, bare(plan, arch)) == fewest


@pytest.mark.parametrize(("policy", "fewest"), [("single", 1), ("staged", 2)])
@pytest.mark.parametrize("features", [["containers"], ["rdma"], ["rdma", "containers", "gdrcopy", "dcgm"]])
def test_no_feature_costs_a_reboot_more(features: list[str], policy: str, fewest: int) -> None:
    plan = production(features, policy)
    assert reboots(plan, bare(plan, "aarch64")) == fewest


def production(features: list[str], policy: str) -> Plan:
    spec = {"os": "ubuntu24.04", "arch": "aarch64", "gpu": "GH200", "features": features, "reboots": policy}
    return assemble(NodeSpec.model_validate(spec), rooms()).plan


def released(snapshot: Snapshot) -> Snapshot:
    states = {name: state.model_copy(update={"status": "ii"}) for name, state in snapshot.packages.items()}
    return snapshot.model_copy(update={"packages": states})


def without(snapshot: Snapshot, path: str) -> Snapshot:
    return snapshot.model_copy(update={"files": {p: state for p, state in snapshot.files.items() if p != path}})


def opened(snapshot: Snapshot) -> Snapshot:
    states = {path: state.model_copy(update={"mode": "666", "owner": "eve"}) for path, state in snapshot.files.items()}
    return snapshot.model_copy(update={"files": states})


def unfinished(snapshot: Snapshot, derived: str) -> Snapshot:
    return snapshot.model_copy(update={"stamps": {n: s for n, s in snapshot.stamps.items() if n != derived}})


HARM: dict[str, tuple[Callable[[Snapshot], Snapshot], int]] = {
    "every hold is released": (released, 0),
    "the CDI specification is lost": (lambda node: without(node, "/var/run/cdi/nvidia.yaml"), 0),
    "a restart was cut": (lambda node: unfinished(node, "container-docker-restart"), 0),
    "mode and owner of every file are others": (opened, 0),
    "a file of module options is lost": (lambda node: without(node, "/etc/modprobe.d/provision-nvidia.conf"), 1),
    "a module build was cut": (lambda node: unfinished(node, "module-build"), 1),
}


@pytest.mark.parametrize("policy", ["single", "staged"])
@pytest.mark.parametrize("harm", HARM)
def test_a_node_at_work_is_mended_with_no_reboot_but_for_what_the_running_kernel_has_to_take_up(
    harm: str, policy: str
) -> None:
    plan = production(["rdma", "containers"], policy)
    harmed, fewest = HARM[harm]
    node = harmed(converged(plan, arch="aarch64"))
    assert any(drift(plan, node))
    assert reboots(plan, node) == fewest
