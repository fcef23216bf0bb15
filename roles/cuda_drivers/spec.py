"""cuda_drivers: the user half of the driver."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import ClassVar

from provision.model import File, Gate, Packages, Resource
from provision.planning import Context, Role

LOADED_AT_BOOT = """\
# Written by provision. nvidia-uvm makes the device node that CUDA opens; nothing else loads it before the first job.
nvidia
nvidia-uvm
"""


class CudaDrivers(Role):
    """libcuda, NVML and nvidia-smi at exactly the version of the kernel modules, and held there."""

    component: ClassVar[str] = "driver"

    def resources(self, ctx: Context) -> Iterator[Resource]:
        driver, flavour = ctx.stack.version("driver"), ctx.stack.version("modules")
        yield File(
            name="modules-at-boot",
            path="/etc/modules-load.d/provision-nvidia.conf",
            content=LOADED_AT_BOOT,
            boot_scoped=True,
        )
        yield Packages(name="driver-packages", packages=ctx.platform.driver_user_packages(driver), hold=True)
        yield Gate(
            name="one-driver-version",
            test=ctx.platform.one_driver_version(driver, flavour, ctx.stack.version("kernel")),
            expect=f"libcuda, NVML and the kernel modules are all {driver}",
            remedy="Another source installed a part of the driver; `dpkg -l '*nvidia*' 'libcuda*'` shows which",
        )
        yield Gate(
            name="gpu-answers",
            test=f"nvidia-smi --query-gpu=name,driver_version --format=csv,noheader; "
            f"nvidia-smi --query-gpu=driver_version --format=csv,noheader | grep -qxF {quote(driver)}",
            expect=f"every GPU answers nvidia-smi with driver {driver}",
            remedy="`nvidia-smi` by hand and `dmesg | grep -i nvrm` tell what is wrong",
            needs=("boot", "modules", "hardware"),
            after="driver",
        )
