"""What a full reading tells of a machine beside its declared state: data only, nothing judged."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from provision.model.base import Frozen


class MenuEntry(Frozen):
    """One entry of the boot menu. `release` is empty where it starts no Linux kernel."""

    title: str
    release: str = ""


class LoadedModule(Frozen):
    """A kernel module that is loaded, from /sys/module."""

    version: str = ""
    srcversion: str = ""
    taint: str = ""
    """Letters of Documentation/admin-guide/tainted-kernels.rst: `O` out of tree, `P` proprietary, `E` unsigned."""


class ModuleFile(Frozen):
    """A driver's module on disk, whether loaded or not. All but kernel, name and path come from modinfo."""

    kernel: str
    name: str
    path: str
    version: str = ""
    vermagic: str = ""
    licence: str = ""
    signer: str = ""


class DkmsModule(Frozen):
    name: str
    version: str
    kernel: str = ""
    arch: str = ""
    state: Literal["added", "built", "installed", "unfinished"]
    """`unfinished`: a build folder is there, so a build runs, or ended badly."""


class Repository(Frozen):
    """One source of packages. Credentials are taken out of URIs on the node itself."""

    file: str
    kind: str
    """`deb`, `deb-src` or `rpm`."""
    uris: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    signed_by: str = ""
    enabled: bool = True


class Pin(Frozen):
    """One record of apt's preferences."""

    file: str
    packages: str
    pin: str
    priority: int


class Gpu(Frozen):
    """One GPU. What the driver calls N/A is empty or None; all but address, name and uuid come from nvidia-smi."""

    address: str
    name: str
    uuid: str = ""
    serial: str = ""
    architecture: str = ""
    part_number: str = ""
    minor: int | None = None
    vbios: str = ""
    gsp_firmware: str = ""
    """Version of the firmware in use; empty where the GPU runs without it."""
    persistence: str = ""
    addressing: str = ""
    mig: str = ""
    virtualization: str = ""
    recovery_action: str = ""
    """What the driver asks for: `None`, `Reset`, `Reboot`, `Drain P2P`, `Drain and Reset`."""
    performance_state: str = ""
    memory_mib: int | None = None
    memory_used_mib: int | None = None
    ecc: str = ""
    ecc_pending: str = ""
    ecc_uncorrectable: int | None = None
    """Since the driver was loaded, of all its memories."""
    ecc_uncorrectable_ever: int | None = None
    remapped_rows: int | None = None
    """Rows remapped because of uncorrectable errors."""
    remap_pending: str = ""
    remap_failed: str = ""
    pcie_generation: int | None = None
    pcie_generation_max: int | None = None
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    power_limit_w: float | None = None
    power_default_w: float | None = None
    temperature_c: int | None = None
    fabric_state: str = ""
    fabric_status: str = ""
    fabric_clique: str = ""
    processes: int | None = None


class GpuState(Frozen):
    """What the driver says of itself and of its GPUs. Without GPUs and driver: nothing answered."""

    source: Literal["", "nvidia-smi", "proc"] = ""
    kernel_driver: str = ""
    """Version of the loaded kernel driver."""
    flavour: Literal["", "open", "proprietary"] = ""
    library_driver: str = ""
    """Version that nvidia-smi's library was made for; another one than `kernel_driver` is a mismatch."""
    cuda: str = ""
    """Newest CUDA that the driver itself supports."""
    error: str = ""
    """What nvidia-smi said instead of an answer."""
    gpus: tuple[Gpu, ...] = ()
    parameters: dict[str, str] = Field(default_factory=dict)
    """The driver's own settings as loaded (/proc/driver/nvidia/params)."""
    nodes: tuple[str, ...] = ()
    """/dev/nvidia*, and what is under /dev/nvidia-caps-imex-channels."""
    switches: tuple[str, ...] = ()
    """PCI addresses of the NVSwitches that the driver knows."""


class NumaNode(Frozen):
    """One memory node; one without CPUs is the memory of a device."""

    node: int
    cpus: str = ""
    memory_kib: int = 0
    free_kib: int = 0
    hugepages: dict[int, int] = Field(default_factory=dict)
    """Size of a page in KiB -> pages reserved."""


class IbPort(Frozen):
    """One port of an RDMA device, from /sys/class/infiniband."""

    device: str
    port: int
    state: str = ""
    physical: str = ""
    rate: str = ""
    link_layer: str = ""
    firmware: str = ""
    board: str = ""
    address: str = ""
    """PCI address."""
    netdevs: tuple[str, ...] = ()


class CdiSpec(Frozen):
    """A Container Device Interface file: what a container engine hands into containers."""

    path: str
    kind: str = ""
    driver: str = ""
    """The version in the libcuda that it names; it is stale when the driver is another."""
    devices: int = 0


class Cuda(Frozen):
    """A CUDA toolkit; `target` where the path is a link."""

    path: str
    version: str = ""
    target: str = ""
    compiler: bool = False


class Library(Frozen):
    """One copy of a driver library. `target` is the file itself, after all links."""

    name: str
    path: str
    target: str = ""
    loader: bool = False
    """The loader's cache names this path first for its name."""


class Firmware(Frozen):
    kind: Literal["", "uefi", "other"] = ""
    secure_boot: Literal["", "enabled", "disabled"] = ""
    """Empty where there is none, or where it could not be seen."""
    lockdown: str = ""


class Memory(Frozen):
    """The machine's CPUs and memory."""

    cpus: int = 0
    cpu: str = ""
    total_kib: int = 0
    transparent_hugepages: str = ""
    nodes: tuple[NumaNode, ...] = ()
