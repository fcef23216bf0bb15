"""How a CUDA toolkit stands to a driver: native, by minor-version or by forward compatibility, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from provision.catalog import (
    Capability,
    Catalog,
    CudaCompat,
    CudaMajor,
    CudaToolkit,
    Gpu,
    HostCompiler,
    Row,
    branch_of,
    driver_key,
)
from provision.model import Frozen

How = Literal["native", "minor", "forward", "no"]


class Standing(Frozen):
    """How a toolkit runs on a driver, in a sentence, with the ids of the catalog's rows that it rests on."""

    how: How
    why: tuple[str, ...]
    text: str


def standing(catalog: Catalog, toolkit: CudaToolkit, driver: str, gpus: Sequence[Gpu] = ()) -> Standing:
    """How the toolkit runs on the driver: native before minor before forward.

    Args:
        driver: a version, or a branch (`580`) that stands for its newest version.
        gpus: rows of the GPUs that are there; empty: whether they allow forward compatibility is not asked.

    Raises: ValueError when `driver` is not a version.
    """
    version = newest(catalog, driver)
    ways = standings(catalog, toolkit, version, gpus)
    return ways[0] if ways else _none(catalog, toolkit, version)


def standings(catalog: Catalog, toolkit: CudaToolkit, driver: str, gpus: Sequence[Gpu] = ()) -> tuple[Standing, ...]:
    """Every way in which the toolkit runs on the driver, the best first; empty when there is none."""
    version = newest(catalog, driver)
    native = is_native(toolkit, version)
    if native:
        return (_native(catalog, toolkit, version),)
    if toolkit.driver is None and toolkit.branch is None:
        return ()
    floor, package = minor_floor(catalog, toolkit, version), forward_package(catalog, toolkit, version, gpus)
    minor = () if floor is None else (_minor(catalog, toolkit, version, floor),)
    forward = () if package is None else (_forward(catalog, toolkit, version, package),)
    return (*minor, *forward)


def newest(catalog: Catalog, driver: str) -> str:
    """A branch's newest version; a version is its own."""
    branch = catalog.branch.get(driver)
    return driver if branch is None else branch.newest


def is_native(toolkit: CudaToolkit, driver: str) -> bool:
    """Is the driver the toolkit's own or newer? Drivers run every older toolkit.

    Where no driver is published, as for the toolkits that bundle none, its branch decides.
    """
    if toolkit.driver is not None:
        return driver_key(driver) >= driver_key(toolkit.driver)
    return toolkit.branch is not None and int(branch_of(driver)) >= int(toolkit.branch)


def minor_floor(catalog: Catalog, toolkit: CudaToolkit, driver: str) -> CudaMajor | None:
    """The floor of the toolkit's major, when the driver meets it."""
    major = branch_of(toolkit.id)
    for row in catalog.cuda_majors:
        if row.id == major:
            return row if driver_key(driver) >= driver_key(row.driver) else None
    return None


def forward_package(catalog: Catalog, toolkit: CudaToolkit, driver: str, gpus: Sequence[Gpu] = ()) -> CudaCompat | None:
    """The package that lets the driver run the toolkit by forward compatibility, when everything allows it.

    It takes data-centre GPUs, a branch that is listed as its base and is no New Feature Branch, and a libcuda in
    the package that is newer than the driver.
    """
    if not all(gpu.data_centre for gpu in gpus):
        return None
    package = compat_package(catalog, toolkit)
    return package if package is not None and is_base(catalog, package, driver) else None


def compat_package(catalog: Catalog, toolkit: CudaToolkit) -> CudaCompat | None:
    """The forward-compatibility package of the toolkit's minor."""
    return next((row for row in catalog.cuda_compat if row.cuda == toolkit.minor), None)


def is_base(catalog: Catalog, package: CudaCompat, driver: str) -> bool:
    """May the package be used over this driver?"""
    branch = catalog.branch.get(branch_of(driver))
    if branch is None or branch.type == "NFB" or package.on.get(branch.id) != "compatible":
        return False
    return not package.driver or driver_key(package.driver) > driver_key(driver)


def host_compiler(catalog: Catalog, toolkit: CudaToolkit) -> HostCompiler | None:
    """What the toolkit's nvcc accepts: the row of the release where it has its own, else of the minor."""
    rows = {row.id: row for row in catalog.host_compilers}
    return rows.get(toolkit.id) or rows.get(toolkit.minor)


def capability(catalog: Catalog, gpu: Gpu) -> Capability | None:
    """The compilers that know the GPU's compute capability."""
    return next((row for row in catalog.capabilities if row.id == gpu.compute_capability), None)


def knows(row: Capability, toolkit: CudaToolkit) -> bool:
    """Does the toolkit's compiler make machine code for the capability?"""
    minor = driver_key(toolkit.minor)
    last = row.last_cuda is None or minor <= driver_key(row.last_cuda)
    return driver_key(row.first_cuda) <= minor and last


def _native(catalog: Catalog, toolkit: CudaToolkit, driver: str) -> Standing:
    if toolkit.driver is not None:
        text = f"CUDA {toolkit.id} runs natively from driver {toolkit.driver} on"
    else:
        text = f"CUDA {toolkit.id} runs natively from driver branch {toolkit.branch} on"
    return Standing(how="native", why=(catalog.ref(toolkit), *_branch(catalog, driver)), text=text)


def _minor(catalog: Catalog, toolkit: CudaToolkit, driver: str, floor: CudaMajor) -> Standing:
    text = (
        f"CUDA {floor.id}.x runs on drivers from {floor.driver} on by minor-version compatibility; PTX of "
        f"{toolkit.id} is not compiled by driver {driver} (error 222), so code must hold machine code for the GPU"
    )
    return Standing(how="minor", why=_refs(catalog, driver, toolkit, floor), text=text)


def _forward(catalog: Catalog, toolkit: CudaToolkit, driver: str, package: CudaCompat) -> Standing:
    base = branch_of(driver)
    text = f"{package.id} runs CUDA {package.cuda} over driver branch {base}, on data-centre GPUs only"
    return Standing(how="forward", why=_refs(catalog, driver, toolkit, package), text=text)


def _none(catalog: Catalog, toolkit: CudaToolkit, driver: str) -> Standing:
    if toolkit.driver is None and toolkit.branch is None:
        text = f"no driver is published for CUDA {toolkit.id}"
        return Standing(how="no", why=(catalog.ref(toolkit),), text=text)
    package = compat_package(catalog, toolkit)
    floors = [row for row in catalog.cuda_majors if row.id == branch_of(toolkit.id)]
    from_on = "; ".join(f"CUDA {row.id}.x needs driver {row.driver} or newer" for row in floors)
    over = f"no forward compatibility over driver {driver}"
    rows = (toolkit, *floors, *(() if package is None else (package,)))
    return Standing(how="no", why=_refs(catalog, driver, *rows), text=f"{from_on}; {over}")


def _refs(catalog: Catalog, driver: str, *rows: Row) -> tuple[str, ...]:
    return (*(catalog.ref(row) for row in rows), *_branch(catalog, driver))


def _branch(catalog: Catalog, driver: str) -> tuple[str, ...]:
    branch = catalog.branch.get(branch_of(driver))
    return () if branch is None else (catalog.ref(branch),)
