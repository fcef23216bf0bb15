"""The one state machine: plan, snapshot and ledger in, the next step out. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from provision.model import BootEntry, Entry, Frozen, Gate, LedgerEntry, Packages, Plan, Snapshot
from provision.steps.drift import Due, NotApplicable, difference, drift, limit_of, not_applicable


class Stretch(Frozen):
    """Everything due in one boot, in order, judged from one snapshot."""

    boot: int
    due: tuple[Due, ...]


class Reboot(Frozen):
    """Reboot the node that runs `boot_id`; `trial` is a kernel to start once, before it becomes the default."""

    boot_id: str
    why: str
    trial: str | None = None


class Stop(Frozen):
    """Nothing may be done before a person has acted."""

    reason: str


class Done(Frozen):
    not_applicable: tuple[NotApplicable, ...] = ()


Step = Stretch | Reboot | Stop | Done


def next_step(plan: Plan, snapshot: Snapshot, ledger: Sequence[LedgerEntry]) -> Step:
    """What to do with a node now.

    Args:
        plan: what should be.
        snapshot: what one probe just read.
        ledger: this node's entries, oldest first.
    """
    for number, due in enumerate(drift(plan, snapshot)):
        unmet = _unmet_boot_gate(plan, number, snapshot)
        if unmet is not None:
            return _reboot_for_gate(plan, unmet, snapshot, ledger)
        if due:
            return Stretch(boot=number, due=due)
        if snapshot.reboot_due == snapshot.boot_id:
            return _reboot(plan, "a change made since the last boot takes effect with a reboot", snapshot, ledger)
    return Done(not_applicable=not_applicable(plan, snapshot))


def transaction(due: Sequence[Due]) -> tuple[Packages, ...]:
    """All packages that are due together: one boot has one package transaction, carried out at the first of them."""
    return tuple(d.entry.resource for d in due if isinstance(d.entry.resource, Packages))


def budget(plan: Plan) -> int:
    """How many reboots a plan may cost: one for each of its boots, and one for a rerun."""
    return len(plan.boots) + 1


def _unmet_boot_gate(plan: Plan, boot: int, snapshot: Snapshot) -> Entry | None:
    """A gate of this boot that only a reboot can make hold (running kernel, page size)."""
    if boot == 0:
        return None
    for entry in plan.boots[boot]:
        gate = entry.resource
        if isinstance(gate, Gate) and gate.boot_scoped and limit_of(gate, snapshot) is None:
            state = snapshot.gates.get(gate.name)
            if state is None or not state.holds:
                return entry
    return None


def _reboot_for_gate(plan: Plan, entry: Entry, snapshot: Snapshot, ledger: Sequence[LedgerEntry]) -> Step:
    gate = entry.resource
    assert isinstance(gate, Gate)
    told = difference(plan, gate, snapshot)
    if snapshot.reboot_due != snapshot.boot_id and _rebooted(plan, ledger):
        return Stop(reason=f"after the reboot it is still {told}. {gate.remedy}")
    return _reboot(plan, told, snapshot, ledger)


def _reboot(plan: Plan, why: str, snapshot: Snapshot, ledger: Sequence[LedgerEntry]) -> Step:
    spent = {e.boot_id for e in _since_done(plan, ledger) if e.step == "reboot"} - {snapshot.boot_id}
    if len(spent) >= budget(plan):
        return Stop(
            reason=f"{len(spent)} reboots were spent on this plan and another one is due ({why}); "
            "a loop is more likely than progress. Look at the node, then run again with --retry"
        )
    return Reboot(boot_id=snapshot.boot_id, why=why, trial=_trial(plan, snapshot))


def _trial(plan: Plan, snapshot: Snapshot) -> str | None:
    for entry in plan.entries:
        resource = entry.resource
        if isinstance(resource, BootEntry) and limit_of(resource, snapshot) is None:
            return None if snapshot.default_kernel == resource.release else resource.release
    return None


def _since_done(plan: Plan, ledger: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Entries of this plan since it was last done, or since a person asked to try again."""
    entries: list[LedgerEntry] = []
    for entry in ledger:
        if entry.plan != plan.digest:
            continue
        entries = [] if entry.step in {"done", "retry"} else [*entries, entry]
    return entries


def _rebooted(plan: Plan, ledger: Sequence[LedgerEntry]) -> bool:
    return any(entry.step == "booted" for entry in _since_done(plan, ledger))
