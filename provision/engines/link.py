"""What an engine lends to the rest: programs sent to one node, over whatever connection the engine has."""

from __future__ import annotations

from typing import Protocol


class Unanswered(RuntimeError):
    """A program did not run to its end on the node."""


class Lost(RuntimeError):
    """The connection went away, or could not be made; what was begun may go on there."""


class Link(Protocol):
    """The way to one node, with the privileges that its inventory declares."""

    def ask(self, program: str, timeout: float | None = None) -> str:
        """Run a program to its end, for at most so many seconds, and return its output. Raises: Unanswered, Lost."""

    def reconnect(self) -> None:
        """Leave the connection for a new one. Raises: Lost."""
