"""A lab for one test session: bases, images and layers are built once per checkout, in its .lab; nodes are its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from provision.lab import Lab, host

STORE = Path(__file__).parents[1] / ".lab"


def own_lab(kind: str) -> Iterator[Lab]:
    """A lab under `STORE/kind`, taken away at the end; what killed sessions left there is taken away first."""
    if lacking := host.missing():
        pytest.skip(host.sentence(lacking))
    lives = STORE / kind
    _clean_after_the_dead(lives)
    mine = Lab(lives / str(os.getpid()), store=STORE, say=print)
    try:
        yield mine
    finally:
        mine.clean()


def mark(items: Iterable[pytest.Item], folder: Path, marker: pytest.MarkDecorator) -> None:
    """Every test below a folder belongs to its tier."""
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker(marker)


def _clean_after_the_dead(lives: Path) -> None:
    for state in lives.glob("*"):
        if not Path(f"/proc/{state.name}").exists():
            Lab(state, store=STORE).clean()
