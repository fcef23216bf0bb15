"""How text goes to a person's terminal, and how it goes into a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 10_000
"""Lines that go into a file or another program are not broken."""


def standard() -> Console:
    """Standard output: broken to the terminal's width, or one line for each item where there is no terminal."""
    broken = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if broken else PIPED_WIDTH)


def put(console: Console, parts: Iterable[RenderableType]) -> None:
    """Print parts one below the other, without blanks at the ends of lines."""
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    console.file.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def grid(rows: Iterable[tuple[str | Text, ...]], columns: int = 3) -> Table:
    """Columns without lines between them."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
