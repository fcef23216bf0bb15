"""Where a component comes from: the distribution's own archive where that has the version, else NVIDIA's repository."""

from __future__ import annotations

from dataclasses import dataclass

from provision.catalog import ComponentPackages, PackagedComponent, PackageSource
from provision.model import Package
from provision.platforms.components import packages_of, written
from provision.platforms.platform import Platform


@dataclass(frozen=True)
class Carried:
    """A component's packages, and where they and what they bring are."""

    repository: PackageSource
    packages: tuple[Package, ...]
    home: str
    """CUDA_HOME; empty for what has none."""
    program: str
    """Path of the compiler; empty for what is none."""
    dkms: tuple[str, ...]


def carried(platform: Platform, component: PackagedComponent, version: str, variant: str = "") -> Carried:
    """A component at a version, from where this system has it.

    Args:
        platform: the distribution and architecture.
        component: its version as the catalog writes it, a CUDA toolkit's whole release.
        version: of the component; `*` for whatever the repository prefers.
        variant: of `dcgm` the driver's CUDA major.

    Raises: LookupError, one sentence, where nobody is known to carry it for this system.
    """
    rows = [row for row in platform.components if row.component == component]
    for row in sorted(rows, key=lambda row: row.repository != "archive"):
        if row.repository != "archive" or _has(row, platform, version):
            named = packages_of(platform, component, version, row.repository, variant or None)
            return Carried(
                repository=row.repository,
                packages=named.packages,
                home=written(row.home, version),
                program=written(row.program, version),
                dkms=row.dkms,
            )
    raise LookupError(f"nobody is known to carry {component} {version} for {platform.os.name}")


def _has(row: ComponentPackages, platform: Platform, version: str) -> bool:
    """An archive of which no versions are told has whatever fits its own releases."""
    return not row.offered or version in row.offered.get(platform.os.id, ())
