"""How a POSIX sh program gets its values: as quoted assignments in front of a constant text, never inside it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

_DIE = """\
die() {
    printf '%s\\n' "$*" >&2
    exit 1
}
"""


def program(*parts: str, **values: str) -> str:
    """One subshell: `values` as variables, `die` (last words, exit 1), then the constant `parts`.

    A subshell, so that its `exit` and its traps are its own, whatever text stands around it.
    """
    assignments = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    return "(\n" + assignments + _DIE + "".join(parts) + ")\n"


def lines(items: Iterable[str]) -> str:
    """A list as the value of one variable: one item a line."""
    return "\n".join(items)
