"""Real nodes for tests: the base root is built once per checkout, in its .lab; each session has a lab of its own.

`lab`   the session's Lab: `lab.up([...])`, `lab.save`, `lab.reset`; taken away at the end
`node`  one running node that no test has touched
`pair`  two of them
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.lab import Lab, Node, host

STORE = Path(__file__).parents[2] / ".lab"
LIVES = STORE / "tests"

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    if lacking := host.missing():
        pytest.skip(host.sentence(lacking))
    _clean_after_the_dead()
    mine = Lab(LIVES / str(os.getpid()), store=STORE, say=print)
    try:
        yield mine
    finally:
        mine.clean()


@pytest.fixture
def node(lab: Lab) -> Iterator[Node]:
    (fresh,) = _fresh(lab, 1)
    yield fresh
    lab.down([fresh.name])


@pytest.fixture
def pair(lab: Lab) -> Iterator[tuple[Node, Node]]:
    one, two = _fresh(lab, 2)
    yield one, two
    lab.down([one.name, two.name])


def _fresh(lab: Lab, count: int) -> list[Node]:
    return lab.up([f"t{next(_numbers)}" for _ in range(count)])


def _clean_after_the_dead() -> None:
    for state in LIVES.glob("*"):
        if not Path(f"/proc/{state.name}").exists():
            Lab(state, store=STORE).clean()
