"""What is wrong with the rows of systems, DOCA-OFED, containers and combinations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date

from provision.catalog.catalog import Catalog
from provision.catalog.combinations import Combination
from provision.catalog.containers import ContainerToolkit
from provision.catalog.gpus import find_gpus
from provision.catalog.versions import branch_of

K64 = 65536
PAGE_SIZES = (None, 4096, 16384, K64)

_RELEASE = re.compile(r"[0-9]+(\.[0-9]+){1,2}")
_COMPILER = re.compile(r"[0-9]+(\.[0-9]+)*(\.x)?")
_LIBRARY = re.compile(r"[0-9]+\.[0-9]+(-[0-9]+)?")
_DRIVER = re.compile(r"[0-9]+(\.[0-9]+){0,2}")
_KERNEL = re.compile(r"[0-9]+\.[0-9]+\S*")
_64K = re.compile(r"64kb?$")


def systems(catalog: Catalog) -> Iterator[str]:
    """Every defect of these rows as one sentence."""
    yield from _versions(catalog)
    yield from _guides(catalog)
    yield from _doca(catalog)
    yield from _builds_and_fails(catalog)
    yield from _toolkits(catalog.container_toolkits)
    for row in catalog.combinations:
        yield from (f"combinations {row.id}: {defect}" for defect in _combination(catalog, row))


def _versions(catalog: Catalog) -> Iterator[str]:
    for kind, rows in (("doca_releases", catalog.doca_releases), ("container_toolkits", catalog.container_toolkits)):
        yield from (f"{kind} {row.id}: the id is not a release" for row in rows if not _RELEASE.fullmatch(row.id))
    for release in catalog.doca_releases:
        if not _RELEASE.fullmatch(release.ofed):
            yield f"doca_releases {release.id}: {release.ofed!r} is not an OFED release"
    for runtime in catalog.cdi_runtimes:
        if not _RELEASE.fullmatch(runtime.first):
            yield f"cdi_runtimes {runtime.id}: {runtime.first!r} is not a release"


def _guides(catalog: Catalog) -> Iterator[str]:
    """The operating system tables: one row per edition, system, architecture, table and kernel."""
    keys = Counter((row.cuda, row.os, row.arch, row.grace, row.kernel) for row in catalog.supported_systems)
    for row in catalog.supported_systems:
        told = f"supported_systems {row.id}:"
        if keys[(row.cuda, row.os, row.arch, row.grace, row.kernel)] > 1:
            yield f"{told} there is another row of its edition, system, architecture and kernel"
        if not _is_cuda(catalog, row.cuda.removesuffix(".x")):
            yield f"{told} there is no CUDA {row.cuda}"
        if not _all_match((_KERNEL, row.kernel), (_COMPILER, row.gcc), (_LIBRARY, row.glibc)):
            yield f"{told} kernel {row.kernel!r}, gcc {row.gcc!r} or glibc {row.glibc!r} is not a version"
        if row.page_size not in PAGE_SIZES or (_64K.search(row.kernel) and row.page_size != K64):
            yield f"{told} pages of {row.page_size} bytes do not fit its kernel {row.kernel}"
        if row.grace and row.arch != "aarch64":
            yield f"{told} a Grace table is about aarch64"
        if row.page_size == K64 and not row.grace:
            yield f"{told} 64K pages are listed in the Grace tables only"


def _all_match(*versions: tuple[re.Pattern[str], str]) -> bool:
    """A version that was not read is empty."""
    return all(not text or pattern.fullmatch(text) for pattern, text in versions)


def _is_cuda(catalog: Catalog, cuda: str) -> bool:
    return any(_begins(toolkit.id, cuda) for toolkit in catalog.cuda_toolkits)


def _is_doca(catalog: Catalog, doca: str) -> bool:
    return any(_begins(release.id, doca) for release in catalog.doca_releases)


def _begins(version: str, beginning: str) -> bool:
    """Is `version` the release that `beginning` names, or one of several?"""
    parts = beginning.split(".")
    return version.split(".")[: len(parts)] == parts


def _doca(catalog: Catalog) -> Iterator[str]:
    for pair in catalog.kernel_doca_pairs:
        if not _is_doca(catalog, pair.doca):
            yield f"kernel_doca_pairs {pair.id}: there is no DOCA release {pair.doca}"
        if not pair.release and not pair.os:
            yield f"kernel_doca_pairs {pair.id}: it names neither a kernel nor an operating system"
        if not _all_match((_KERNEL, pair.release)):
            yield f"kernel_doca_pairs {pair.id}: {pair.release!r} is not a kernel release"
        if pair.builds == bool(pair.cause):
            yield f"kernel_doca_pairs {pair.id}: a failure has a cause, and nothing else has"
    for ready in catalog.doca_prebuilt:
        if not _is_doca(catalog, ready.doca):
            yield f"doca_prebuilt {ready.id}: there is no DOCA release {ready.doca}"


def _builds_and_fails(catalog: Catalog) -> Iterator[str]:
    """One DOCA release cannot both build and fail for one kernel; ready-made modules were built."""
    pairs = catalog.kernel_doca_pairs
    built = [(f"kernel_doca_pairs {p.id}", p.os, p.release, p.doca) for p in pairs if p.builds]
    built += [
        (f"doca_prebuilt {row.id}", row.os, release, row.doca)
        for row in catalog.doca_prebuilt
        for release in row.releases
    ]
    for told, system, release, doca in built:
        for pair in pairs:
            same_system = not pair.os or not system or pair.os == system
            same_kernel = pair.release == release or (not pair.release and bool(system))
            same_doca = _begins(doca, pair.doca) or _begins(pair.doca, doca)
            if not pair.builds and same_system and same_kernel and same_doca:
                yield f"{told}: contradicts kernel_doca_pairs {pair.id} on {release or system}"


def _toolkits(rows: Iterable[ContainerToolkit]) -> Iterator[str]:
    for row in rows:
        try:
            date.fromisoformat(row.date)
        except ValueError:
            yield f"container_toolkits {row.id}: {row.date!r} is not a day"
        if row.good == bool(row.fault):
            yield f"container_toolkits {row.id}: a faulty version says its fault, and no other does"


def _combination(catalog: Catalog, row: Combination) -> Iterator[str]:
    """What a set names is known, and a set that fails names the rule that refuses it."""
    if row.works == bool(row.breaks):
        yield "a set that fails names the rule it breaks, and no other does"
    if row.breaks and row.breaks not in catalog.rule:
        yield f"there is no rule {row.breaks}"
    if row.driver is not None and branch_of(row.driver) not in catalog.branch:
        yield f"there is no driver branch {branch_of(row.driver)}"
    if row.cuda is not None and not _is_cuda(catalog, row.cuda):
        yield f"there is no CUDA {row.cuda}"
    if row.doca is not None and not _is_doca(catalog, row.doca):
        yield f"there is no DOCA release {row.doca}"
    if row.container_toolkit is not None and row.container_toolkit not in {t.id for t in catalog.container_toolkits}:
        yield f"there is no container toolkit {row.container_toolkit}"
    if row.gpu is not None and not _is_gpu(catalog, row.gpu):
        yield f"there is no GPU {row.gpu}"
    if not _all_match((_KERNEL, row.kernel or ""), (_DRIVER, row.driver or ""), (_COMPILER, row.gcc or "")):
        yield f"kernel {row.kernel!r}, driver {row.driver!r} or gcc {row.gcc!r} is not a version"


def _is_gpu(catalog: Catalog, name: str) -> bool:
    try:
        return bool(find_gpus(catalog.gpus, name))
    except LookupError:
        return False
