"""What a stretch of time was spent on, from the plan alone. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from provision.model import (
    Alternatives,
    Archive,
    BootEntry,
    Derived,
    Directory,
    File,
    Fragment,
    Gate,
    GpuSetting,
    Group,
    KernelArguments,
    Manual,
    Module,
    Packages,
    Plan,
    Repository,
    Resource,
    Symlink,
    Sysctl,
    Unit,
    User,
)

Naming: TypeAlias = Callable[[str], str]
"""Name of a resource -> what its time was spent on."""

REBOOT = "reboot"
WAITING = "reading and waiting"
UNKNOWN = "other"

DKMS_TREE = "/var/lib/dkms/"
INITRDS = ("/boot/initrd", "/boot/initramfs")
"""Names that initramfs-tools and dracut give (update-initramfs(8) and dracut(8), read 2026-11-21)."""


def spent_on(plan: Plan | None) -> Naming:
    """Names for a plan's resources; without a plan nothing is known of any."""
    known = {entry.name: kind_of(entry.resource) for entry in plan.entries} if plan else {}
    return lambda name: known.get(name, UNKNOWN)


def kind_of(resource: Resource) -> str:
    match resource:
        case Packages():
            return "packages"
        case Gate() | Manual():
            return "gates"
        case File() | Directory() | Symlink() | Fragment() | Archive():
            return "files"
        case Repository():
            return "repositories"
        case KernelArguments() | Module() | Sysctl() | Alternatives() | Group() | User() | GpuSetting():
            return "settings"
        case Unit():
            return "services"
        case BootEntry():
            return "boot entry"
        case Derived(log=log) if log is not None and log.startswith(DKMS_TREE):
            return "DKMS build"
        case Derived(outputs=outputs) if any(output.startswith(INITRDS) for output in outputs):
            return "initrd"
        case Derived():
            return "other builds"
