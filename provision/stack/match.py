"""Which CUDA toolkits a driver runs, and which drivers a CUDA release runs on. Nothing is declared, nothing resolved.

A minor (`12.8`) is told by its best release: what is asked is whether some toolkit of it runs, and the updates of a
minor may bundle a newer driver than its first release. Every release's own standing is told beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from provision.catalog import Catalog, CudaToolkit, Gpu, HostCompiler, branch_of, driver_key, find_gpus
from provision.model import Frozen, Snapshot
from provision.stack.compatibility import How, Standing, newest, standing

ORDER: tuple[How, ...] = ("native", "minor", "forward", "no")
"""Best first."""

NVIDIA, DISPLAY = "10de", "03"
"""PCI vendor, and base class of display controllers, 3D controllers among them."""

NEAREST = 3


class NoMatch(LookupError):
    """A driver, CUDA release or GPU was asked about that the catalog does not know; the text names what is near."""

    def __str__(self) -> str:
        return str(self.args[0])


class ToolkitMatch(Frozen):
    """One CUDA minor on a driver."""

    cuda: str
    how: How
    why: tuple[str, ...]
    """Ids of the catalog's rows that this rests on."""
    text: str
    verified: bool
    release: str
    """The best release of the minor: the one that `how` is about."""
    releases: dict[str, How]
    compilers: HostCompiler | None
    """What this release's nvcc accepts; None where the catalog does not know."""
    compiles: bool | None
    """Does its compiler know the GPU? None: no GPU was named, or it is not known."""


class DriverMatch(Frozen):
    """One driver under a CUDA release."""

    driver: str
    how: How
    why: tuple[str, ...]
    text: str
    verified: bool
    release: str
    branch: str
    type: str
    """LTSB, PB, NFB or unknown."""
    newest: bool
    """The newest version of its branch; otherwise it is told because something begins with it."""
    ended: bool
    """Past its end of life on the day on which the catalog was read."""


def toolkits(catalog: Catalog, driver: str, gpus: Sequence[Gpu] = ()) -> tuple[ToolkitMatch, ...]:
    """Every CUDA minor on a driver, newest first.

    Args:
        driver: a version, or a branch that stands for its newest version.
        gpus: rows of the GPUs that are there; without, nothing is asked of them.

    Raises: NoMatch.
    """
    version = known_driver(catalog, driver)
    minors = sorted({row.minor for row in catalog.cuda_toolkits}, key=driver_key, reverse=True)
    return tuple(_toolkit(catalog, minor, version, gpus) for minor in minors)


def drivers(catalog: Catalog, cuda: str, gpus: Sequence[Gpu] = ()) -> tuple[DriverMatch, ...]:
    """The newest driver of every branch, and the drivers at which something begins, under a CUDA release; newest first.

    cuda: a minor (`12.8`) or a release (`12.8.1`).

    Raises: NoMatch.
    """
    rows, begin = known_releases(catalog, cuda), least(catalog, cuda)
    # A floor without a point is a branch, and its newest version is there already.
    beginnings = {version for version in (begin.native, begin.minor) if version is not None and "." in version}
    versions = {branch.newest for branch in catalog.driver_branches} | beginnings
    return tuple(_driver(catalog, rows, v, gpus) for v in sorted(versions, key=driver_key, reverse=True))


class Least(Frozen):
    """The drivers at which something begins; None where nothing is published, or nothing begins."""

    native: str | None
    minor: str | None
    """The floor of minor-version compatibility; a branch where the floor is that branch's first version."""


def least(catalog: Catalog, cuda: str) -> Least:
    """Where a CUDA release begins to run. Raises: NoMatch."""
    rows = known_releases(catalog, cuda)
    own = sorted((row.driver for row in rows if row.driver is not None), key=driver_key)
    floors = (major.driver for major in catalog.cuda_majors if major.id == branch_of(rows[0].id))
    return Least(native=next(iter(own), None), minor=next(floors, None))


def branch_doubts(catalog: Catalog, driver: str) -> Iterator[str]:
    """What speaks against the driver itself, whatever toolkit runs on it."""
    version, branch = newest(catalog, driver), catalog.branch.get(branch_of(driver))
    if branch is None:
        yield f"the catalog knows no driver branch {branch_of(driver)}"
        return
    if branch.ended(catalog.as_of):
        yield f"driver branch {branch.id} reached its end of life ({branch.eol})"
    if driver_key(version) > driver_key(branch.newest):
        yield f"driver {version} is newer than {branch.newest}, the newest of its branch that the catalog knows"


def gpu_doubts(catalog: Catalog, driver: str, gpus: Sequence[Gpu]) -> Iterator[str]:
    """Which of these GPUs the driver does not drive, as far as that is known."""
    version = newest(catalog, driver)
    lasts = {gpu.name: gpu.last_branch for gpu in gpus if gpu.last_branch is not None}
    yield from (
        f"the last driver branch for {name} is {last}"
        for name, last in lasts.items()
        if int(branch_of(version)) > int(last)
    )
    for name in dict.fromkeys(gpu.name for gpu in gpus):
        # A name stands for several PCI ids; it is enough that one of them is served.
        floors = [gpu.supported_from for gpu in gpus if gpu.name == name]
        known = sorted((floor for floor in floors if floor is not None), key=driver_key)
        if known and driver_key(version) < driver_key(known[0]):
            yield f"{name} is supported from driver {known[0]} on"


def known_driver(catalog: Catalog, driver: str) -> str:
    """The version that a driver or branch stands for. Raises: NoMatch."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", driver):
        within = re.search(r"[0-9]{3,}(\.[0-9]+)+", driver)
        raise NoMatch(
            f"{driver!r} is not a driver version or branch"
            + (f"; did you mean {within[0]}?" if within else f" (branches: {', '.join(catalog.branch)})")
        )
    branch = branch_of(driver)
    if branch not in catalog.branch:
        near = sorted(catalog.branch, key=lambda known: abs(int(known) - int(branch)))[:NEAREST]
        raise NoMatch(f"the catalog knows no driver branch {branch}; the nearest are {_listed(sorted(near))}")
    return newest(catalog, driver)


def known_releases(catalog: Catalog, cuda: str) -> tuple[CudaToolkit, ...]:
    """The releases of a minor, or the one that is named. Raises: NoMatch."""
    rows = tuple(row for row in catalog.cuda_toolkits if cuda in (row.minor, row.id))
    if rows:
        return tuple(row for row in rows if not row.preview) or rows
    known = list(dict.fromkeys(row.minor for row in catalog.cuda_toolkits))
    names = [*known, *(row.id for row in catalog.cuda_toolkits)]
    near = [name for name in names if name.startswith(f"{cuda}.")] or get_close_matches(cuda, names, NEAREST, 0.5)
    raise NoMatch(f"the catalog knows no CUDA {cuda}" + (f"; did you mean {_listed(near)}?" if near else ""))


def known_gpus(catalog: Catalog, name: str) -> tuple[Gpu, ...]:
    """The rows of the GPU that is named. Raises: NoMatch."""
    try:
        return find_gpus(catalog.gpus, name)
    except LookupError as error:
        raise NoMatch(*error.args) from None


def gpus_on(catalog: Catalog, snapshot: Snapshot) -> tuple[Gpu, ...]:
    """The rows of the GPUs on a machine's PCI bus."""
    ids = {
        f"{device.vendor}:{device.device}"
        for device in snapshot.pci
        if device.vendor == NVIDIA and device.pci_class.startswith(DISPLAY)
    }
    return tuple(gpu for gpu in catalog.gpus if gpu.id in ids)


def driver_on(snapshot: Snapshot) -> str | None:
    """The driver of a machine: the one that is loaded, or else the one its libraries are of."""
    return snapshot.gpu.kernel_driver or snapshot.gpu.library_driver or None


def _toolkit(catalog: Catalog, minor: str, driver: str, gpus: Sequence[Gpu]) -> ToolkitMatch:
    rows = known_releases(catalog, minor)
    row, found = _best(catalog, rows, driver, gpus)
    return ToolkitMatch(
        cuda=minor,
        **found.model_dump(),
        verified=_verified(catalog, found),
        release=row.id,
        releases={each.id: standing(catalog, each, driver, gpus).how for each in rows},
        compilers=_compilers(catalog, row),
        compiles=_compiles(catalog, minor, gpus),
    )


def _driver(catalog: Catalog, rows: Sequence[CudaToolkit], driver: str, gpus: Sequence[Gpu]) -> DriverMatch:
    row, found = _best(catalog, rows, driver, gpus)
    branch = catalog.branch.get(branch_of(driver))
    return DriverMatch(
        driver=driver,
        **found.model_dump(),
        verified=_verified(catalog, found),
        release=row.id,
        branch=branch_of(driver),
        type=branch.type if branch else "unknown",
        newest=branch is not None and branch.newest == driver,
        ended=branch is not None and branch.ended(catalog.as_of),
    )


def _best(
    catalog: Catalog, rows: Sequence[CudaToolkit], driver: str, gpus: Sequence[Gpu]
) -> tuple[CudaToolkit, Standing]:
    """The release that runs best; of those that run alike the newest whose facts were read."""
    newest_first = sorted(rows, key=lambda row: driver_key(row.id), reverse=True)
    stand = [(row, standing(catalog, row, driver, gpus)) for row in newest_first]
    row, found = min(stand, key=lambda pair: (ORDER.index(pair[1].how), not pair[0].verified))
    return row, _gated(catalog, row, driver, gpus, found)


def _gated(catalog: Catalog, row: CudaToolkit, driver: str, gpus: Sequence[Gpu], found: Standing) -> Standing:
    """When it is the GPU that does not allow it, that is the reason."""
    if found.how != "no" or not gpus:
        return found
    anywhere = standing(catalog, row, driver)
    if anywhere.how == "no":
        return found
    barred = [gpu for gpu in gpus if not gpu.data_centre]
    names = _listed(list(dict.fromkeys(gpu.name for gpu in barred)))
    why = dict.fromkeys((*anywhere.why, *(catalog.ref(gpu) for gpu in barred)))
    return found.model_copy(update={"why": tuple(why), "text": f"{anywhere.text}; {names} is none"})


def _verified(catalog: Catalog, found: Standing) -> bool:
    """Does it rest on verified rows alone?"""
    kinds = {fact: getattr(catalog, fact.partition("/")[0]) for fact in found.why}
    return all(row.verified for fact, rows in kinds.items() for row in rows if row.id == fact.partition("/")[2])


def _compilers(catalog: Catalog, toolkit: CudaToolkit) -> HostCompiler | None:
    rows = {row.id: row for row in catalog.host_compilers}
    return rows.get(toolkit.id) or rows.get(toolkit.minor)


def _compiles(catalog: Catalog, minor: str, gpus: Sequence[Gpu]) -> bool | None:
    rows = {row.id: row for row in catalog.capabilities}
    known = [rows[gpu.compute_capability] for gpu in gpus if gpu.compute_capability in rows]
    if not known:
        return None
    key = driver_key(minor)
    return all(
        driver_key(row.first_cuda) <= key and (row.last_cuda is None or key <= driver_key(row.last_cuda))
        for row in known
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}" if words else ""
