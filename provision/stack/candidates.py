"""What could be chosen: the candidates of each component, from the node's own archive or else from the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from provision.catalog import Catalog, Gpu, Kernel, KernelDriverPair, Modules, branch_of, driver_key, matches_pin
from provision.model import NodeSpec
from provision.platforms import Offers, Platform

Component = Literal["modules", "driver", "kernel"]
COMPONENTS: tuple[Component, ...] = ("modules", "driver", "kernel")

K64 = 65536
BASE_PAGE = 4096


@dataclass(frozen=True)
class Candidate:
    """One possible choice. `modules` are of one driver version; a kernel is of one flavour."""

    component: Component
    version: str
    driver: str = ""
    row: Kernel | None = None


@dataclass(frozen=True)
class Facts:
    """All that the rules may look at."""

    spec: NodeSpec
    catalog: Catalog
    platform: Platform
    gpus: tuple[Gpu, ...]
    """Rows of the declared GPU, or of those that are there; empty when neither is known."""
    offers: Offers | None
    """What the node's archive offers and what is installed; None when it was not asked."""

    @property
    def gpu_name(self) -> str:
        return self.spec.gpu or " and ".join(dict.fromkeys(gpu.name for gpu in self.gpus))

    @property
    def coherent(self) -> bool:
        return any(gpu.coherent for gpu in self.gpus)

    @property
    def wanted_page_size(self) -> int:
        """Bytes. 64K on Grace, and on an arm64 machine of which no GPU is declared; elsewhere what the machine has."""
        grace = self.coherent or not self.gpus
        return K64 if self.platform.arch == "aarch64" and grace else BASE_PAGE


def candidates(facts: Facts) -> dict[Component, tuple[Candidate, ...]]:
    """The candidates of each component, best first as far as that depends on nothing else."""
    modules = _modules(facts)
    drivers = dict.fromkeys(candidate.driver for candidate in modules)
    return {
        "modules": modules,
        "driver": tuple(Candidate("driver", version, driver=version) for version in drivers),
        "kernel": _kernels(facts),
    }


def _modules(facts: Facts) -> tuple[Candidate, ...]:
    flavours: tuple[Modules, ...] = ("open", "proprietary")
    return tuple(
        Candidate("modules", flavour, driver=version)
        for flavour in flavours
        for version in sorted(_drivers(facts, flavour), key=lambda v: driver_rank(facts.catalog, v))
    )


def _drivers(facts: Facts, flavour: Modules) -> set[str]:
    if facts.offers is not None:
        return {v for v in facts.platform.offered_drivers(facts.offers, flavour) if _readable(v)}
    packages = facts.platform.drivers
    pin = facts.spec.driver
    known = set(packages.offered.get(flavour, ()))
    if pin is None or packages.complete or not _readable(pin) or branch_of(pin) not in facts.catalog.branch:
        return known
    # Only the branches of this archive are known, so the pin is believed until the archive is asked.
    return {pin, *(version for version in known if not matches_pin(pin, version))}


def _readable(version: str) -> bool:
    try:
        driver_key(version)
    except ValueError:
        return False
    return True


def driver_rank(catalog: Catalog, version: str) -> tuple[bool, bool, bool, tuple[int, ...]]:
    """Least is best: within its life, long-term, read and not remembered, newest."""
    branch = catalog.branch.get(branch_of(version))
    newest = tuple(-part for part in driver_key(version))
    if branch is None:
        return True, True, True, newest
    return branch.ended(catalog.as_of), branch.type != "LTSB", not branch.verified, newest


def _kernels(facts: Facts) -> tuple[Candidate, ...]:
    platform = facts.platform
    if facts.offers is not None:
        releases = platform.offered_kernels(facts.offers)
    else:
        known = [release for row in platform.kernels for release in row.releases]
        releases = platform.newest_first([*known, *_pinned_kernel(facts)])
    rows = [(release, platform.kernel_row(release)) for release in releases]
    wanted = [(release, row) for release, row in rows if row.default or release == facts.spec.kernel]
    return tuple(
        Candidate("kernel", release, row=row)
        # A stable sort: within one page size the newest stays first.
        for release, row in sorted(wanted, key=lambda pair: _distance(pair[1].page_size, facts.wanted_page_size))
    )


def _pinned_kernel(facts: Facts) -> tuple[str, ...]:
    """A pinned release is believed until the archive is asked, when it has the form of this distribution's kernels."""
    pin = facts.spec.kernel
    if pin is None:
        return ()
    try:
        facts.platform.kernel_row(pin)
    except LookupError:
        return ()
    return (pin,)


def _distance(size: int, wanted: int) -> int:
    return abs(size.bit_length() - wanted.bit_length())


# Does the driver build for the kernel?

BUILDS, UNKNOWN, DOUBTFUL, FAILS = range(4)


def build_outlook(facts: Facts, modules: Candidate, kernel: Candidate) -> tuple[int, KernelDriverPair | None]:
    """How sure it is that these modules build for this kernel, and the row that says so.

    BUILDS: seen. UNKNOWN: nobody tried. DOUBTFUL: a failure was inferred, or a failure of an older release of this
    kernel is known. FAILS: seen, or between two releases that were seen to fail.
    """
    told: tuple[int, KernelDriverPair | None] = (UNKNOWN, None)
    for pair in pairs(facts, modules, kernel):
        newer, older = _newer(facts, kernel.version, pair.last), _newer(facts, pair.first, kernel.version)
        if not newer and not older:
            if pair.builds:
                return (BUILDS if pair.verified else UNKNOWN), pair
            told = (FAILS if pair.verified else DOUBTFUL), pair
        elif newer and not pair.builds and told[0] == UNKNOWN:
            told = DOUBTFUL, pair
    return told


def pairs(facts: Facts, modules: Candidate, kernel: Candidate) -> tuple[KernelDriverPair, ...]:
    """What is recorded of these modules and this flavour of kernel."""
    assert kernel.row is not None
    key = (kernel.row.id, modules.version, modules.driver)
    return tuple(p for p in facts.catalog.kernel_driver_pairs if (p.kernel, p.modules, p.driver) == key)


def _newer(facts: Facts, release: str, other: str) -> bool:
    return release != other and facts.platform.newest_first((release, other))[0] == release
