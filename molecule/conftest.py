"""What the scenarios' tests ask of a node beside the suite: what was done there, in which boot."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from testinfra.host import Host

from provision.model.places import STATE


class Step(NamedTuple):
    """A line of the node's own ledger."""

    boot: str
    word: str
    """`begin`, `ok`, `failed` or `reboot`."""
    name: str


@pytest.fixture
def ledger(host: Host) -> list[Step]:
    """Oldest first."""
    lines = host.check_output(f"cat {STATE}/ledger").splitlines()
    return [Step(*line.split(" ", maxsplit=4)[2:]) for line in lines]


@pytest.fixture
def done(ledger: list[Step]) -> list[str]:
    """Names of what was carried out, in order."""
    return [step.name for step in ledger if step.word == "ok"]
