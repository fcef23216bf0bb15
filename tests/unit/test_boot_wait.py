"""When a reboot is over: another boot_id and its units started; a node that was never told is not waited for."""

from __future__ import annotations

import math

import pytest

from provision.engines import node
from provision.engines.node import SETTLE_SECONDS, STILL_UP_SECONDS, Boot


def answer(boot_id: str, state: str) -> str:
    return f"boot_id\t{boot_id}\nstate\t{state}\n"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(node.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("state", ["running", "degraded", "maintenance"])
def test_another_boot_that_has_started_its_units_is_over(state: str) -> None:
    assert Boot("old", math.inf).is_over(answer("new", state))


@pytest.mark.parametrize("text", ["", "boot_id\told\n", answer("old", "running"), answer("new", "stopping"), "garbage"])
def test_anything_else_is_waited_for(text: str) -> None:
    assert not Boot("old", math.inf).is_over(text)


def test_a_boot_that_never_ends_starting_is_taken_as_it_is(clock: list[float]) -> None:
    boot = Boot("old", math.inf)
    assert not boot.is_over(answer("new", "starting"))
    clock[0] = SETTLE_SECONDS
    assert boot.is_over(answer("new", "starting"))


def test_a_node_that_was_never_told_to_reboot_is_not_waited_for(clock: list[float]) -> None:
    boot = Boot("old", STILL_UP_SECONDS)
    assert not boot.is_over(answer("old", "running"))
    clock[0] = STILL_UP_SECONDS
    assert boot.is_over(answer("old", "running"))


def test_a_node_on_its_way_down_is_waited_for_however_long(clock: list[float]) -> None:
    boot = Boot("old", STILL_UP_SECONDS)
    assert not boot.is_over(answer("old", "stopping"))
    clock[0] = 10 * STILL_UP_SECONDS
    assert not boot.is_over(answer("old", "stopping"))
