"""Ubuntu: does things as Debian does; its names (branch in the package name, `-server`) stand in the catalog."""

from __future__ import annotations

from dataclasses import dataclass

from provision.platforms.debian import Debian


@dataclass(frozen=True)
class Ubuntu(Debian):
    """Nothing of its own yet."""
