"""Repositories beside the distribution's own archive, and the keys that sign them."""

from __future__ import annotations

from collections.abc import Sequence

from provision.catalog.row import Row
from provision.model.resource import PackageSource


class VendorRepository(Row):
    """A repository for some systems. `verified`: its key was read at its owner."""

    repository: PackageSource
    title: str
    role: str
    """Whose variables (`ROLE_url`, `ROLE_key`, `ROLE_key_fingerprints`) declare it."""
    os: tuple[str, ...] = ()
    """None: of any."""
    archs: tuple[str, ...] = ()
    """None: all that the system has."""
    url: str
    """A template, {os}, {arch} and {version}; empty where only a site knows it."""
    suite: str
    """How sources.list(5) names the only suite of a flat repository: `./` or `/`."""
    key: str
    """Name of the key's file."""
    key_url: str = ""
    """Where that is, if not beside the index."""
    fingerprints: tuple[str, ...]
    """Of every primary key in the file; none where no source is known."""


def find_repository(rows: Sequence[VendorRepository], repository: str, os: str, arch: str) -> VendorRepository | None:
    """The row of a repository for a system; None where it is not known to have that system's packages."""
    for row in rows:
        if row.repository == repository and os in (row.os or (os,)) and arch in (row.archs or (arch,)):
            return row
    return None
