"""The NVIDIA Container Toolkit and the container runtimes that read CDI."""

from __future__ import annotations

from provision.catalog.row import Row


class ContainerToolkit(Row):
    date: str
    """ISO 8601 day of the tag."""
    good: bool = True
    fault: str = ""
    """Why it is known-bad."""
    changes: tuple[str, ...] = ()
    not_with: tuple[str, ...] = ()
    """Programs beside which it is not to be used: `enroot`."""
    derived: tuple[str, ...] = ()
    """Fields concluded, not read."""


class CdiRuntime(Row):
    """First version of a container runtime that reads CDI 0.7.0."""

    first: str
