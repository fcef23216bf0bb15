"""What one probe read from a node: typed, serialisable, replayable."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from provision.model.base import Frozen
from provision.model.resource import Limit


class FileState(Frozen):
    type: Literal["file", "directory", "symlink", "other"]
    mode: str = ""
    owner: str = ""
    sha256: str = ""
    target: str = ""


class PackageState(Frozen):
    version: str
    status: str
    """dpkg's abbreviation: `ii` installed, `hi` held, `iF` half-configured, ..."""

    @property
    def installed(self) -> bool:
        return self.status[1:2] == "i"

    @property
    def held(self) -> bool:
        return self.status[:1] == "h"


class UnitState(Frozen):
    enabled: str
    active: str


class GateState(Frozen):
    holds: bool
    evidence: str = ""


class PciDevice(Frozen):
    address: str
    vendor: str
    device: str
    pci_class: str
    driver: str = ""


class Kernel(Frozen):
    """One kernel in /boot."""

    release: str
    initrd: bool
    modules: bool


class Snapshot(Frozen):
    """One node at one moment. `hidden`: what the reader was not allowed to see; `limits`: what the node cannot hold."""

    schema_version: Literal[1] = 1
    node: str = ""
    os: str
    """`ID` + `VERSION_ID` of os-release, e.g. debian13."""
    arch: str
    machine_id: str
    boot_id: str
    kernel: str
    page_size: int
    cmdline: str = ""
    root: bool = True
    state: str = ""
    """What `systemctl is-system-running` says; `stopping` is a node on its way into a reboot."""
    lab: bool = False
    """The node bears the lab's mark; only such a node may be declared without hardware."""
    limits: frozenset[Limit] = frozenset()
    hidden: dict[str, str] = Field(default_factory=dict)
    reboot_due: str = ""
    """The boot_id in which a change was made that only a reboot makes effective."""
    kernels: tuple[Kernel, ...] = ()
    default_kernel: str = ""
    """Release the boot menu starts by default, or that the /vmlinuz link names where there is no boot menu."""
    pci: tuple[PciDevice, ...] = ()
    files: dict[str, FileState] = Field(default_factory=dict)
    packages: dict[str, PackageState] = Field(default_factory=dict)
    units: dict[str, UnitState] = Field(default_factory=dict)
    stamps: dict[str, str] = Field(default_factory=dict)
    prints: dict[str, str] = Field(default_factory=dict)
    """Derived -> fingerprint of its inputs as they are on the node now."""
    gates: dict[str, GateState] = Field(default_factory=dict)
    ledger: tuple[str, ...] = ()
    """The last lines of the node's own record, oldest first."""
    offers: dict[str, tuple[str, ...]] | None = None
    """Package -> versions that the node's package manager offers; asked for in a first reading only."""
