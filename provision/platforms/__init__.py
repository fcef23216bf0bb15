"""What distributions call things and how they do them."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache

from provision.catalog import Catalog, load
from provision.platforms import bus
from provision.platforms.carriers import Carried, carried
from provision.platforms.command_line import contradictions
from provision.platforms.components import (
    FABRIC_PARTS,
    Component,
    Named,
    packages_of,
    precompiled_modules,
    spans,
    whole_driver,
)
from provision.platforms.debian import Debian
from provision.platforms.pins import preferences, versionlock
from provision.platforms.platform import Offers, Platform, VersionLock
from provision.platforms.ubuntu import Ubuntu

__all__ = [
    "FABRIC_PARTS",
    "Carried",
    "Component",
    "Debian",
    "Named",
    "Offers",
    "Platform",
    "Ubuntu",
    "VersionLock",
    "bus",
    "carried",
    "contradictions",
    "packages_of",
    "platform_for",
    "platform_of",
    "precompiled_modules",
    "preferences",
    "spans",
    "versionlock",
    "whole_driver",
]

_FAMILIES = {"debian": Debian, "ubuntu": Ubuntu}


@cache
def platform_for(os: str, arch: str) -> Platform:
    """The platform of an operating system (`debian13`) on an architecture (`x86_64`).

    Raises: LookupError, one sentence with a suggestion, when there is none.
    """
    return platform_of(load(), os, arch)


def platform_of(catalog: Catalog, os: str, arch: str) -> Platform:
    """`platform_for`, with the rows of a given catalog."""
    systems = {row.id: row for row in catalog.operating_systems}
    row = systems.get(os)
    if row is None:
        near = get_close_matches(os, systems, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise LookupError(f"there is no platform for {os!r}{hint} (known: {', '.join(sorted(systems))})")
    known = {name: name for name in row.archs}
    if arch not in known:
        raise LookupError(f"there is no platform for {row.name} on {arch!r}; it has {' and '.join(row.archs)}")
    return _FAMILIES[row.family](
        os=row,
        arch=known[arch],
        kernels=tuple(kernel for kernel in catalog.kernels if (kernel.os, kernel.arch) == (os, arch)),
        drivers=next(packages for packages in catalog.driver_packages if packages.os == os),
        names=tuple(names for names in catalog.driver_names if names.family == row.family),
        components=tuple(packages for packages in catalog.component_packages if row.family in packages.families),
    )
