"""The order of the roles there are, whoever wrote them: every order but the legal ones is refused, with the source."""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial
from pathlib import Path

import provision
from provision.planning import BrokenOrder, Role, check_order, in_order, order, rooms

SHIPPED = Path(provision.__file__).parent.parent / "roles"
ROOMS = rooms([SHIPPED])
ROLES: dict[str, Role] = {name: room.role.model_construct() for name, room in ROOMS.items()}
SOURCES = {rule.source for rule in order().rules}


def verdicts(begun: tuple[str, ...] = ()) -> Iterator[tuple[int, str]]:
    """For every order that begins so: how many orders, and why they are refused; empty for a legal one.

    The check goes from front to back, so what it says of a beginning holds of every order that begins so.
    """
    left = [name for name in ROLES if name not in begun]
    if not left:
        yield 1, ""
    for name in left:
        try:
            check_order({one: ROLES[one] for one in (*begun, name)})
        except BrokenOrder as error:
            yield factorial(len(left) - 1), str(error)
        else:
            yield from verdicts((*begun, name))


def test_every_order_of_the_roles_but_the_legal_ones_is_refused_with_the_rules_source() -> None:
    legal = refused = 0
    for orders, why in verdicts():
        if not why:
            legal += orders
            continue
        refused += orders
        assert "must stand before" in why
        assert any(source in why for source in SOURCES), why
    assert legal + refused == factorial(len(ROLES))
    assert 0 < legal < refused


def test_what_is_told_of_a_beginning_holds_of_a_whole_order() -> None:
    wrong = [
        "cuda_drivers",
        "open_kernel_modules",
        *(n for n in ROLES if n not in {"cuda_drivers", "open_kernel_modules"}),
    ]
    for names in (wrong[:2], wrong):
        try:
            check_order({name: ROLES[name] for name in names})
        except BrokenOrder as error:
            assert str(error).startswith("role open_kernel_modules must stand before cuda_drivers: ")
        else:
            raise AssertionError(names)


def test_the_legal_order_of_a_bring_up() -> None:
    names = list(in_order(ROLES))
    expected = ["preflight", "kernel_64k", "doca_ofed", "open_kernel_modules", "cuda_drivers"]
    assert [name for name in names if name in expected] == expected
    assert names.index("cuda_drivers") < names.index("cuda_toolkit")
    assert names.index("cuda_drivers") < names.index("container_toolkit")


def test_every_role_brings_what_a_rule_knows_and_says_so_alone() -> None:
    known = {component for rule in order().rules for component in (rule.before, rule.after)}
    components = [room.role.component for room in ROOMS.values()]
    assert set(components) <= known
    assert len(set(components)) == len(components)
