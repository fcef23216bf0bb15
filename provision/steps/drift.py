"""What differs between a plan and a snapshot. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from provision.model import Derived, Entry, Frozen, Gate, Limit, Manual, Plan, Resource, Snapshot
from provision.steps.reach import Reach, change, within
from provision.steps.resource import difference


class Due(Frozen):
    """An entry that has to be carried out, and what differs."""

    entry: Entry
    why: str
    reach: Reach = "kernel"
    """How far its change reaches. A reboot is owed for `kernel` alone."""


class NotApplicable(Frozen):
    """An entry that this node cannot hold, and the limit that says so."""

    entry: Entry
    limit: Limit


def limit_of(resource: Resource, snapshot: Snapshot) -> Limit | None:
    """The limit of this node under which it cannot hold the resource; None when it can."""
    return next((limit for limit in resource.needs if limit in snapshot.limits), None)


def not_applicable(plan: Plan, snapshot: Snapshot) -> tuple[NotApplicable, ...]:
    return tuple(
        NotApplicable(entry=entry, limit=limit)
        for entry in plan.entries
        if (limit := limit_of(entry.resource, snapshot)) is not None
    )


def drift(plan: Plan, snapshot: Snapshot) -> tuple[tuple[Due, ...], ...]:
    """Per boot: what is due, in order, including what becomes due because something before it is."""
    boots: list[tuple[Due, ...]] = []
    changes: dict[str, Reach] = {}
    refuted = _refuted(plan, snapshot)
    for boot in plan.boots:
        stretch: list[Due] = []
        for entry in boot:
            if limit_of(entry.resource, snapshot) is not None:
                continue
            if isinstance(entry.resource, Gate) and entry.resource.precondition:
                continue
            why = (
                _caused(entry.resource, changes, stretch)
                or difference(plan, entry.resource, snapshot)
                or refuted.get(entry.name, "")
            )
            if why:
                changes[entry.name] = change(plan, entry.resource, snapshot, _causes(entry.resource, changes).values())
                stretch.append(Due(entry=entry, why=why, reach=within(plan, entry.name, changes[entry.name])))
        boots.append((*_preconditions(boot, stretch, snapshot), *stretch))
    return tuple(boots)


def _refuted(plan: Plan, snapshot: Snapshot) -> dict[str, str]:
    """Derived resources whose proof does not hold, and what the proof says instead."""
    told: dict[str, str] = {}
    for entry in plan.entries:
        gate = entry.resource
        if not isinstance(gate, Gate) or limit_of(gate, snapshot) is not None:
            continue
        why = difference(plan, gate, snapshot) if gate.proves else ""
        if why:
            told |= dict.fromkeys(gate.proves, why)
    return told


def _preconditions(boot: Sequence[Entry], stretch: Sequence[Due], snapshot: Snapshot) -> tuple[Due, ...]:
    """Gates that are asked only because something else of their boot is due; they stand before it."""
    changed = takewhile(lambda due: not isinstance(due.entry.resource, Manual), stretch)
    if all(isinstance(due.entry.resource, Gate) for due in changed):
        return ()
    return tuple(
        Due(entry=entry, why="asked before a change", reach="nothing")
        for entry in boot
        if isinstance(entry.resource, Gate)
        and entry.resource.precondition
        and limit_of(entry.resource, snapshot) is None
    )


def _causes(resource: Resource, changes: Mapping[str, Reach]) -> dict[str, Reach]:
    """The inputs of a derived resource that are due and that it must take up, and how far their changes reach."""
    if not isinstance(resource, Derived):
        return {}
    return {name: changes[name] for name in resource.inputs if changes.get(name, "nothing") != "nothing"}


def _caused(resource: Resource, changes: Mapping[str, Reach], stretch: Sequence[Due]) -> str:
    match resource:
        case Derived():
            causes = _causes(resource, changes)
            return f"{', '.join(causes)} changes" if causes else ""
        case Gate() if stretch:
            return "something before it changes"
        case _:
            return ""
