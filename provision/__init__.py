"""Take a bare NVIDIA GPU machine to a declared, verified state, and prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provision.inventory import fleet

__all__ = ["fleet"]


def __getattr__(name: str) -> Any:
    """`fleet` is loaded when it is asked for: the command line imports only what a command needs."""
    if name == "fleet":
        from provision.inventory import fleet

        return fleet
    raise AttributeError(f"module 'provision' has no attribute {name!r}")
