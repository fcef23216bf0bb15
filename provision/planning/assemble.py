"""From a declaration to a plan: catalog, platform, resolver and roles put together, in one pure call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from provision.catalog import load
from provision.model import Frozen, NodeSpec, Plan, Snapshot, Stack, canonical
from provision.planning.build import is_wanted, plan
from provision.planning.role import Context
from provision.planning.rooms import Room
from provision.planning.source import Need, NoRepository, lacking, needs, refuse
from provision.platforms import platform_for
from provision.stack import DRIVER_NODE, resolve


class Planned(Frozen):
    """One declaration, the versions that fit it, and the plan that follows."""

    spec: NodeSpec
    stack: Stack
    plan: Plan
    needs: tuple[Need, ...] = ()
    """Repositories that the node must know by itself."""


def assemble(spec: NodeSpec, rooms: dict[str, Room], reading: Snapshot | None = None) -> Planned:
    """The plan of a node that is declared like this.

    Args:
        spec: what was declared.
        rooms: the roles that can be found.
        reading: the node's first reading, if it has been asked; without it versions come from the catalog alone.

    Raises: provision.stack.NoFit, LookupError (unknown platform), WrongVariables, NoRepository.
    """
    if reading is not None and reading.asked and reading.offers == {}:
        raise NoRepository(
            "the node's package manager offers nothing of all that was asked for: it has no package lists yet, or no "
            "source at all. `apt-get update` there, then run again"
        )
    stack = resolve(spec, load(), reading, wanted_components(spec, rooms))
    context = Context(spec=spec, stack=stack, platform=platform_for(spec.os, spec.arch))
    made = plan(context, rooms)
    needed = needs(made, spec)
    if reading is not None and (missing := lacking(needed, reading)):
        raise refuse(missing)
    return Planned(spec=spec, stack=stack, plan=made, needs=needed)


NO_MATTER = {
    "node": "", "machine_id": "", "boot_id": "", "cmdline": "", "reboot_due": "", "reboot_for": (), "stamps": {},
    "ledger": (),
}  # fmt: skip
"""What of a first reading is the node's own, and decides nothing."""


class Plans:
    """The plans of a run. Nodes that are declared alike, and whose first readings say the same, share one."""

    def __init__(self, rooms: dict[str, Room]) -> None:
        self._rooms = rooms
        self._made: dict[tuple[str, str], Planned] = {}

    def of(self, spec: NodeSpec, reading: Snapshot | None) -> Planned:
        """Arguments and errors as those of `assemble`."""
        same = reading and reading.model_copy(update=NO_MATTER)
        key = (canonical(spec), same.model_dump_json() if same else "")
        if key not in self._made:
            self._made[key] = assemble(spec, self._rooms, same)
        return self._made[key]


def wanted_components(spec: NodeSpec, rooms: Mapping[str, Room]) -> frozenset[str]:
    """What the resolver must choose for a node's roles: always kernel and driver, and what the roles bring."""
    brought = (room.role.component for name, room in rooms.items() if is_wanted(name, room, spec))
    return DRIVER_NODE | {_RESOLVED[component] for component in brought if component in _RESOLVED}


_RESOLVED = {"ofed": "doca", "toolkit": "cuda", "containers": "container_toolkit"}
"""The order rules' name of a component -> the resolver's, for what not every node has."""


def alike(specs: Mapping[str, NodeSpec]) -> tuple[tuple[NodeSpec, tuple[str, ...]], ...]:
    """Nodes grouped by what was declared of them, so that identical nodes are resolved once."""
    groups: dict[str, tuple[NodeSpec, list[str]]] = {}
    for node, spec in specs.items():
        groups.setdefault(canonical(spec), (spec, []))[1].append(node)
    return tuple((spec, tuple(nodes)) for spec, nodes in groups.values())


def names_in_order(plans: Iterable[Plan]) -> tuple[str, ...]:
    """One order of all resource names of several plans that keeps the order of every boot of every plan.

    Only one boot is carried out at a time, so plans of both reboot policies have such an order.
    """
    before: dict[str, set[str]] = {}
    for boot in (boot for one in plans for boot in one.boots):
        previous: set[str] = set()
        for entry in boot:
            before.setdefault(entry.name, set()).update(previous)
            previous = {entry.name}
    order: list[str] = []
    while before:
        free = (name for name, earlier in before.items() if not earlier & before.keys())
        order.append(next(free, next(iter(before))))
        del before[order[-1]]
    return tuple(order)
