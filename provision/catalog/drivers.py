"""Driver branches, what a driver is called in a repository, and which branches are a base of what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from provision.catalog.row import Row
from provision.model.spec import Arch

Modules = Literal["open", "proprietary"]
Repository = Literal["archive", "cuda"]


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
    cuda: str | None = None
    """The CUDA version that nvidia-smi shows with this branch, `12.8`."""
    cuda_verified: bool = False
    """Was that read, or concluded from the toolkit that shipped with the branch?"""
    open_modules: Literal["none", "data-centre", "all"]
    minimum_kernel: str = ""

    def ended(self, day: str) -> bool:
        """Was the branch past its end of life on this day (ISO 8601)?"""
        return self.eol is not None and self.eol < day[: len(self.eol)]


class DriverNames(Row):
    """What the parts of a driver are called in NVIDIA's own repository (`cuda`), per family and span of branches.

    `{branch}` and `{version}` stand for the version's first number and the whole version.
    """

    family: str
    """Of the operating system: `ubuntu`, `debian`, `rhel`, `sles`."""
    first: str
    """Oldest branch that is called so."""
    last: str | None = None
    """Newest branch that is called so; None: still so."""
    kernel: dict[Modules, tuple[str, ...]]
    user: tuple[str, ...]
    fabricmanager: tuple[str, ...] = ()
    imex: tuple[str, ...] = ()
    pinning: str | None = None
    """The package that keeps apt or dnf on a branch or version; installed before the driver."""


class DriverIssue(Row):
    """A version of a driver, alone or beside something else, that is known not to work, and since when it does."""

    driver: str
    """A version, or the beginning of several."""
    with_feature: str = ""
    with_modules: Modules | None = None
    excludes: str = ""
    """Feature that it excludes."""
    text: str
    fatal: bool
    """True: such a set is refused; false: it is warned of."""
