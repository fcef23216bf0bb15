"""Real nodes for tests: the base root is built once per checkout, in its .lab; each session has a lab of its own.

`lab`   the session's Lab: `lab.up([...])`, `lab.save`, `lab.reset`; taken away at the end
`node`  one running node that no test has touched
`pair`  two of them
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sessions

from provision.lab import Lab, Node

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sessions.mark(items, Path(__file__).parent, pytest.mark.lab)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """PROVISION_TESTS_UNTIL (seconds since 1970): what has not begun by then is skipped, and named as such."""
    until = os.environ.get("PROVISION_TESTS_UNTIL")
    if until and item.get_closest_marker("lab") and time.time() > int(until):
        pytest.skip("NOT RUN: the time for tests was over before it began")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    yield from sessions.own_lab("tests")


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
