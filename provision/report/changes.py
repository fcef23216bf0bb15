"""What a run changed on a node, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from provision.model import Frozen, Gate, Packages, Plan
from provision.report.kinds import REBOOT
from provision.report.timeline import Bar, Ending, Event, Timeline


class Change(Frozen):
    """`seconds` is None for what was done together with something else, which `together` names."""

    name: str
    role: str
    why: str
    ending: Ending
    seconds: float | None = None
    together: str = ""
    stand_in: bool = False


def changes(line: Timeline, events: Sequence[Event], plan: Plan | None) -> tuple[Change, ...]:
    """Everything that was changed, in order; a gate asks and changes nothing, so it is not listed.

    The packages that are due in one boot are one transaction, which the events tell under the first name of it.
    """
    found: list[Change] = []
    for boot in line.boots:
        own = {bar.name for bar in boot}
        for bar in boot:
            if _is(plan, bar.name, Gate):
                continue
            found.append(_change(bar))
            if _is(plan, bar.name, Packages):
                found += [
                    Change(name=name, role=role, why=why, ending=bar.ending, together=bar.name, stand_in=bar.stand_in)
                    for name, role, why in _due_with(bar.name, events)
                    if name not in own and _is(plan, name, Packages)
                ]
    return tuple(found)


def _change(bar: Bar) -> Change:
    return Change(
        name=bar.name,
        role="" if bar.name == REBOOT else bar.role,
        why=bar.why,
        ending=bar.ending,
        seconds=bar.seconds,
        stand_in=bar.stand_in,
    )


def _due_with(name: str, events: Sequence[Event]) -> list[tuple[str, str, str]]:
    """Name, role and reason of what was due in the same boot as this, when the run began."""
    boots: list[list[dict[str, str]]] = next((event["boots"] for event in events if event["event"] == "drift"), [])
    boot = next((boot for boot in boots if any(one["resource"] == name for one in boot)), [])
    return [(one["resource"], one["role"], one["why"]) for one in boot]


def _is(plan: Plan | None, name: str, kind: type[Gate] | type[Packages]) -> bool:
    return plan is not None and name in plan.by_name and isinstance(plan.by_name[name].resource, kind)
