"""What a play loops over: the resources of one boot, as its tasks name them."""

from __future__ import annotations

from typing import TypedDict

from provision.engines.ansible.kept import Kept, asked
from provision.ledger import Reading
from provision.model import Entry, NodeSpec, Plan
from provision.planning import Plans, Room
from provision.steps import Due


class Item(TypedDict):
    """`title` is what a person reads of it."""

    role: str
    name: str
    kind: str
    title: str


def items(plan: Plan, boot: int, roles: frozenset[str] | None, found: Kept | None) -> list[Item]:
    """A boot's resources in order; before them what of an earlier boot is due again.

    Args:
        plan: the host's.
        boot: its number, from 0; a boot that the plan does not have has no resources.
        roles: those that the run is limited to, or None.
        found: what the last reading said.
    """
    own = plan.boots[boot] if boot < len(plan.boots) else ()
    kept = {one.entry.name for one in asked([Due(entry=entry, why="") for entry in own], roles)}
    again = [due.entry for due in (found.now if found else ()) if due.entry not in own]
    limits = found.limits if found else {}
    entries = [*again, *(entry for entry in own if entry.name in kept)]
    return [_item(entry, limits.get(entry.name, "")) for entry in entries]


def _item(entry: Entry, limit: str) -> Item:
    title = f"{entry.role} | {entry.name}" + (f" (not applicable: {limit})" if limit else "")
    return Item(role=entry.role, name=entry.name, kind=entry.resource.kind, title=title)


def plan_of(host: str, spec: NodeSpec, rooms: dict[str, Room]) -> Plan:
    """A host's plan, as the node's kept first reading has it. Raises: NoFit, NoPlan, LookupError."""
    return Plans(rooms).of(spec, Reading(host).fitting(spec)).plan
