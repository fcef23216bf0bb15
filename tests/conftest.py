"""What holds for every tier."""

from __future__ import annotations

import os


def pytest_configure() -> None:
    """No test has a terminal. xdist tells its workers the width of one, which the programs they start would obey."""
    os.environ.pop("COLUMNS", None)
