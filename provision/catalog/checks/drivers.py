"""What is wrong with the rows about drivers and GPUs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import get_args

from provision.catalog.catalog import Catalog
from provision.catalog.drivers import DriverIssue, DriverNames
from provision.catalog.gpus import Gpu
from provision.catalog.versions import Key, branch_of, driver_key
from provision.model.spec import Feature

PLACEHOLDERS = {"branch", "version"}


def drivers(catalog: Catalog) -> Iterator[str]:
    """Every defect as one sentence."""
    yield from _versions(catalog)
    yield from _branches(catalog)
    for row in catalog.driver_names:
        yield from _names(catalog, row)
    yield from _spans(catalog.driver_names)
    for issue in catalog.driver_issues:
        yield from _issue(catalog, issue)
    for gpu in catalog.gpus:
        yield from _gpu(gpu)


def _versions(catalog: Catalog) -> Iterator[str]:
    for where, version in _named(catalog):
        if _key(version) is None:
            yield f"{where}: {version!r} is not a driver version"
        elif branch_of(version) not in catalog.branch:
            yield f"{where}: there is no driver branch {branch_of(version)}"


def _named(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """(row, version) of the versions that these checks are about."""
    for gpu in catalog.gpus:
        yield from ((f"gpus {gpu.id}", version) for version in (gpu.supported_from, gpu.mig_from) if version)
    for row in catalog.driver_names:
        yield from ((f"driver_names {row.id}", version) for version in (row.first, row.last) if version)
    for issue in catalog.driver_issues:
        ends = (issue.driver, issue.first, issue.before)
        yield from ((f"driver_issues {issue.id}", version) for version in ends if version)


def _key(version: str) -> Key | None:
    try:
        return driver_key(version)
    except ValueError:
        return None


def _branches(catalog: Catalog) -> Iterator[str]:
    for row in catalog.driver_branches:
        if branch_of(row.newest) != row.id:
            yield f"driver_branches {row.id}: {row.newest} is of another branch"
        if row.cuda_verified and row.cuda is None:
            yield f"driver_branches {row.id}: a CUDA version that is not there was read"
    told = [(row, _key(row.cuda)) for row in catalog.driver_branches if row.cuda is not None]
    by_age = sorted(told, key=lambda pair: int(pair[0].id))
    for (older, least), (newer, most) in pairwise(by_age):
        if least is None or most is None or least > most:
            yield f"driver_branches {newer.id}: shows CUDA {newer.cuda}, and {older.id} before it {older.cuda}"


def _names(catalog: Catalog, row: DriverNames) -> Iterator[str]:
    families = {system.family for system in catalog.operating_systems} | {"rhel", "sles"}
    if row.family not in families:
        yield f"driver_names {row.id}: there is no family {row.family}"
    named = _packages(row)
    for package in (*named, *row.streams.values(), row.pinning or ""):
        for placeholder in set(re.findall(r"{(.*?)}", package)) - PLACEHOLDERS:
            yield f"driver_names {row.id}: {package} has a placeholder {placeholder!r}"
    for arch, absent in row.absent.items():
        for package in sorted(set(absent) - named):
            yield f"driver_names {row.id}: {package}, absent on {arch}, is none of its packages"
    if set(row.kernel) != {"open", "proprietary"}:
        yield f"driver_names {row.id}: a flavour of the kernel modules has no name"


def _packages(row: DriverNames) -> set[str]:
    lists = (*row.kernel.values(), *row.whole.values(), row.user, row.persistenced, row.fabricmanager, row.imex)
    return {package for packages in (*lists, row.nscq, row.nvsdm, row.nvlsm) for package in packages}


def _spans(rows: Sequence[DriverNames]) -> Iterator[str]:
    """A branch has one set of names in a family; both ends are in the span."""
    for row in rows:
        if row.last is not None and _ends(row) is not None and int(row.last) < int(row.first):
            yield f"driver_names {row.id}: {row.last} is older than {row.first}"
    for one, other in combinations(rows, 2):
        mine, theirs = _ends(one), _ends(other)
        if one.family != other.family or mine is None or theirs is None:
            continue
        if mine[0] <= theirs[1] and theirs[0] <= mine[1]:
            yield f"driver_names {other.id}: its branches overlap those of {one.id}"


def _ends(row: DriverNames) -> tuple[float, float] | None:
    if not row.first.isdigit() or not (row.last or "0").isdigit():
        return None
    return int(row.first), float("inf") if row.last is None else int(row.last)


def _issue(catalog: Catalog, row: DriverIssue) -> Iterator[str]:
    known = get_args(Feature)
    for feature in (row.with_feature, row.excludes):
        if feature and feature not in known:
            yield f"driver_issues {row.id}: there is no feature {feature}"
    if row.excludes and (not row.with_feature or row.excludes == row.with_feature):
        yield f"driver_issues {row.id}: {row.excludes} is excluded by nothing else"
    for name in row.gpus:
        if not any(name in (gpu.name, gpu.id) for gpu in catalog.gpus):
            yield f"driver_issues {row.id}: there is no GPU {name}"
    if row.fatal and not row.verified:
        yield f"driver_issues {row.id}: refuses what nobody read"
    if not (row.driver or row.first or row.before or row.gpus or row.with_feature):
        yield f"driver_issues {row.id}: concerns every driver on every node"
    first, before = _key(row.first), _key(row.before)
    if first is not None and before is not None and first >= before:
        yield f"driver_issues {row.id}: {row.before} is not newer than {row.first}"


def _gpu(gpu: Gpu) -> Iterator[str]:
    where = f"gpus {gpu.id}"
    if gpu.mig_from is not None and not gpu.mig:
        yield f"{where}: a first driver with MIG, but no MIG"
    if len(set(gpu.fabrics)) < max(1, len(gpu.fabrics)):
        yield f"{where}: no fabric, or one of them twice"
    for field in gpu.derived:
        if field not in Gpu.model_fields:
            yield f"{where}: {field} is derived, but no field"
    if gpu.last_branch is not None and gpu.modules != "proprietary":
        yield f"{where}: a last branch, but the open modules go on"
    if gpu.first_open is not None and gpu.modules == "proprietary":
        yield f"{where}: open modules serve it, but cannot drive it"
