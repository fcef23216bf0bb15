"""What one probe read from a node: typed, serialisable, replayable."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from provision.model.base import Frozen
from provision.model.machine import (
    CdiSpec,
    Cuda,
    DkmsModule,
    Firmware,
    GpuState,
    IbPort,
    Library,
    LoadedModule,
    Memory,
    MenuEntry,
    ModuleFile,
    Pin,
    Repository,
)
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
    """A systemd unit. All but the first two are read in a full reading only; times are seconds since 1970."""

    enabled: str
    active: str
    sub: str = ""
    result: str = ""
    restarts: int = 0
    reload_needed: bool = False
    """systemd itself has read an older unit file than the one that is there."""
    started: int | None = None
    """When the main process was started."""
    changed: int | None = None
    """When the newest of the unit's own files (fragment, drop-ins, configuration) was put there."""
    changed_file: str = ""
    replaced: bool = False
    """The program that the main process runs is no longer the one on disk."""

    @property
    def outdated(self) -> bool:
        """Does the main process run with something older than what is on disk?"""
        older = self.started is not None and self.changed is not None and self.started < self.changed
        return older or self.reload_needed or self.replaced


class AlternativeState(Frozen):
    """One group of update-alternatives."""

    manual: bool
    """Chosen by a person; otherwise a package may choose another one."""
    path: str = ""


class UserState(Frozen):
    shell: str = ""
    groups: frozenset[str] = frozenset()


class GateState(Frozen):
    holds: bool
    evidence: str = ""


class PciDevice(Frozen):
    address: str
    vendor: str
    device: str
    pci_class: str
    driver: str = ""
    subsystem: str = ""
    """Vendor and device of the board: `10de:18be`. This and what follows: in a full reading only."""
    iommu_group: str = ""
    numa_node: int | None = None
    """None where the firmware does not say."""


class Kernel(Frozen):
    """One kernel in /boot."""

    release: str
    initrd: bool
    modules: bool


class Trial(Frozen):
    """The last kernel that a node was told to boot once, as the node itself wrote it down."""

    release: str
    boot_id: str
    """The boot in which that was ordered: another one means that it has been tried."""
    changed: bool
    """What would be tried is something else now: image, initrd, menu entry (and so the arguments); or it was good."""


class StandIns(Frozen):
    """What on a node bears a real package's name only. Such a node proves nothing about the real packages."""

    told: str
    """What the node's mark says of it."""
    packages: dict[str, str] = Field(default_factory=dict)
    """Installed stand-in -> the package that it stands for, whose that is, and where it is known from."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of it for a reader: the mark's words, then the packages, those of one source together."""
        together: dict[str, list[str]] = {}
        for name, stands_for in self.packages.items():
            together.setdefault(stands_for.removeprefix(f"{name} "), []).append(name)
        return (f"stand-ins: {self.told}", *(f"stand-ins {of}: {', '.join(names)}" for of, names in together.items()))


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
    standins: StandIns | None = None
    """None on every node but a lab's whose packages are not the real ones."""
    limits: frozenset[Limit] = frozenset()
    hidden: dict[str, str] = Field(default_factory=dict)
    reboot_due: str = ""
    """The boot_id in which a change was made that only a reboot makes effective."""
    reboot_for: tuple[str, ...] = ()
    """The resources that were changed then; none where that is not known."""
    kernels: tuple[Kernel, ...] = ()
    dangling: dict[str, str] = Field(default_factory=dict)
    """Links of /boot and / that point to no file -> what they point to."""
    boot_entries: tuple[MenuEntry, ...] = ()
    trial: Trial | None = None
    default_kernel: str = ""
    """Release the boot menu starts by default, or that the /vmlinuz link names where there is no boot menu."""
    pci: tuple[PciDevice, ...] = ()
    files: dict[str, FileState] = Field(default_factory=dict)
    packages: dict[str, PackageState] = Field(default_factory=dict)
    units: dict[str, UnitState] = Field(default_factory=dict)
    unread_units: frozenset[str] = frozenset()
    """Units of the plan whose files systemd has not read as they are now."""
    stamps: dict[str, str] = Field(default_factory=dict)
    prints: dict[str, str] = Field(default_factory=dict)
    """Derived -> fingerprint of its inputs as they are on the node now."""
    gates: dict[str, GateState] = Field(default_factory=dict)
    """What gates and manual resources were answered."""
    alternatives: dict[str, AlternativeState] = Field(default_factory=dict)
    fragments: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Fragment -> its keys as they are in the file; a key that is not there is missing here."""
    users: dict[str, UserState] = Field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    gpu_settings: dict[str, dict[str, str]] = Field(default_factory=dict)
    """PCI address of a GPU -> what nvidia-smi calls a setting -> its value. Only what the plan names."""
    ledger: tuple[str, ...] = ()
    """The last lines of the node's own record, oldest first."""
    asked: tuple[str, ...] = ()
    """The package names (globs) that the first reading asked about."""
    offers: dict[str, tuple[str, ...]] | None = None
    """Package -> versions that the node's package manager offers; asked for in a first reading only."""
    sections: frozenset[str] = frozenset()
    """Which parts of a full reading were answered whole; nothing under one that is missing here was seen to be so."""
    os_release: dict[str, str] = Field(default_factory=dict)
    firmware: Firmware = Firmware()
    tainted: int | None = None
    """/proc/sys/kernel/tainted: a sum of bits."""
    failed_units: tuple[str, ...] = ()
    modules: dict[str, LoadedModule] = Field(default_factory=dict)
    """Loaded modules of interest (GPU, RDMA, passthrough)."""
    module_files: tuple[ModuleFile, ...] = ()
    dkms: tuple[DkmsModule, ...] = ()
    repositories: tuple[Repository, ...] = ()
    pins: tuple[Pin, ...] = ()
    sysctls: dict[str, str] = Field(default_factory=dict)
    memory: Memory = Memory()
    gpu: GpuState = GpuState()
    infiniband: tuple[IbPort, ...] = ()
    runtimes: dict[str, str] = Field(default_factory=dict)
    """Container engine or tool -> what it says of its version."""
    cdi: tuple[CdiSpec, ...] = ()
    cuda: tuple[Cuda, ...] = ()
    libraries: tuple[Library, ...] = ()
    """Copies of the driver's user-space libraries, as the loader's cache and the usual folders show them."""
    xids: tuple[str, ...] = ()
    """The last 50 lines of this boot's kernel log in which the driver reports an Xid, oldest first."""
    driver_log: tuple[str, ...] = ()
    """The last 50 other lines that the driver wrote to this boot's kernel log, oldest first."""
