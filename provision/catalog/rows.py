"""The rows of the catalog: sourced facts, each with the place it was read and whether it was read there."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import Field

from provision.model import Frozen
from provision.model.spec import Arch

Modules = Literal["open", "proprietary"]


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


class OperatingSystem(Row):
    family: str
    name: str
    codename: str
    archs: tuple[Arch, ...]


class Kernel(Row):
    """One flavour of a distribution's kernel on one architecture."""

    os: str
    arch: Arch
    flavour: str
    page_size: int
    """Bytes."""
    release: str
    """Regular expression over `uname -r`; `{release}` and its named groups stand in the package names."""
    glob: str
    image: str
    headers: str
    needs: tuple[str, ...] = ()
    metas: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    default: bool = True


class DriverPackages(Row):
    """What a driver is called in one operating system's archive; `{branch}` is the version's first number."""

    os: str
    modules: dict[Modules, str]
    offered: dict[Modules, tuple[str, ...]]
    complete: bool
    kernel: dict[Modules, tuple[str, ...]]
    user: tuple[str, ...]
    absent: dict[Arch, tuple[str, ...]] = Field(default_factory=dict)
    dkms: dict[Modules, str]
    repository: tuple[str, ...]


class DriverBranch(Row):
    type: Literal["LTSB", "PB", "NFB", "unknown"]
    eol: str | None
    """ISO 8601 day, or month where only that was published."""
    newest: str
    open_modules: Literal["none", "data-centre", "all"]
    minimum_kernel: str = ""

    def ended(self, day: str) -> bool:
        """Was the branch past its end of life on this day (ISO 8601)?"""
        return self.eol is not None and self.eol < day[: len(self.eol)]


class Gpu(Row):
    """One PCI id, `10de:2342`."""

    name: str
    also: tuple[str, ...] = ()
    """Other models under the same id."""
    device: str
    architecture: str
    compute_capability: str
    coherent: bool
    """The GPU and a Grace CPU share memory over NVLink-C2C."""
    modules: Literal["open", "proprietary", "either"]
    first_open: str | None = None
    first_open_in_branch: dict[str, str] = Field(default_factory=dict)
    last_branch: str | None = None
    derived: tuple[str, ...] = ()


class KernelDriverPair(Row):
    kernel: str
    modules: Modules
    driver: str
    first: str
    last: str
    builds: bool
    cause: str


class Rule(Row):
    text: str


class Catalog(Frozen):
    """All that is known. `as_of` is the day on which the driver branches were read: end of life is judged by it."""

    as_of: str
    sources: dict[str, Source]
    operating_systems: tuple[OperatingSystem, ...]
    kernels: tuple[Kernel, ...]
    driver_packages: tuple[DriverPackages, ...]
    driver_branches: tuple[DriverBranch, ...]
    gpus: tuple[Gpu, ...]
    kernel_driver_pairs: tuple[KernelDriverPair, ...]
    rules: tuple[Rule, ...]

    def cite(self, source: str) -> str:
        """A source spelled out: what was read, and when."""
        return "; ".join(self._spelled(key) for key in source.split("+"))

    def _spelled(self, key: str) -> str:
        source = self.sources.get(key)
        if source is None:
            return key
        return f"{source.what}, {source.date}" if source.date else source.what

    @cached_property
    def branch(self) -> dict[str, DriverBranch]:
        return {row.id: row for row in self.driver_branches}

    @cached_property
    def rule(self) -> dict[str, Rule]:
        return {row.id: row for row in self.rules}

    @cached_property
    def kernel(self) -> dict[str, Kernel]:
        return {row.id: row for row in self.kernels}
