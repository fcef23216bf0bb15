"""Roles become a plan: ordered by the rules, cut into boots, arranged within each boot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

from pydantic import ValidationError

from provision.model import (
    Alternatives,
    Archive,
    BootEntry,
    Derived,
    Directory,
    Entry,
    File,
    Fragment,
    Gate,
    GpuSetting,
    Group,
    KernelArguments,
    Manual,
    Module,
    NodeSpec,
    Packages,
    Plan,
    Repository,
    Resource,
    Symlink,
    Sysctl,
    Unit,
    User,
    canonical,
    refusals,
)
from provision.planning.features import check_features
from provision.planning.leftovers import without_leftovers
from provision.planning.order import check_order, in_order, order
from provision.planning.other_modules import hands_off
from provision.planning.role import Context, NoPlan, Role
from provision.planning.rooms import BrokenRole, Room

Boots = tuple[tuple[Entry, ...], ...]


class WrongVariables(NoPlan):
    """A role was given variables it does not have or cannot take; the text names each."""


def plan(ctx: Context, rooms: dict[str, Room]) -> Plan:
    """The whole plan of one node: the roles that are declared, as declared, or every one that is wanted, in order.

    Raises: WrongVariables, BrokenOrder, NoPlan.
    """
    names = [name for name, room in rooms.items() if is_wanted(name, room, ctx.spec)]
    declared = ctx.spec.roles
    in_turn = names if declared is None else sorted(names, key=declared.index)
    roles = {name: instance(rooms[name], ctx.spec.variables.get(name, {})) for name in in_turn}
    check_features(ctx.spec, roles.values())
    return without_leftovers(build(ctx, in_order(roles) if declared is None else roles), ctx.platform)


def is_wanted(name: str, room: Room, spec: NodeSpec) -> bool:
    """Does a node declared like this get the role?"""
    return room.role.wanted(spec) if spec.roles is None else name in spec.roles


def instance(room: Room, variables: Mapping[str, object]) -> Role:
    """A role with its variables checked. Raises: WrongVariables."""
    try:
        return room.role.model_validate(variables)
    except ValidationError as error:
        raise WrongVariables("; ".join(refusals(error, room.role, f"{room.name}_"))) from error


def build(ctx: Context, roles: dict[str, Role]) -> Plan:
    """The plan of these roles in this order. Raises: BrokenOrder, BrokenRole."""
    check_order(roles)
    ctx = ctx.model_copy(update={"own_modules": tuple(m for role in roles.values() for m in role.builds(ctx))})
    declared = [Entry(role=name, resource=r) for name, role in roles.items() for r in role.resources(ctx)]
    entries = _resolved(hands_off(declared))
    boots = _single(entries) if ctx.spec.reboots == "single" else _staged(entries, roles)
    united = _unite_over_boots(boots)
    try:
        return Plan(boots=tuple(arrange(boot) for boot in united if boot))
    except ValidationError as error:
        raise BrokenRole(
            f"the roles {', '.join(roles)} do not make a plan together: {'; '.join(refusals(error))}"
        ) from error


def _resolved(entries: Sequence[Entry]) -> list[Entry]:
    """Optional inputs become inputs where the plan has them."""
    names = {e.name for e in entries}

    def resolved(entry: Entry) -> Entry:
        derived = entry.resource
        if not isinstance(derived, Derived):
            return entry
        inputs = (*derived.inputs, *(name for name in derived.also if name in names))
        return entry.model_copy(update={"resource": derived.model_copy(update={"inputs": inputs, "also": ()})})

    return [resolved(entry) for entry in entries]


def _single(entries: Sequence[Entry]) -> Boots:
    """Everything that does not wait for a reboot, then everything that does."""
    return (
        tuple(e for e in entries if e.resource.after is None),
        tuple(e for e in entries if e.resource.after is not None),
    )


def _staged(entries: Sequence[Entry], roles: dict[str, Role]) -> Boots:
    """Kernel, reboot, OFED and driver, reboot, the rest."""
    earliest = {None: 0, "kernel": 1, "driver": 2}
    numbers = [max(order().boot_of(roles[e.role].component), earliest[e.resource.after]) for e in entries]
    return tuple(
        tuple(e for e, number in zip(entries, numbers, strict=True) if number == boot)
        for boot in range(max(numbers, default=0) + 1)
    )


def arrange(boot: Iterable[Entry]) -> tuple[Entry, ...]:
    """Within a boot: what is asked before any change, what package scripts read, the one transaction, then the rest.

    Package scripts act on settings that are there when they run (dkms reads /etc/dkms/no-autoinstall, common.postinst
    of dkms 3.2.2, read 2026-11-21), so files stand before packages.
    """
    entries = tuple(boot)
    opening = tuple(takewhile(lambda e: isinstance(e.resource, (Gate, Manual)), entries))
    return opening + tuple(sorted(entries[len(opening) :], key=lambda e: _turn(e.resource)))


def _turn(resource: Resource) -> int:
    """0: asked before any change. 1: what package scripts and apt read. 2: the transaction. 3: what may need it."""
    match resource:
        case Gate(precondition=True):
            return 0
        case File() | Directory() | Repository() | KernelArguments():
            return 1
        case Module(boot_scoped=boot_scoped, loaded=loaded):
            return 1 if boot_scoped or not loaded else 3
        case Packages():
            return 2
        case Unit() | BootEntry() | Derived() | Gate() | Manual() | Symlink() | Alternatives():
            return 3
        case Fragment() | Sysctl() | Group() | User() | Archive() | GpuSetting():
            return 3


def _unite_over_boots(boots: Boots) -> Boots:
    """Several roles may name one consequence (`initrd`), gate or manual step: a boot has one, last, with all inputs."""
    result: list[tuple[Entry, ...]] = []
    used: set[str] = set()
    for number, boot in enumerate(boots):
        united = _unite(boot)
        names = {e.name: f"{e.name}-{number + 1}" for e in united if e.name in used and _shared(e)}
        renamed = tuple(_renamed(e, names) for e in united)
        used |= {e.name for e in renamed}
        result.append(renamed)
    return tuple(result)


def _unite(boot: Sequence[Entry]) -> tuple[Entry, ...]:
    _check_same_meaning(boot)
    last = {e.name: position for position, e in enumerate(boot)}
    inputs: dict[str, tuple[str, ...]] = {}
    for e in boot:
        if isinstance(e.resource, Derived):
            inputs[e.name] = tuple(dict.fromkeys((*inputs.get(e.name, ()), *e.resource.inputs)))
    return tuple(
        _with_inputs(e, inputs) for position, e in enumerate(boot) if last[e.name] == position or not _shared(e)
    )


def _check_same_meaning(boot: Sequence[Entry]) -> None:
    first: dict[str, Entry] = {}
    for e in boot:
        other = first.setdefault(e.name, e)
        if _shared(e) and _meaning(e) != _meaning(other):
            raise BrokenRole(f"the roles {other.role} and {e.role} mean different things by {e.name!r}")


def _meaning(entry: Entry) -> str:
    resource = entry.resource
    return resource.command if isinstance(resource, Derived) else canonical(resource)


def _shared(entry: Entry) -> bool:
    return isinstance(entry.resource, (Derived, Gate, Manual))


def _with_inputs(entry: Entry, inputs: dict[str, tuple[str, ...]]) -> Entry:
    if not isinstance(entry.resource, Derived):
        return entry
    return entry.model_copy(update={"resource": entry.resource.model_copy(update={"inputs": inputs[entry.name]})})


def _renamed(entry: Entry, names: dict[str, str]) -> Entry:
    """The entry under its boot's names: a consequence follows the cause of its own boot."""
    resource: Resource = entry.resource
    update: dict[str, object] = {"name": names.get(resource.name, resource.name)}
    if isinstance(resource, Derived):
        update["inputs"] = tuple(names.get(name, name) for name in resource.inputs)
    if isinstance(resource, Gate):
        update["proves"] = tuple(names.get(name, name) for name in resource.proves)
    return entry.model_copy(update={"resource": resource.model_copy(update=update)})
