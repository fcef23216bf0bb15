"""A lab for one test session: bases, images and layers are built once per checkout, in its .lab; nodes are its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from provision.lab import Lab, host
from provision.lab.vm.machine import Firmware

STORE = Path(__file__).parents[1] / ".lab"


def own_lab(kind: str, firmware: Firmware = "plain") -> Iterator[Lab]:
    """A lab under `STORE/kind`, taken away at the end; what killed sessions left there is taken away first."""
    if lacking := host.missing():
        pytest.skip(host.sentence(lacking))
    lives = STORE / kind
    _clean_after_the_dead(lives)
    mine = Lab(lives / str(os.getpid()), store=STORE, firmware=firmware, say=print)
    try:
        yield mine
    finally:
        mine.clean()


def mark(items: Iterable[pytest.Item], folder: Path, marker: pytest.MarkDecorator) -> None:
    """Every test below a folder belongs to its tier."""
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker(marker)


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def kernel_state(lab: Lab, *more: str) -> str:
    """Everything of this lab that the kernel knows, for `clean` to leave none of it; `more`: what else to look through."""
    sources = [
        *more,
        Path("/proc/self/mountinfo").read_text(encoding="utf-8"),
        output("ip", "netns", "list"),
        output("ip", "-brief", "link"),
        output("nft", "list", "tables"),
        output("find", "/sys/fs/cgroup", "-name", f"*{lab.id}*"),
    ]
    lines = [line for source in sources for line in source.splitlines()]
    return "\n".join(line for line in lines if lab.id in line or str(lab.state) in line)


def _clean_after_the_dead(lives: Path) -> None:
    for state in lives.glob("*"):
        if not Path(f"/proc/{state.name}").exists():
            Lab(state, store=STORE).clean()
