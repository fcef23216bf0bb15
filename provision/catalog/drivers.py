"""Driver branches, what a driver is called in a repository, and which branches are a base of what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from provision.catalog.row import Row
from provision.catalog.versions import driver_key, matches_pin
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
    precompiled: dict[Modules, tuple[str, ...]] = Field(default_factory=dict)
    """Modules that the distribution built and signed for one kernel, `{release}`; their versions are the kernel's."""
    persistenced: tuple[str, ...] = ()
    """The persistence daemon; under a name without `{branch}` it has versions of its own."""
    modprobe: tuple[str, ...] = ()
    """What makes the driver's device nodes."""
    fabricmanager: tuple[str, ...] = ()
    nscq: tuple[str, ...] = ()
    imex: tuple[str, ...] = ()
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
    persistenced: tuple[str, ...] = ()
    """The persistence daemon; in lockstep with the driver."""
    dkms: dict[Modules, str] = Field(default_factory=dict)
    """What DKMS calls the modules; empty where that was not read."""
    whole: dict[Modules, tuple[str, ...]] = Field(default_factory=dict)
    """The package that pulls all of a flavour; without a pinning package it may follow the newest branch."""
    fabricmanager: tuple[str, ...] = ()
    imex: tuple[str, ...] = ()
    nscq: tuple[str, ...] = ()
    """The library that reads NVSwitches; in lockstep with the driver."""
    nvsdm: tuple[str, ...] = ()
    """The library that reads NVLink 5 switches; in lockstep with the driver."""
    nvlsm: tuple[str, ...] = ()
    """The NVLink 5 subnet manager; its versions are its own."""
    absent: dict[Arch, tuple[str, ...]] = Field(default_factory=dict)
    """Packages of these that an architecture does not have."""
    streams: dict[Modules, str] = Field(default_factory=dict)
    """The dnf module stream that keeps to the branch, where the release has module streams."""
    pinning: str | None = None
    """The package that keeps apt or dnf on a branch or version; installed before the driver."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Every name that the row knows."""
        groups = (*self.kernel.values(), *self.whole.values(), self.user, self.persistenced, self.fabricmanager)
        fabric = (self.imex, self.nscq, self.nvsdm, self.nvlsm)
        pinning = () if self.pinning is None else (self.pinning,)
        return (*(name for group in (*groups, *fabric) for name in group), *pinning)


class DriverIssue(Row):
    """A driver, alone or beside something else, that is known not to work.

    A row concerns a set when everything that the row names holds of it; what it leaves empty holds of every set.
    """

    driver: str = ""
    """A version, or the beginning of several."""
    first: str = ""
    """Oldest driver that is concerned."""
    before: str = ""
    """First driver that is not concerned any more."""
    gpus: tuple[str, ...] = ()
    """Names or ids of rows in `gpus`; one of them is enough."""
    coherent: bool | None = None
    """Only GPUs that share memory with a Grace CPU, or only others."""
    systems: tuple[str, ...] = ()
    """Operating systems, `ID` + `VERSION_ID`, or the beginning of several."""
    with_feature: str = ""
    with_modules: Modules | None = None
    excludes: str = ""
    """Another feature of the set; beside it the set does not work."""
    text: str
    remedy: str = ""
    """What to do instead."""
    vbios_from: str = ""
    """Oldest VBIOS of these GPUs that is not concerned."""
    fatal: bool
    """True: such a set is refused; false: it is warned of."""

    def covers(self, driver: str) -> bool:
        """Is this version, or the newest of this branch, one of the row's? Raises: ValueError for no version."""
        if self.driver and not matches_pin(driver, self.driver):
            return False
        return (not self.first or _reached(driver, self.first)) and not (self.before and _reached(driver, self.before))


def _reached(driver: str, bound: str) -> bool:
    """At `bound` or past it; a bare branch stands for its newest version."""
    key = driver_key(driver)
    return key >= driver_key(bound)[: len(key)]
