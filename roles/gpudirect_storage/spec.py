"""gpudirect_storage: reads and writes between storage and GPU memory that pass the processor by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import ClassVar

from provision.catalog import PackageSource
from provision.model import Derived, Gate, Module, NodeSpec, Package, Packages, Resource
from provision.planning import Context, NoPlan, Role
from provision.platforms import packages_of, whole_driver

DKMS = ("nvidia-fs",)
"""As dkms.conf of Debian's nvidia-fs-dkms 2.13.5 has it (read 2026-11-21)."""

NVIDIAS: PackageSource = "cuda"


class GpudirectStorage(Role):
    """GPUDirect Storage: its kernel module nvidia-fs, built for the target kernel against this very driver.

    Its library, libcufile, is a part of the CUDA toolkit.
    """

    component: ClassVar[str] = "gds"

    @classmethod
    def wanted(cls, spec: NodeSpec) -> bool:
        return "gds" in spec.features

    def builds(self, ctx: Context) -> tuple[str, ...]:  # noqa: ARG002 - the same everywhere
        return DKMS

    def resources(self, ctx: Context) -> Iterator[Resource]:
        release, driver = ctx.stack.version("kernel"), ctx.stack.version("driver")
        flavour = ctx.stack.version("modules")
        packages = _packages(ctx)
        own = whole_driver(ctx.platform, driver, ctx.spec.driver_repository, flavour)
        yield Gate(
            name="gds-without-driver",
            test=ctx.platform.brings_no_other_driver(packages, own, driver),
            expect=f"nvidia-fs brings no driver, and nothing of one but what the plan brings of {driver}",
            remedy="Its repository wants its own driver: take that (driver_repository=cuda), or leave gds out",
            precondition=True,
        )
        yield Packages(name="gds-packages", packages=packages, hold=True, boot_scoped=True)
        yield Derived(
            name="gds-build",
            inputs=("gds-packages",),
            also=("kernel-packages", "ofed-build", "module-packages", "module-build"),
            command=ctx.platform.build_beside_driver(DKMS, driver, flavour, release),
            log=ctx.platform.ofed_log(DKMS),
            boot_scoped=True,
        )
        yield Gate(
            name="gds-built",
            test=ctx.platform.ofed_built(DKMS, release),
            expect=f"nvidia-fs is built and installed for kernel {release}",
            remedy="See its build log: a newer nvidia-fs fits a newer kernel, and NVIDIA's repository has newer ones "
            "than a distribution's archive (driver_repository=cuda)",
            proves=("gds-build",),
        )
        yield Module(name="gds-module", module="nvidia-fs", loaded=True, boot_scoped=True)
        yield Gate(
            name="gds-loaded",
            test="grep -w nvidia_fs /proc/modules | cut -d ' ' -f 1-3; [ -r /proc/driver/nvidia-fs/version ] && "
            "head -n 1 /proc/driver/nvidia-fs/version",
            expect="nvidia-fs is loaded and answers",
            remedy="`modprobe nvidia-fs` and `dmesg | grep -i nvidia-fs` tell why it did not load",
            needs=("boot", "modules", "hardware"),
            boot_scoped=True,
            after="driver",
        )


def _packages(ctx: Context) -> tuple[Package, ...]:
    """From where the driver is, or, where that has none, from NVIDIA's repository. Raises: NoPlan."""
    for repository in dict.fromkeys((ctx.spec.driver_repository, NVIDIAS)):
        with suppress(LookupError):
            return packages_of(ctx.platform, "gds", "*", repository).packages
    raise NoPlan(f"gpudirect_storage: nobody is known to carry nvidia-fs for {ctx.platform.os.name}; leave gds out")
