"""Versions of what the resolver does not choose, as somebody published them in a whole set that works."""

from __future__ import annotations

import re

from provision.catalog.catalog import Catalog
from provision.catalog.combinations import Combination
from provision.catalog.versions import branch_of
from provision.model.spec import Arch


def published(catalog: Catalog, component: str, os: str, arch: Arch, driver: str) -> tuple[str, Combination] | None:
    """The version of `gdrcopy` or `dcgm` in the published sets for this system, and the set that names it.

    Sets with the driver's branch come first, then the newest version. None: no set for this system names the component.
    """
    rows = [
        row for row in catalog.combinations if row.works and (row.os, row.arch) == (os, arch) and component in row.other
    ]
    if not rows:
        return None
    best = max(rows, key=lambda row: (_branch(row) == branch_of(driver), _numbers(row.other[component])))
    return best.other[component], best


def _branch(row: Combination) -> str:
    return branch_of(row.driver) if row.driver else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", version))
