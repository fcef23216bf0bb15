"""The one state machine: plan, snapshot and ledger in, the next step out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from provision.model import BootEntry, Frozen, Gate, LedgerEntry, Manual, Packages, Plan, Snapshot
from provision.platforms import trial_boot
from provision.steps.drift import Due, NotApplicable, drift, limit_of, not_applicable
from provision.steps.resource import difference


class Stretch(Frozen):
    """Everything due in one boot, in order, judged from one snapshot."""

    boot: int
    due: tuple[Due, ...]


class Reboot(Frozen):
    """Reboot the node that runs `boot_id`; `trial` is a kernel to start once, before it becomes the default."""

    boot_id: str
    why: str
    trial: str | None = None
    words: tuple[str, ...] = ()
    """Of ours on the command line of the trial."""


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
    proven = proven_trial(plan, snapshot)
    if proven is not None:
        return proven
    awaiting = _first_awaiting(plan, snapshot)
    for number, due in enumerate(drift(plan, snapshot)):
        unmet = _unmet_boot_gate(plan, number, snapshot)
        if unmet is not None:
            return _reboot_for_gate(plan, unmet, snapshot, ledger)
        if due:
            return _stretch(number, due, snapshot)
        if awaiting is not None and awaiting <= number:
            return _reboot_for_change(plan, number, snapshot, ledger)
    return Done(not_applicable=not_applicable(plan, snapshot))


def _stretch(boot: int, due: tuple[Due, ...], snapshot: Snapshot) -> Stretch | Stop:
    """What is due, up to what only a person can do."""
    doable = tuple(takewhile(lambda one: not isinstance(one.entry.resource, Manual), due))
    if doable:
        return Stretch(boot=boot, due=doable)
    person = due[0].entry.resource
    assert isinstance(person, Manual)
    state = snapshot.gates.get(person.name)
    evidence = f" ({state.evidence})" if state and state.evidence else ""
    return Stop(reason=f"{person.title}{evidence}. {person.instruction}")


def _first_awaiting(plan: Plan, snapshot: Snapshot) -> int | None:
    """The first boot of which a change waits for a reboot; the very first where it is not known of which.

    A later boot that was cut is finished before the reboot that it asks for: rebooted first, it would have to be twice.
    """
    if snapshot.reboot_due != snapshot.boot_id:
        return None
    return min((plan.boot_of.get(name, 0) for name in snapshot.reboot_for), default=0)


def _reboot_for_change(plan: Plan, boot: int, snapshot: Snapshot, ledger: Sequence[LedgerEntry]) -> Reboot | Stop:
    """The reboot that a change asks for; not a second one for what the running kernel lacks after the first as before.

    A kernel on trial is told apart by itself, see `_tried_in_vain`.
    """
    lacking = _lacking(plan, boot, snapshot)
    if lacking and _trial(plan, snapshot) is None and _rebooted_for(lacking, plan, snapshot, ledger):
        return Stop(
            reason=f"after a reboot for just that it is still so: {lacking}. Another reboot would not bring it; look "
            "at what boot loader or firmware make of it (/proc/cmdline, `dmesg`), then run again with --retry"
        )
    why = lacking or "a change made since the last boot takes effect with a reboot"
    return _reboot(plan, why, snapshot, ledger)


def _rebooted_for(why: str, plan: Plan, snapshot: Snapshot, ledger: Sequence[LedgerEntry]) -> bool:
    """Was a reboot ordered for this very reason since the plan was last done, and carried out?"""
    return any(
        e.step == "reboot" and e.detail == why and e.boot_id != snapshot.boot_id for e in _since_done(plan, ledger)
    )


def _lacking(plan: Plan, boot: int, snapshot: Snapshot) -> str:
    """What the running kernel lacks of what was carried out up to this boot; empty where that cannot be seen."""
    free = snapshot.model_copy(update={"reboot_due": ""})
    entries = [entry.resource for done in plan.boots[: boot + 1] for entry in done]
    waits = [r for r in entries if (r.boot_scoped or r.name in snapshot.reboot_for) and not isinstance(r, Gate)]
    awaited = [r for r in waits if limit_of(r, snapshot) is None]
    return "; ".join(text for r in awaited if (text := difference(plan, r, free)))


def transaction(due: Sequence[Due]) -> tuple[Due, ...]:
    """All packages that are due together: one boot has one package transaction, carried out at the first of them."""
    return tuple(one for one in due if isinstance(one.entry.resource, Packages))


def budget(plan: Plan) -> int:
    """How many reboots a plan may cost: one for each of its boots, and one for a rerun."""
    return len(plan.boots) + 1


def proven_trial(plan: Plan, snapshot: Snapshot) -> Stretch | None:
    """What makes a trial that runs and passes its gates the default; None where there is no such trial.

    Before anything else, and by whoever waited for that boot: its time runs out.
    """
    trial = _trial(plan, snapshot)
    if trial is None or snapshot.trial is None or snapshot.trial.boot_id == snapshot.boot_id:
        return None
    if snapshot.kernel != trial.release:
        return None
    for number, boot in enumerate(plan.boots):
        gates = [e.resource for e in boot if isinstance(e.resource, Gate) and e.resource.after == "kernel"]
        default = next((e for e in boot if isinstance(e.resource, BootEntry)), None)
        if default is not None:
            proven = all(_holds(gate, snapshot) for gate in gates)
            why = difference(plan, default.resource, snapshot)
            return Stretch(boot=number, due=(Due(entry=default, why=why, reach="daemons"),)) if proven else None
    return None


def _holds(gate: Gate, snapshot: Snapshot) -> bool:
    state = snapshot.gates.get(gate.name)
    return limit_of(gate, snapshot) is not None or (state is not None and state.holds)


def _unmet_boot_gate(plan: Plan, boot: int, snapshot: Snapshot) -> Gate | None:
    """A gate of this boot that only a reboot can make hold (running kernel, page size)."""
    if boot == 0:
        return None
    gates = (entry.resource for entry in plan.boots[boot] if isinstance(entry.resource, Gate))
    return next((gate for gate in gates if gate.boot_scoped and not _holds(gate, snapshot)), None)


def _reboot_for_gate(plan: Plan, gate: Gate, snapshot: Snapshot, ledger: Sequence[LedgerEntry]) -> Reboot | Stop:
    told = difference(plan, gate, snapshot)
    trial = _trial(plan, snapshot)
    told_apart = trial is not None and snapshot.trial is not None and snapshot.trial.release == trial.release
    if not told_apart and snapshot.reboot_due != snapshot.boot_id and _rebooted(plan, ledger):
        return Stop(reason=f"after the reboot it is still {told}. {gate.remedy}")
    return _reboot(plan, told, snapshot, ledger)


def _reboot(plan: Plan, why: str, snapshot: Snapshot, ledger: Sequence[LedgerEntry]) -> Reboot | Stop:
    trial = _trial(plan, snapshot)
    if trial is not None and _tried_in_vain(plan, trial.release, snapshot, ledger):
        return Stop(reason=_failed_trial(trial, why, snapshot))
    spent = {e.boot_id for e in _since_done(plan, ledger) if e.step == "reboot"} - {snapshot.boot_id}
    if len(spent) >= budget(plan):
        return Stop(
            reason=f"{len(spent)} reboots were spent on this plan and another one is due ({why}); "
            "a loop is more likely than progress. Look at the node, then run again with --retry"
        )
    if trial is None:
        return Reboot(boot_id=snapshot.boot_id, why=why)
    return Reboot(boot_id=snapshot.boot_id, why=why, trial=trial.release, words=trial.words)


def _tried_in_vain(plan: Plan, release: str, snapshot: Snapshot, ledger: Sequence[LedgerEntry]) -> bool:
    """Was this very kernel started once, with these very arguments, and are they not the default for all that?

    The node's own record says so; this controller's ledger, whether another plan ordered it, or a person has asked
    again since. A trial that another controller ordered is not in it, and counts.
    """
    trial = snapshot.trial
    if trial is None or trial.release != release or trial.changed or trial.boot_id == snapshot.boot_id:
        return False
    reboots = [n for n, e in enumerate(ledger) if e.step == "reboot"]
    ordered = next((n for n in reversed(reboots) if ledger[n].boot_id == trial.boot_id), None)
    if ordered is not None and ledger[ordered].plan != plan.digest:
        return False
    latest = reboots[-1] if reboots else -1
    return not any(e.step == "retry" for e in ledger[latest + 1 :])


def _failed_trial(trial: BootEntry, why: str, snapshot: Snapshot) -> str:
    tried = f"kernel {trial.release} was booted on trial" + (f" with {' '.join(trial.words)}" if trial.words else "")
    return (
        f"{tried}, {_outcome(trial, why, snapshot)}. It is not tried again as it is. The console of that boot, or "
        "`journalctl -k -b -1` where the journal is kept, tells what went wrong; mend it and rebuild the initrd or "
        "change the plan, then run again; --retry tries the same kernel once more"
    )


def _outcome(trial: BootEntry, why: str, snapshot: Snapshot) -> str:
    if snapshot.kernel != trial.release:
        return f"and the node came back on {snapshot.kernel}"
    if snapshot.default_kernel == trial.release and trial_boot.WORD not in snapshot.cmdline:
        return f"and the node came back with the arguments that it had before: {why}"
    return f"but {why}; unless that is mended the node resets itself and boots its old kernel"


def _trial(plan: Plan, snapshot: Snapshot) -> BootEntry | None:
    """What must be started once before it becomes the default: a kernel, or other arguments for it."""
    for entry in plan.entries:
        resource = entry.resource
        if isinstance(resource, BootEntry) and limit_of(resource, snapshot) is None:
            return resource if difference(plan, resource, snapshot) else None
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
