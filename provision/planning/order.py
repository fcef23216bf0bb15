"""The order of roles: rules as data (`order.yaml`), a sort that respects them, a check that names the broken one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import yaml

from provision.model import Frozen
from provision.planning.role import NoPlan, Role

Ordered = Role | type[Role]
"""Whoever has a component and what it follows."""


class OrderRule(Frozen):
    before: str
    after: str
    why: str
    source: str
    verified: bool


class Order(Frozen):
    boots: dict[str, int]
    rest: int
    rules: tuple[OrderRule, ...]

    def boot_of(self, component: str) -> int:
        """Boot of the `staged` policy in which a component is brought."""
        return self.boots.get(component, self.rest)


class BrokenOrder(NoPlan):
    """Roles were asked for in an order that a rule forbids."""


@cache
def order() -> Order:
    return Order.model_validate(yaml.load(files(__package__).joinpath("order.yaml").read_text(), yaml.CSafeLoader))


def in_order(roles: dict[str, Role]) -> dict[str, Role]:
    """The same roles in an order that breaks no rule; what no rule decides stays as given.

    Raises: BrokenOrder, where roles wait for each other.
    """
    left = dict(roles)
    result: dict[str, Role] = {}
    while left:
        name = next((name for name in left if not _awaits_any(name, left)), None)
        if name is None:
            raise BrokenOrder(f"no order fits {', '.join(left)}: each follows another of them")
        result[name] = left.pop(name)
    return result


def check_order(roles: Mapping[str, Ordered]) -> None:
    """Raise BrokenOrder, with the rule's reason and source, where a role stands behind one it must precede."""
    names: Sequence[str] = list(roles)
    for position, name in enumerate(names):
        for earlier in names[:position]:
            if not _must_precede(roles[name], roles[earlier]):
                continue
            raise BrokenOrder(f"role {name} must stand before {earlier}: {_reason(roles[name], roles[earlier])}")


def _awaits_any(name: str, others: Mapping[str, Ordered]) -> bool:
    return any(_must_precede(other, others[name]) for key, other in others.items() if key != name)


def _must_precede(first: Ordered, second: Ordered) -> bool:
    return first.component in _predecessors(second)


def _predecessors(role: Ordered) -> frozenset[str]:
    """Components that must stand before a role, rules followed transitively."""
    return _before(role.component).union(role.follows, *map(_before, role.follows))


@cache
def _before(component: str) -> frozenset[str]:
    direct = {rule.before for rule in order().rules if rule.after == component}
    return frozenset(direct).union(*map(_before, direct))


def _reason(first: Ordered, second: Ordered) -> str:
    """The rule between two components, or the rules that lead from one to the other."""
    direct = [rule for rule in order().rules if (rule.before, rule.after) == (first.component, second.component)]
    behind = {second.component, *_predecessors(second)}
    between = [
        rule
        for rule in order().rules
        if rule.after in behind and first.component in {rule.before, *_before(rule.before)}
    ]
    told = [f"{rule.why} [{rule.source}]" for rule in direct or between]
    followed = ", ".join(c for c in second.follows if first.component in {c, *_before(c)})
    return "; ".join([*told, *([f"it follows {followed}"] if followed else [])])
