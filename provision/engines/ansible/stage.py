"""Before each boot of a play and at its end: the node is read, and rebooted where that is the next step.

What is next is decided by `provision.steps.next_step` alone, from a new reading, as with pyinfra. There is no new
reading where the last one still holds: a converged node is asked once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from provision.engines.ansible.kept import Kept, asked
from provision.engines.ansible.resource import carry_out
from provision.engines.ansible.work import Work
from provision.engines.node import Refused
from provision.model import Manual, Snapshot
from provision.steps import Done, Due, Reboot, Step, Stop, Stretch, drift, not_applicable, proven_trial

BOOTS = 3
"""Boots that the collection's playbook and roles have tasks for: kernel, driver, and the rest."""

MOST_STEPS = 12
"""More steps than any plan has: a node that needs more does not settle."""

NAMES = {Stretch: "stretch", Reboot: "reboot", Stop: "stop", Done: "done"}


class Stage(NamedTuple):
    """What a boot's tasks go by, and whether the node was, or would be, changed before them: rebooted, mostly."""

    kept: Kept
    changed: bool = False
    stop: str = ""
    """Foreseen: why nothing could be done before a person has acted."""


def advance(work: Work, boot: int) -> Stage:
    """Read the node before a boot, and reboot it as often as that is the next step.

    Raises: Refused, AtWork, Unreadable, and what planning raises.
    """
    _begin(work)
    before = work.kept()
    if before is not None and before.is_enough_for(boot):
        return Stage(before)
    changed = False
    for _ in range(MOST_STEPS):
        snapshot = work.node.read()
        step = work.node.next(snapshot)
        if before is None and not changed:
            work.node.tell_drift(snapshot, step)
        match step:
            case Stretch(due=due) if proven_trial(work.plan, snapshot) is not None:
                # Not in a task of its own: that would wait for every other host, and a trial's time runs out.
                _confirm(work, due)
                changed = True
                continue
            case Reboot():
                work.node.reboot(snapshot, step)
                changed = True
                continue
            case Stop(reason=reason):
                work.node.note(snapshot, "stop", reason)
                raise Refused(f"{work.node.name}: {reason}")
            case Done():
                work.node.close(snapshot, step)
        return Stage(concluded(work, boot, snapshot, step), changed)
    raise Refused(f"{work.node.name}: does not settle after {MOST_STEPS} steps")


def finish(work: Work) -> Stage:
    """The end of a play: nothing that was asked for is due. Raises: as `advance`."""
    stage = advance(work, BOOTS)
    left = "; ".join(f"{one.entry.name} ({one.why})" for due in stage.kept.boots for one in due)
    if left:
        raise Refused(f"{work.node.name}: still due: {left}. Run again; what is due then again does not settle")
    return stage


def foresee(work: Work, boot: int) -> Stage:
    """What `advance` would find, with nothing changed: one reading serves the whole play. Raises: as `advance`."""
    _begin(work)
    found = work.kept()
    if found is not None:
        return Stage(found, _will_reboot(found, boot))
    snapshot = work.node.read()
    step = work.node.next(snapshot)
    work.node.tell_drift(snapshot, step)
    found = concluded(work, boot, snapshot, step).model_copy(update={"now": ()})
    return Stage(found, isinstance(step, Reboot), step.reason if isinstance(step, Stop) else "")


def concluded(work: Work, boot: int, snapshot: Snapshot, step: Step) -> Kept:
    """What a reading before this boot says to the tasks that follow."""
    due = drift(work.plan, snapshot)
    boots = tuple(asked(stretch, work.roles) for stretch in due)
    return Kept.model_validate(
        {
            "run": work.run,
            "plan": work.plan.digest,
            "step": NAMES[type(step)],
            "boot": step.boot if isinstance(step, Stretch) else 0,
            "now": _now(work, boot, boots, step),
            "boots": boots,
            "limits": {one.entry.name: one.limit for one in not_applicable(work.plan, snapshot)},
        }
    )


def _begin(work: Work) -> None:
    work.begin()
    count = len(work.plan.boots)
    if count > BOOTS:
        raise Refused(
            f"{work.node.name}: its plan has {count} boots, and the tasks of this collection carry out {BOOTS}. "
            "Nothing was changed; bring this node on with pyinfra: provision apply --engine pyinfra"
        )


def _now(work: Work, boot: int, boots: tuple[tuple[Due, ...], ...], step: Step) -> tuple[Due, ...]:
    if not isinstance(step, Stretch):
        return ()
    if work.roles is None:
        return step.due
    # Other roles' items of an earlier boot are left as they are; the gates in between tell whether this can be.
    own = boots[boot] if boot < len(boots) else ()
    return tuple(takewhile(lambda one: not isinstance(one.entry.resource, Manual), own))


def _confirm(work: Work, due: Sequence[Due]) -> None:
    for one in due:
        outcome = carry_out(work, one)
        if outcome.failed:
            raise Refused(f"{work.node.name}: {one.entry.name} failed: {outcome.message}")


def _will_reboot(found: Kept, boot: int) -> bool:
    """Does a change of the boot before this one take effect only with a reboot?"""
    if not 0 < boot <= len(found.boots):
        return False
    return any(one.reach == "kernel" for one in found.boots[boot - 1])
