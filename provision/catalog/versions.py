"""Comparison of NVIDIA driver versions: tuples of integers, never floats or semantic versions."""

from __future__ import annotations

Key = tuple[int, ...]


def driver_key(version: str) -> Key:
    """`570.86.10` -> (570, 86, 10), so that 570.26 < 570.86.10 and 580.65.06 < 580.178.04.

    Raises: ValueError when a part is not a number.
    """
    return tuple(int(part) for part in version.split("."))


def branch_of(version: str) -> str:
    """`580.159.04` -> `580`; a branch is its own."""
    return version.partition(".")[0]


def matches_pin(version: str, pin: str) -> bool:
    """Is `version` what `pin` asks for? A pin is a branch (580), a part (580.159) or a whole version (580.159.04)."""
    wanted = driver_key(pin)
    return driver_key(version)[: len(wanted)] == wanted
