"""The one table of exit codes. docs/exit-codes.md is made from it: `make docs`."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """How a command ended, for the shell and for whatever calls it."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DONE = 0, "Done, or converged: everything declared is so, apart from what is listed as not applicable."
    FAILED = 1, "Failed: a node was not reached or brought on, a check does not hold, or no index was fetched."
    WRONG_INPUT = 2, "Wrong input: command line, inventory, role or pins that fit nothing. No machine was touched."
    DRIFT = 3, "Drift: something is due on at least one node, and nothing was to be changed."
    UNKNOWN = 4, "Unknown or hidden: something could not be seen; for `verify` and `probe` also an unreached node."


def table() -> str:
    """The table as Markdown."""
    rows = "\n".join(f"| {code.value} | {code.meaning} |" for code in Exit)
    return f"# Exit codes\n\nThe same for every command of `provision`.\n\n| code | meaning |\n| ---: | --- |\n{rows}\n"


if __name__ == "__main__":
    print(table(), end="")
