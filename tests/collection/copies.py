"""Copies of what is judged, so that a test may spoil them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

HOME = Path(__file__).parents[2]

COLLECTION = (
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "galaxy.yml",
    "meta",
    "playbooks",
    "plugins",
    "roles",
    "tests/sanity",
)
"""What it is made of, and the exceptions from its checks."""


def copy(names: Iterable[str], place: Path) -> None:
    """Files and folders of this checkout."""
    for name in names:
        source, target = HOME / name, place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
