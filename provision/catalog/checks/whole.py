"""What is wrong with a catalog: the checks that keep its rows usable as evidence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from provision.catalog.catalog import Catalog
from provision.catalog.checks.cuda import cuda
from provision.catalog.checks.drivers import drivers
from provision.catalog.checks.systems import systems
from provision.catalog.kernels import Kernel, KernelDriverPair
from provision.catalog.row import Row
from provision.catalog.versions import branch_of, driver_key


def check(catalog: Catalog) -> list[str]:
    """Every defect as one sentence; empty when there is none."""
    return [
        *_sources(catalog),
        *_ids(catalog),
        *_references(catalog),
        *_driver_versions(catalog),
        *_days(catalog),
        *_kernel_releases(catalog),
        *_overlaps(catalog),
        *cuda(catalog),
        *drivers(catalog),
        *systems(catalog),
    ]


def kinds(catalog: Catalog) -> dict[str, tuple[Row, ...]]:
    """The catalog's rows by kind."""
    fields = {name: getattr(catalog, name) for name in type(catalog).model_fields}
    return {name: rows for name, rows in fields.items() if isinstance(rows, tuple)}


def _sources(catalog: Catalog) -> Iterator[str]:
    for kind, rows in kinds(catalog).items():
        for row in rows:
            if not row.source.strip():
                yield f"{kind} {row.id}: no source"
            for key in row.source.split("+"):
                # A citation in words holds spaces; a single word must be a key of the table.
                if key and " " not in key.strip() and key not in catalog.sources:
                    yield f"{kind} {row.id}: source {key!r} is not in the table of sources"


def _ids(catalog: Catalog) -> Iterator[str]:
    for kind, rows in kinds(catalog).items():
        for name, count in Counter(row.id for row in rows).items():
            if count > 1:
                yield f"{kind} {name}: {count} rows have this id"


def _references(catalog: Catalog) -> Iterator[str]:
    systems = {row.id: row for row in catalog.operating_systems}
    for kernel in catalog.kernels:
        if kernel.os not in systems or kernel.arch not in systems[kernel.os].archs:
            yield f"kernels {kernel.id}: there is no {kernel.os} on {kernel.arch}"
    for packages in catalog.driver_packages:
        if packages.os not in systems:
            yield f"driver_packages {packages.id}: there is no {packages.os}"
    for pair in catalog.kernel_driver_pairs:
        if pair.kernel not in catalog.kernel:
            yield f"kernel_driver_pairs {pair.id}: there is no kernel {pair.kernel}"
    for kind, row_id, version in _drivers(catalog):
        if branch_of(version) not in catalog.branch:
            yield f"{kind} {row_id}: there is no driver branch {branch_of(version)}"


def _drivers(catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    """(kind, row, version) of every driver version that is named."""
    for branch in catalog.driver_branches:
        yield "driver_branches", branch.id, branch.newest
    for gpu in catalog.gpus:
        named = [gpu.first_open, gpu.last_branch, *gpu.first_open_in_branch, *gpu.first_open_in_branch.values()]
        yield from (("gpus", gpu.id, version) for version in named if version is not None)
    for packages in catalog.driver_packages:
        for versions in packages.offered.values():
            yield from (("driver_packages", packages.id, version) for version in versions)
    for pair in catalog.kernel_driver_pairs:
        yield "kernel_driver_pairs", pair.id, pair.driver


def _driver_versions(catalog: Catalog) -> Iterator[str]:
    for kind, row_id, version in _drivers(catalog):
        try:
            driver_key(version)
        except ValueError:
            yield f"{kind} {row_id}: {version!r} is not a driver version"


def _days(catalog: Catalog) -> Iterator[str]:
    day = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?")
    for branch in catalog.driver_branches:
        if branch.eol is not None and not day.fullmatch(branch.eol):
            yield f"driver_branches {branch.id}: {branch.eol!r} is not a day or month"


def _kernel_releases(catalog: Catalog) -> Iterator[str]:
    for kernel in catalog.kernels:
        yield from (_foreign("kernels", kernel.id, kernel, r) for r in kernel.releases if not _fits(kernel, r))
    for pair in catalog.kernel_driver_pairs:
        row = catalog.kernel.get(pair.kernel)
        if row is not None:
            ends = (pair.first, pair.last)
            yield from (_foreign("kernel_driver_pairs", pair.id, row, r) for r in ends if not _fits(row, r))


def _fits(kernel: Kernel, release: str) -> bool:
    return re.fullmatch(kernel.release, release) is not None


def _foreign(kind: str, row_id: str, kernel: Kernel, release: str) -> str:
    return f"{kind} {row_id}: {release!r} is not a release of {kernel.id}"


def _overlaps(catalog: Catalog) -> Iterator[str]:
    """One kernel cannot both build and not build with one driver; both ends of the ranges are compared as texts."""
    ends: dict[tuple[str, str, str, str], KernelDriverPair] = {}
    for pair in catalog.kernel_driver_pairs:
        for release in {pair.first, pair.last}:
            other = ends.setdefault((pair.kernel, pair.modules, pair.driver, release), pair)
            if other.builds != pair.builds:
                yield f"kernel_driver_pairs {pair.id}: contradicts {other.id} on {release}"
