"""The rows of one section: lines of `KEY<TAB>field...`, with as many fields as their key has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

Rows = dict[str, list[list[str]]]


def table(lines: Sequence[Sequence[str]], shapes: Mapping[str, int]) -> Rows:
    """Rows by key. Raises: ValueError for a line that none of the shapes fits."""
    rows: Rows = defaultdict(list)
    for key, *fields in lines:
        if shapes.get(key) != len(fields):
            raise ValueError(f"not a line of it: {' '.join([key, *fields])[:120]!r}")
        rows[key].append(fields)
    return rows


def last(rows: Rows, key: str) -> str:
    """The field of the only row of a key, or nothing."""
    return rows[key][-1][0].strip() if rows[key] else ""


def number(text: str) -> int | None:
    """A number at the beginning of a text (`143771 MiB`, `16x`, `0 %`); None where there is none."""
    digits = text.strip()[:32]
    sign, digits = (-1, digits[1:]) if digits.startswith("-") else (1, digits)
    end = next((i for i, letter in enumerate(digits) if letter not in "0123456789"), len(digits))
    return sign * int(digits[:end]) if end else None


def decimal(text: str) -> float | None:
    """Like `number`, for `700.00 W`."""
    whole, point, rest = text.strip().partition(".")
    if not point:
        found = number(whole)
        return None if found is None else float(found)
    before, after = number(whole), rest[: len(rest) - len(rest.lstrip("0123456789"))][:9]
    return None if before is None else float(f"{before}.{after or 0}")
