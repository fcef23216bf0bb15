"""Which packages a component is: in this distribution, in this repository, at this version."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, get_args

from provision.catalog import DriverNames, PackagedComponent, PackageSource, Row, branch_of, driver_key
from provision.model import Package
from provision.platforms.platform import Platform, at_version, flavour

DriverPart = Literal[
    "modules", "driver", "persistenced", "modprobe", "fabricmanager", "imex", "nscq", "nvsdm", "nvlsm", "pinning"
]
DRIVER_PARTS: tuple[DriverPart, ...] = get_args(DriverPart)

OWN_VERSIONS = ("nvlsm", "pinning")
"""Parts whose packages do not bear the driver's version."""

Component = Literal["kernel"] | DriverPart | PackagedComponent

FABRIC_PARTS: dict[str, tuple[DriverPart, ...]] = {
    "none": (),
    "fabricmanager": ("fabricmanager",),
    "nvlsm+fabricmanager": ("fabricmanager", "nvlsm"),
    "imex": ("imex",),
}
"""What CUDA does not start without, by what connects the GPUs (the stack's `fabric`)."""


@dataclass(frozen=True)
class Named:
    """A component's packages, and the row their names come from: they are as good as its `verified`."""

    packages: tuple[Package, ...]
    row: Row


def packages_of(
    platform: Platform,
    component: Component,
    version: str,
    repository: PackageSource = "archive",
    variant: str | None = None,
) -> Named:
    """The packages of a component at a version.

    Args:
        platform: the distribution and architecture.
        component: a kernel's version is its whole release; all parts of a driver bear the driver's version.
        version: as the catalog writes it, a CUDA toolkit's whole release (three numbers).
        repository: the distribution's own archive, or one of NVIDIA's.
        variant: of `modules` the flavour (`open` unless said otherwise), of `doca` the profile (`doca-ofed`), of `dcgm`
            the driver's CUDA major.

    Raises: LookupError, one sentence, where the repository has no such component as far as is known.
    """
    match component:
        case "kernel" if repository == "archive":
            return Named(platform.kernel_packages(version), platform.kernel_row(version))
        case "modules" | "driver" | "persistenced" | "modprobe" | "fabricmanager" | "nscq" | "imex" if (
            repository == "archive"
        ):
            return _driver_of_archive(platform, component, version, variant or "open")
        case (
            "modules" | "driver" | "persistenced" | "fabricmanager" | "imex" | "nscq" | "nvsdm" | "nvlsm" | "pinning"
        ) if repository == "cuda":
            return _driver_of_nvidia(platform, component, version, variant or "open")
        case (
            "cuda_toolkit"
            | "cuda_compat"
            | "host_compiler"
            | "doca"
            | "nic_firmware"
            | "inbox_rdma"
            | "container_toolkit"
            | "gdrcopy"
            | "gds"
            | "dcgm"
        ):
            return _component(platform, component, version, repository, variant or "doca-ofed")
    raise _unknown(platform, component, repository)


def _driver_of_archive(platform: Platform, component: DriverPart, version: str, modules: str) -> Named:
    row = platform.drivers
    parts: dict[str, tuple[str, ...]] = {
        "persistenced": row.persistenced,
        "modprobe": row.modprobe,
        "fabricmanager": row.fabricmanager,
        "nscq": row.nscq,
        "imex": row.imex,
    }
    if component == "driver":
        return Named(platform.driver_user_packages(version), row)
    if component == "modules":
        return Named(platform.driver_kernel_packages(version, modules), row)
    if not parts[component]:
        raise _unknown(platform, component, "archive")
    return Named(_in_branch(version, parts[component]), row)


def whole_driver(platform: Platform, driver: str, repository: PackageSource, modules: str) -> tuple[Package, ...]:
    """Every package that a repository is known to have of a driver with this flavour of modules."""
    found: list[Package] = []
    for part in DRIVER_PARTS:
        with suppress(LookupError):
            found += packages_of(platform, part, driver, repository, modules if part == "modules" else None).packages
    return tuple(found)


def precompiled_modules(platform: Platform, driver: str, modules: str, release: str) -> Named:
    """The modules that the distribution built and signed for a kernel.

    Raises: LookupError, one sentence, where it has none as far as is known.
    """
    templates = platform.drivers.precompiled.get(flavour(modules), ())
    if not templates:
        raise LookupError(f"no ready-made kernel modules of a driver are known in the archive of {platform.os.name}")
    names = (name.format(branch=branch_of(driver), version=driver, release=release) for name in templates)
    return Named(tuple(Package(name=name) for name in names), platform.drivers)


def _in_branch(version: str, templates: Iterable[str]) -> tuple[Package, ...]:
    """At the driver's version where the name holds its branch; otherwise the package has versions of its own."""
    return tuple(
        package
        for name in templates
        for package in (at_version(version, (name,)) if "{" in name else (Package(name=name),))
    )


def _driver_of_nvidia(platform: Platform, component: DriverPart, version: str, modules: str) -> Named:
    parts: dict[DriverPart, Callable[[DriverNames], Iterable[str]]] = {
        "modules": lambda row: row.kernel.get(flavour(modules), ()),
        "driver": lambda row: row.user,
        "persistenced": lambda row: row.persistenced,
        "modprobe": lambda _: (),
        "fabricmanager": lambda row: row.fabricmanager,
        "imex": lambda row: row.imex,
        "nscq": lambda row: row.nscq,
        "nvsdm": lambda row: row.nvsdm,
        "nvlsm": lambda row: row.nvlsm,
        "pinning": lambda row: () if row.pinning is None else (row.pinning,),
    }
    for row in platform.names:
        absent = row.absent.get(platform.arch, ())
        templates = [name for name in parts[component](row) if name not in absent]
        if not templates or not spans(row, branch_of(version)):
            continue
        packages = at_version(version, templates)
        own = {"version": "*"} if component in OWN_VERSIONS else {}
        return Named(tuple(p.model_copy(update={"repository": "cuda", **own}) for p in packages), row)
    raise LookupError(
        f"what the {component} of driver branch {branch_of(version)} is called in NVIDIA's repository for "
        f"{platform.os.name} is not in the catalog"
    )


def spans(row: DriverNames, branch: str) -> bool:
    wanted = driver_key(branch)
    return driver_key(row.first) <= wanted and (row.last is None or wanted <= driver_key(row.last))


def _component(platform: Platform, component: str, version: str, repository: str, variant: str) -> Named:
    for row in platform.components:
        if (row.component, row.repository) != (component, repository):
            continue
        names = (written(name, version, variant) for name in row.packages)
        pattern = row.version.format(version=version)
        packages = (Package(name=name, version=pattern, repository=row.repository) for name in names)
        return Named(tuple(packages), row)
    raise _unknown(platform, component, repository)


def written(template: str, version: str, variant: str = "") -> str:
    """A row's template for a version: `cuda-toolkit-{major}-{minor}`."""
    major, minor = (*version.split("."), "")[:2]
    return template.format(version=version, major=major, minor=minor, profile=variant, cuda=variant)


def _unknown(platform: Platform, component: str, repository: str) -> LookupError:
    return LookupError(f"no {component} is known in the repository {repository!r} for {platform.os.name}")
