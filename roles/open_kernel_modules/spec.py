"""open_kernel_modules: the kernel half of the driver."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import ClassVar, Literal

from pydantic import Field

from provision.catalog import DriverNames
from provision.model import Derived, File, Gate, Package, Packages, Resource
from provision.planning import Context, NoPlan, Role, boot_files, module_key, vendor_repository
from provision.platforms import packages_of, precompiled_modules

RIVALS = """\
# Written by provision. Drivers that would take the GPU first: nouveau, and nova_core of kernel 7.0 and newer.
blacklist nouveau
blacklist nova_core
options nouveau modeset=0
"""

OPTIONS = "# Written by provision: options of the driver's kernel module. What is not here is as the driver has it.\n"

CDMM = """\
# Coherent driver-based memory management: the GPU's memory is the driver's, no NUMA node of the system.
# NVIDIA/gpu-driver-container 06a208c; Azure/azhpc-images, install_nvidiagpudriver.sh (read 2026-11-21)
options nvidia NVreg_CoherentGPUMemoryMode=driver
"""

PROFILING = """\
# Anybody may read performance counters, not root alone.
# Azure/azhpc-images, install_nvidiagpudriver.sh (read 2026-11-21)
options nvidia NVreg_RestrictProfilingToAdminUsers=0
"""

IMEX_CHANNEL = """\
# The device node of IMEX channel 0, for a rack that one user has at a time.
# Azure/azhpc-images, install_nvidiagpudriver.sh (read 2026-11-21)
options nvidia NVreg_CreateImexChannel0=1
"""

VENDOR_ARCH = {"x86_64": "x86_64", "aarch64": "sbsa"}


ON_GPU: tuple[Literal["boot", "modules", "hardware"], ...] = ("boot", "modules", "hardware")


class OpenKernelModules(Role):
    """NVIDIA's kernel modules for the target kernel: the open ones unless the GPU cannot use them."""

    component: ClassVar[str] = "modules"

    origin: Literal["dkms", "precompiled"] = Field(
        default="dkms", description="dkms builds on the node; precompiled are built and signed by the distribution"
    )
    profiling_for_all: bool = Field(default=False, description="let anybody read performance counters, not root alone")
    imex_channel: bool = Field(default=True, description="create IMEX channel 0 where the hardware has IMEX")
    url: str | None = Field(
        default=None,
        description="NVIDIA's repository (CUDA and DCGM too), with {os} and {arch} filled in; otherwise its owner's",
    )
    key: str | None = Field(
        default=None, description="its signing key as ASCII text; without one the node must know the repository already"
    )
    key_fingerprints: tuple[str, ...] | None = Field(
        default=None,
        description="of every primary key in that text; otherwise those that the catalog has for this system",
    )

    def builds(self, ctx: Context) -> tuple[str, ...]:
        return ctx.platform.dkms_modules()

    def resources(self, ctx: Context) -> Iterator[Resource]:
        release, flavour = ctx.stack.version("kernel"), ctx.stack.version("modules")
        packages = self._packages(ctx)
        built = ("module-build",) if self.origin == "dkms" else ()
        yield from self._settings(ctx, packages)
        yield Packages(
            name="module-packages", packages=packages, hold=True, metas=ctx.platform.driver_metas(), boot_scoped=True
        )
        yield from self._built(ctx) if built else self._ready_made(ctx)
        yield Gate(
            name="peer-memory-fits",
            test=ctx.platform.peer_memory_fits(flavour, release),
            expect="nvidia-peermem was built against the OFED that is installed, where one is",
            remedy="OFED was changed by hand: run again, which builds the driver's modules anew. Where that does not "
            "do, OFED's build left no symbol versions, or old ones, in /usr/src/ofa_kernel: "
            "`dkms remove mlnx-ofed-kernel/VERSION --all` (`dkms status` tells the version), then run again, which "
            "builds both in their order. Ready-made modules know no OFED: choose open_kernel_modules_origin=dkms or "
            "doca_ofed_profile=inbox",
            proves=built,
        )
        brought = ("module-packages", *built)
        yield from boot_files(ctx, inputs=("rival-drivers", "module-options", *brought), modules=brought)
        if built:
            yield module_key(ctx)
        yield from _loaded(ctx)

    def _settings(self, ctx: Context, packages: tuple[Package, ...]) -> Iterator[Resource]:
        yield File(name="rival-drivers", path="/etc/modprobe.d/provision-rivals.conf", content=RIVALS, boot_scoped=True)
        yield File(
            name="module-options",
            path="/etc/modprobe.d/provision-nvidia.conf",
            content=self._options(ctx),
            boot_scoped=True,
        )
        places = {"os": ctx.spec.os.replace(".", ""), "arch": VENDOR_ARCH[ctx.platform.arch]}
        yield from vendor_repository(ctx, "cuda", "driver-repository", self, places)
        lock = self._lock(ctx, packages)
        if lock is not None:
            yield lock

    def _packages(self, ctx: Context) -> tuple[Package, ...]:
        driver, flavour = ctx.stack.version("driver"), ctx.stack.version("modules")
        try:
            if self.origin == "precompiled":
                _refuse_what_needs_source(ctx)
                return precompiled_modules(ctx.platform, driver, flavour, ctx.stack.version("kernel")).packages
            named = packages_of(ctx.platform, "modules", driver, ctx.spec.driver_repository, flavour)
        except LookupError as error:
            raise NoPlan(f"open_kernel_modules: {error.args[0]}") from None
        dkms, _version = ctx.platform.dkms_module(driver, flavour)
        if isinstance(named.row, DriverNames) and named.row.dkms.get(flavour) != dkms:
            raise NoPlan(
                f"what DKMS calls the modules of NVIDIA's repository for {ctx.platform.os.name} is not in the catalog, "
                "so their build cannot be judged; take driver_repository=archive"
            )
        return named.packages

    def _lock(self, ctx: Context, packages: tuple[Package, ...]) -> File | None:
        driver, flavour = ctx.stack.version("driver"), ctx.stack.version("modules")
        if ctx.spec.driver_repository == "archive" and self.origin == "dkms":
            lock = ctx.platform.driver_lock(driver, flavour)
        else:
            user = packages_of(ctx.platform, "driver", driver, ctx.spec.driver_repository).packages
            lock = ctx.platform.version_lock((*packages, *user))
        return None if lock is None else File(name="driver-lock", path=lock.path, content=lock.content)

    def _options(self, ctx: Context) -> str:
        chosen = (
            (_is_cdmm(ctx), CDMM),
            (self.profiling_for_all, PROFILING),
            (self.imex_channel and ctx.stack.choices["fabric"].version == "imex", IMEX_CHANNEL),
        )
        return OPTIONS + "".join(text for is_wanted, text in chosen if is_wanted)

    def _built(self, ctx: Context) -> Iterator[Resource]:
        release, driver = ctx.stack.version("kernel"), ctx.stack.version("driver")
        flavour = ctx.stack.version("modules")
        yield Derived(
            name="module-build",
            inputs=("module-packages",),
            also=("kernel-packages", "ofed-build"),
            command=ctx.platform.build_modules(driver, flavour, release),
            log=ctx.platform.build_log(driver, flavour),
            undo=ctx.platform.withdraw_kernel(release),
            boot_scoped=True,
        )
        yield Gate(
            name="modules-built",
            test=ctx.platform.modules_built(driver, flavour, release),
            expect=f"the driver's modules {driver} are built and installed for kernel {release}",
            remedy="See the build log that is named; choose a kernel and driver that fit (`provision plan` tells). Of "
            "signatures dkms says there what it signs with; /etc/dkms/framework.conf decides it",
            proves=("module-build",),
        )

    def _ready_made(self, ctx: Context) -> Iterator[Resource]:
        release, driver = ctx.stack.version("kernel"), ctx.stack.version("driver")
        yield Gate(
            name="modules-built",
            test=ctx.platform.ready_made(driver, ctx.stack.version("modules"), release),
            expect=f"signed modules {driver} are installed for kernel {release}",
            remedy="If a file is damaged or gone, `apt-get install --reinstall` of the package brings it back; if one "
            "of dkms hides it, `dkms remove` takes that off; if the distribution has another driver for this kernel, "
            "pin that one, or take open_kernel_modules_origin=dkms",
        )


SOURCE_BOUND = {"gdrcopy": "gdrcopy", "gds": "nvidia-fs of the feature gds"}
"""Feature -> what of it is compiled against the driver's source."""


def _refuse_what_needs_source(ctx: Context) -> None:
    """Raises: NoPlan. Ready-made modules come without the source that other modules are compiled against."""
    for feature, module in SOURCE_BOUND.items():
        if feature in ctx.spec.features:
            raise NoPlan(
                f"open_kernel_modules: {module} is compiled against the driver's source, which ready-made modules do "
                f"not bring; take open_kernel_modules_origin=dkms, or leave the feature {feature} out"
            )


def _loaded(ctx: Context) -> Iterator[Resource]:
    driver = ctx.stack.version("driver")
    yield Gate(
        name="driver-loaded",
        test=f"head -n 1 /proc/driver/nvidia/version; grep -qwF {quote(driver)} /proc/driver/nvidia/version",
        expect=f"the loaded driver is {driver}",
        remedy="`dmesg | grep -i nvrm` tells why the module did not load",
        needs=ON_GPU,
        boot_scoped=True,
        after="driver",
    )
    if _is_cdmm(ctx):
        yield Gate(
            name="memory-mode",
            test="mode=$(grep '^CoherentGPUMemoryMode:' /proc/driver/nvidia/params); echo \"$mode\"; "
            "case $mode in *driver*) ;; *) exit 1 ;; esac",
            expect="the driver manages the GPU's memory itself (CDMM)",
            remedy="See in `modprobe --showconfig` which other option of nvidia wins",
            needs=ON_GPU,
            boot_scoped=True,
            after="driver",
        )


def _is_cdmm(ctx: Context) -> bool:
    mode = ctx.stack.choices.get("memory_mode")
    return mode is not None and mode.version == "cdmm"
