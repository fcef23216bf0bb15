"""What could be chosen: the candidates of each component, from the node's own archive or else from the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

from provision.catalog import DocaRelease, Modules, branch_of, driver_key, matches_pin
from provision.platforms import spans
from provision.stack.compatibility import How, standings
from provision.stack.facts import Candidate, Component, Domains, Facts
from provision.stack.guide import rows_of
from provision.stack.hardware_rules import FABRICS, MEMORY_MODES
from provision.stack.outlook import starts_with

HOWS: tuple[How, ...] = ("native", "minor", "forward")
BRANCH_TYPES = ("LTSB", "PB")
"""Those that are taken without being asked for, the better first; new feature branches come after them."""


def candidates(facts: Facts) -> Domains:
    """The candidates of each component, best first as far as that depends on nothing else."""
    return {component: tuple(_DOMAINS[component](facts)) for component in facts.components}


def _modules(facts: Facts) -> Iterator[Candidate]:
    flavours: tuple[Modules, ...] = ("open", "proprietary")
    for flavour in flavours:
        for version in sorted(_drivers(facts, flavour), key=lambda v: _driver_order(facts, v)):
            yield Candidate("modules", flavour, driver=version)


def _driver_candidates(facts: Facts) -> Iterator[Candidate]:
    for version in dict.fromkeys(candidate.driver for candidate in _modules(facts)):
        yield Candidate("driver", version, driver=version)


def _drivers(facts: Facts, flavour: Modules) -> set[str]:
    if facts.spec.driver_repository == "cuda":
        return {v for v in _published(facts, flavour) if _readable(v)}
    if facts.offers is not None:
        return {v for v in facts.platform.offered_drivers(facts.offers, flavour) if _readable(v)}
    packages = facts.platform.drivers
    pin = facts.spec.driver
    known = set(packages.offered.get(flavour, ()))
    if pin is None or packages.complete or not _readable(pin) or branch_of(pin) not in facts.catalog.branch:
        return known
    # Only the branches of this archive are known, so the pin is believed until the archive is asked.
    return {pin, *(version for version in known if not matches_pin(pin, version))}


def _published(facts: Facts, flavour: Modules) -> Iterator[str]:
    """The newest of every branch that NVIDIA's repository has for the system, and the pin: it drops no release.

    A node knows that repository only after it was added, so its first reading has no say.
    """
    rows = [row for row in facts.platform.names if row.kernel.get(flavour)]
    branches = [b for b in facts.catalog.driver_branches if any(spans(row, b.id) for row in rows)]
    yield from (branch.newest for branch in branches)
    pin = facts.spec.driver
    if pin is not None and "." in pin and branch_of(pin) in {branch.id for branch in branches}:
        yield pin


def _readable(version: str) -> bool:
    try:
        driver_key(version)
    except ValueError:
        return False
    return True


def _driver_order(facts: Facts, version: str) -> tuple[object, ...]:
    """Least is best: runs the pinned toolkit without a compatibility package, then by the branch, then newest."""
    return _needs_forward(facts, version), *driver_rank(facts, version)


def _needs_forward(facts: Facts, version: str) -> bool:
    """Does the pinned toolkit run on this driver through a compatibility package only, or not at all?"""
    pin = facts.spec.cuda
    if pin is None or facts.spec.cuda_compat:
        return False
    toolkits = [row for row in facts.catalog.cuda_toolkits if starts_with(row.id, pin)]
    return not any(way.how != "forward" for row in toolkits for way in standings(facts.catalog, row, version))


def driver_rank(facts: Facts, version: str) -> tuple[bool, int, bool, tuple[int, ...]]:
    """Least is best: within its life, long-term before production before the rest, read and not remembered, newest."""
    branch = facts.catalog.branch.get(branch_of(version))
    newest_first = tuple(-part for part in driver_key(version))
    if branch is None:
        return True, len(BRANCH_TYPES), True, newest_first
    kind = BRANCH_TYPES.index(branch.type) if branch.type in BRANCH_TYPES else len(BRANCH_TYPES)
    return branch.ended(facts.catalog.as_of), kind, not branch.verified, newest_first


def _kernels(facts: Facts) -> list[Candidate]:
    platform = facts.platform
    if facts.offers is not None:
        releases = platform.offered_kernels(facts.offers)
    else:
        known = [release for row in platform.kernels for release in row.releases]
        releases = platform.newest_first([*known, *_pinned_kernel(facts)])
    rows = [(release, platform.kernel_row(release)) for release in releases]
    wanted = [(release, row) for release, row in rows if row.default or release == facts.spec.kernel]
    return [
        Candidate("kernel", release, row=row)
        # A stable sort: within one page size the newest stays first.
        for release, row in sorted(wanted, key=lambda pair: _distance(pair[1].page_size, facts.wanted_page_size))
    ]


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


def _toolkits(facts: Facts) -> list[Candidate]:
    """Every release in every way to run it; a preview only when it is named to the last digit."""
    rows = [row for row in facts.catalog.cuda_toolkits if not row.preview or row.id == facts.spec.cuda]
    rows.sort(key=lambda row: (not row.verified, _newest_first(row.id)))
    ways = HOWS if "driver" in facts.components else (None,)
    return [Candidate("cuda", row.id, how=how, row=row) for how in ways for row in rows]


def _compilers(facts: Facts) -> list[Candidate]:
    """The pin, what the guide says that the distribution has, then the highest that an nvcc accepts."""
    had = {branch_of(row.gcc): row for row in reversed(rows_of(facts)) if row.gcc}
    ceilings = {row.gcc: row for row in facts.catalog.host_compilers}
    rows = {**ceilings, **had}
    default_first = [*reversed(had), *sorted(set(ceilings) - set(had), key=int, reverse=True)]
    pin = () if facts.spec.gcc is None else (facts.spec.gcc,)
    return [Candidate("gcc", version, row=rows.get(version)) for version in dict.fromkeys((*pin, *default_first))]


def _docas(facts: Facts) -> list[Candidate]:
    rows = sorted(facts.catalog.doca_releases, key=lambda row: _doca_order(facts, row))
    return [Candidate("doca", row.id, row=row) for row in rows]


def _doca_order(facts: Facts, row: DocaRelease) -> tuple[object, ...]:
    return not is_seen(facts, row), not row.long_term, not row.verified, _newest_first(row.id)


def is_seen(facts: Facts, row: DocaRelease) -> bool:
    """Was a repository or package of this release seen for the node's operating system?"""
    return facts.spec.arch in row.repositories.get(facts.spec.os, ())


def _container_toolkits(facts: Facts) -> list[Candidate]:
    rows = sorted(facts.catalog.container_toolkits, key=lambda row: (not row.verified, _newest_first(row.id)))
    return [Candidate("container_toolkit", row.id, row=row) for row in rows]


def _newest_first(version: str) -> tuple[int, ...]:
    """Sorts releases newest first; a part that is no number (`2.9.x`) counts as the oldest of its kind."""
    return tuple(-int(part) if part.isdigit() else 1 for part in version.split("."))


def _fabrics(facts: Facts) -> list[Candidate]:
    """What machines with these GPUs are usually built with, then what else they may be, then everything.

    Where a name leaves it open, the machine is taken to need something: CUDA does not start without a fabric manager
    that is needed, while one that is not needed only ends.
    """
    usual = sorted({gpu.fabrics[0] for gpu in facts.gpus}, key=lambda fabric: (fabric == "none", fabric))
    built = [fabric for gpu in facts.gpus for fabric in gpu.fabrics]
    return [Candidate("fabric", FABRICS[fabric]) for fabric in dict.fromkeys((*usual, *built, *FABRICS))]


def _memory_modes(_facts: Facts) -> list[Candidate]:
    return [Candidate("memory_mode", mode) for mode in MEMORY_MODES]


_DOMAINS: dict[Component, Callable[[Facts], Iterator[Candidate] | list[Candidate]]] = {
    "modules": _modules,
    "driver": _driver_candidates,
    "kernel": _kernels,
    "cuda": _toolkits,
    "gcc": _compilers,
    "doca": _docas,
    "container_toolkit": _container_toolkits,
    "fabric": _fabrics,
    "memory_mode": _memory_modes,
}
assert tuple(_DOMAINS) == get_args(Component)
