"""One sourced fact: what every row of the catalog holds."""

from __future__ import annotations

from provision.model import Frozen


class Source(Frozen):
    what: str
    date: str
    """Day on which it was read, or of the version that was read."""


class Row(Frozen):
    id: str
    verified: bool
    """Read in the source; false: remembered, inferred, or read only in part (the note says which)."""
    source: str
    """Keys of the table of sources, joined by `+`; `Catalog.cite` spells them out."""
    note: str = ""
