"""XML of a stranger, read without trust: no entities, no depth, no size beyond what it needs.

The standard library's expat expands what a document declares (billion laughs) unless told otherwise; here one that
declares anything is refused. Nothing external is ever loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from xml.parsers import expat

MOST_DEEP = 24
LONGEST_NAME = 100
MOST_ELEMENTS = 100_000


class Element(NamedTuple):
    """One element, in document order. `path` holds the names from the root on, joined by `/`."""

    path: str
    attributes: dict[str, str]
    text: str


class WrongXml(ValueError):
    """Not a document that is read here."""


def elements(text: str) -> Iterator[Element]:
    """Every element that begins, with its own text. Raises: WrongXml."""
    return iter(_Reader().read(text))


class _Reader:
    def __init__(self) -> None:
        self._path: list[str] = []
        self._open: list[int] = []
        self._found: list[tuple[str, dict[str, str], list[str]]] = []

    def read(self, text: str) -> list[Element]:
        parser = expat.ParserCreate("US-ASCII")  # whatever encoding it claims to have
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._refuse
        parser.ElementDeclHandler = self._refuse
        parser.AttlistDeclHandler = self._refuse
        parser.NotationDeclHandler = self._refuse
        parser.ExternalEntityRefHandler = self._refuse
        try:
            parser.Parse(text.encode("ascii", "replace"), True)
        except expat.ExpatError as error:
            raise WrongXml(f"not XML: {error}") from error
        return [Element(path, attributes, "".join(parts).strip()) for path, attributes, parts in self._found]

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        if len(self._path) > MOST_DEEP or len(self._found) >= MOST_ELEMENTS or len(name) > LONGEST_NAME:
            raise WrongXml("too deep, too many elements, or a name too long")
        self._open.append(len(self._found))
        self._found.append(("/".join(self._path), attributes, []))

    def _end(self, _name: str) -> None:
        self._path.pop()
        self._open.pop()

    def _text(self, text: str) -> None:
        self._found[self._open[-1]][2].append(text)

    def _refuse(self, *_: object) -> int:
        raise WrongXml("it declares entities or elements of its own")
