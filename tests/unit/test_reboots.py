"""The fewest reboots: a faithful machine is brought through whole plans of the shipped roles, and its reboots counted."""

from __future__ import annotations

import pytest
from samples import carried_out, machine, marked, noted

from provision.model import Gate, GateState, LedgerEntry, Manual, NodeSpec, Plan, Snapshot
from provision.planning import assemble, rooms
from provision.steps import Done, Reboot, Stop, Stretch, boot_scoped, drift, next_step


def carry_out(plan: Plan, step: Stretch, snapshot: Snapshot) -> Snapshot:
    for due in step.due:
        if boot_scoped(plan, due.entry.name):
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


def reboots(plan: Plan, arch: str) -> int:
    by_hand = {entry.name: GateState(holds=True) for entry in plan.entries if isinstance(entry.resource, Manual)}
    snapshot, ledger = machine(arch=arch, gates=by_hand), list[LedgerEntry]()
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
    assert reboots(assemble(spec, rooms()).plan, arch) == fewest
