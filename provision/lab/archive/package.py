"""A stand-in that is ready to be packed: its control file, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from provision.model import Frozen
from provision.model.places import STANDS_FOR


class Built(Frozen):
    """Modules that are compiled and signed where the archive is made, as a distribution does for one of its kernels."""

    release: str
    place: str
    """The folder of the package that they are put in."""
    source: dict[str, str]
    """The module's source, by file name."""
    headers: dict[str, str]
    """Files and links of the kernel's headers, below their own folder."""
    header_links: dict[str, str]


class StandIn(Frozen):
    """`control`: fields without the description. `libraries` are compiled on the node: path -> soname, or `module`."""

    name: str
    control: str
    stands_for: str
    """The real package, and where that is known from; one line."""
    files: dict[str, str] = Field(default_factory=dict)
    links: dict[str, str] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    scripts: dict[str, str] = Field(default_factory=dict)
    built: Built | None = None

    def control_file(self) -> str:
        return f"{self.control.strip()}\n{STANDS_FOR}: {self.stands_for}\n{description(self.name)}"

    def entries(self) -> Iterator[tuple[str, str, bool]]:
        """Path below the package's own folder, content, and whether that is what a link points to."""
        yield "DEBIAN/control", self.control_file(), False
        yield from ((f"DEBIAN/{name}", text, False) for name, text in self.scripts.items())
        yield from ((path.lstrip("/"), text, False) for path, text in self.files.items())
        yield from ((path.lstrip("/"), target, True) for path, target in self.links.items())


def description(name: str) -> str:
    return (
        f"Description: stand-in for {name}\n"
        " It bears the name, version and relations of a real package and holds next to nothing. Made by provision's\n"
        " lab; it drives no hardware and boots no machine.\n"
    )


def control(fields: dict[str, str]) -> str:
    """Fields in the order given; empty ones are left out."""
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
