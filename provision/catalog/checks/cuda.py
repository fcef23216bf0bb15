"""What is wrong with the rows of CUDA: toolkits, forward compatibility, host compilers, compute capabilities."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from provision.catalog.catalog import Catalog
from provision.catalog.cuda import CudaCompat, CudaToolkit
from provision.catalog.versions import branch_of, driver_key

MAJOR = "[0-9]+"
MINOR = r"[0-9]+\.[0-9]+"
RELEASE = rf"{MINOR}\.[0-9]+"
DRIVER = rf"{MAJOR}(\.[0-9]+){{0,2}}"


def cuda(catalog: Catalog) -> Iterator[str]:
    """Every defect as one sentence; the versions first, because the other checks compare them."""
    unreadable = list(_versions(catalog))
    if unreadable:
        yield from unreadable
        return
    yield from _branches(catalog)
    yield from _rising(catalog)
    yield from _majors(catalog)
    yield from _compat(catalog)
    yield from _compilers(catalog)
    yield from _capabilities(catalog)


def _versions(catalog: Catalog) -> Iterator[str]:
    for kind, row_id, pattern, version in _written(catalog):
        if not re.fullmatch(pattern, version):
            yield f"{kind} {row_id}: {version!r} is not a version of the form {pattern}"


def _written(catalog: Catalog) -> Iterator[tuple[str, str, str, str]]:
    """(kind, row, pattern, version) of every version that the rows of CUDA hold."""
    for toolkit in catalog.cuda_toolkits:
        yield "cuda_toolkits", toolkit.id, RELEASE, toolkit.id
        if toolkit.driver is not None:
            yield "cuda_toolkits", toolkit.id, DRIVER, toolkit.driver
    for major in catalog.cuda_majors:
        yield "cuda_majors", major.id, MAJOR, major.id
        yield "cuda_majors", major.id, DRIVER, major.driver
    for package in catalog.cuda_compat:
        yield "cuda_compat", package.id, MINOR, package.cuda
        if package.driver:
            yield "cuda_compat", package.id, DRIVER, package.driver
        yield from (("cuda_compat", package.id, MAJOR, base) for base in package.on)
    for compiler in catalog.host_compilers:
        yield "host_compilers", compiler.id, rf"{MINOR}(\.[0-9]+)?", compiler.id
        ends = (compiler.gcc_least, compiler.gcc, compiler.clang_least, compiler.clang, compiler.clang_least_grace)
        yield from (("host_compilers", compiler.id, MAJOR, end) for end in ends if end is not None)
    for capability in catalog.capabilities:
        span = (capability.id, capability.first_cuda, capability.last_cuda)
        yield from (("capabilities", capability.id, MINOR, version) for version in span if version is not None)


def _branches(catalog: Catalog) -> Iterator[str]:
    for toolkit in catalog.cuda_toolkits:
        if toolkit.branch is None:
            continue
        branch = catalog.branch.get(toolkit.branch)
        if branch is None:
            yield f"cuda_toolkits {toolkit.id}: there is no driver branch {toolkit.branch}"
        elif branch.cuda not in (None, toolkit.minor):
            yield f"cuda_toolkits {toolkit.id}: driver branch {branch.id} reports CUDA {branch.cuda}"
        if toolkit.driver is not None and branch_of(toolkit.driver) != toolkit.branch:
            yield f"cuda_toolkits {toolkit.id}: driver {toolkit.driver} is not of branch {toolkit.branch}"


def _rising(catalog: Catalog) -> Iterator[str]:
    known = [(toolkit, driver) for toolkit in catalog.cuda_toolkits if (driver := toolkit.driver or toolkit.branch)]
    known.sort(key=lambda pair: driver_key(pair[0].id))
    for (older, low), (newer, high) in pairwise(known):
        if driver_key(high) < driver_key(low):
            yield f"cuda_toolkits {newer.id}: needs driver {high}, less than {low} of the older {older.id}"


def _majors(catalog: Catalog) -> Iterator[str]:
    majors = {row.id for row in catalog.cuda_majors}
    for toolkit in catalog.cuda_toolkits:
        if branch_of(toolkit.id) not in majors:
            yield f"cuda_toolkits {toolkit.id}: cuda_majors has no row {branch_of(toolkit.id)}"
    for major in catalog.cuda_majors:
        if branch_of(major.driver) not in catalog.branch:
            yield f"cuda_majors {major.id}: there is no driver branch {branch_of(major.driver)}"


def _compat(catalog: Catalog) -> Iterator[str]:
    for package in catalog.cuda_compat:
        toolkit = next((row for row in catalog.cuda_toolkits if row.minor == package.cuda), None)
        if package.id != f"cuda-compat-{package.cuda.replace('.', '-')}":
            yield f"cuda_compat {package.id}: is not called after CUDA {package.cuda}"
        if toolkit is None:
            yield f"cuda_compat {package.id}: there is no toolkit of CUDA {package.cuda}"
        else:
            yield from _bases(package, toolkit)
        for base in package.on:
            if base not in catalog.branch:
                yield f"cuda_compat {package.id}: there is no driver branch {base}"


def _bases(package: CudaCompat, toolkit: CudaToolkit) -> Iterator[str]:
    """The package holds the driver of its toolkit's branch: native there, and never usable over a newer branch."""
    own = toolkit.branch
    if own is None:
        return
    if package.driver and branch_of(package.driver) != own:
        yield f"cuda_compat {package.id}: libcuda {package.driver} is not of branch {own}"
    for base, standing in package.on.items():
        if (standing == "native") != (base == own):
            yield f"cuda_compat {package.id}: native is {own}, but {base} is {standing}"
        if standing == "compatible" and int(base) > int(own):
            yield f"cuda_compat {package.id}: compatible over {base}, which is newer than its own branch {own}"


def _compilers(catalog: Catalog) -> Iterator[str]:
    held = {row.id for row in catalog.host_compilers}
    releases = {row.id for row in catalog.cuda_toolkits}
    for minor in sorted({toolkit.minor for toolkit in catalog.cuda_toolkits}):
        if minor not in held:
            yield f"host_compilers: there is no row for CUDA {minor}"
    for row in catalog.host_compilers:
        if re.fullmatch(RELEASE, row.id) and row.id not in releases:
            yield f"host_compilers {row.id}: there is no such toolkit"
        clang_least = max(int(row.clang_least), int(row.clang_least_grace or 0))
        if int(row.gcc_least) > int(row.gcc) or clang_least > int(row.clang):
            yield f"host_compilers {row.id}: accepts no compiler, the least is above the highest"


def _capabilities(catalog: Catalog) -> Iterator[str]:
    held = {row.id for row in catalog.capabilities}
    for gpu in catalog.gpus:
        if gpu.compute_capability not in held:
            yield f"gpus {gpu.id}: capabilities has no row {gpu.compute_capability}"
    for row in catalog.capabilities:
        if row.last_cuda is not None and driver_key(row.last_cuda) < driver_key(row.first_cuda):
            yield f"capabilities {row.id}: ends with CUDA {row.last_cuda}, before it begins"
