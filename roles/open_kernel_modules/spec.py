"""open_kernel_modules: the kernel half of the driver."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import ClassVar

from provision.model import Derived, File, Gate, Packages, Resource
from provision.planning import Context, Role, boot_files

# Read in dkms 3.2.2 of Debian 13: /usr/lib/dkms/common.postinst and `dkms autoinstall` (2026-11-21).
HANDS_OFF = """\
# Written by provision. With this file dkms builds nothing by itself when a kernel or a driver is installed: modules are
# built in their order, for the kernel that was chosen, and a build that fails takes that kernel off again.
"""

RIVALS = """\
# Written by provision. Drivers that would take the GPU first: nouveau, and nova_core of kernel 7.0 and newer.
blacklist nouveau
blacklist nova_core
options nouveau modeset=0
"""


class OpenKernelModules(Role):
    """NVIDIA's kernel modules, built by DKMS for the target kernel: the open ones unless the GPU cannot use them."""

    component: ClassVar[str] = "modules"

    def resources(self, ctx: Context) -> Iterator[Resource]:
        release, driver = ctx.stack.version("kernel"), ctx.stack.version("driver")
        flavour = ctx.stack.version("modules")
        yield File(name="dkms-by-plan", path="/etc/dkms/no-autoinstall", content=HANDS_OFF)
        yield File(name="rival-drivers", path="/etc/modprobe.d/provision-rivals.conf", content=RIVALS, boot_scoped=True)
        lock = ctx.platform.driver_lock(driver, flavour)
        if lock is not None:
            yield File(name="driver-lock", path=lock.path, content=lock.content)
        yield Packages(
            name="module-packages",
            packages=ctx.platform.driver_kernel_packages(driver, flavour),
            hold=True,
            boot_scoped=True,
        )
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
            remedy="See the build log that is named; choose a kernel and driver that fit (`provision plan` tells)",
            proves=("module-build",),
        )
        yield from boot_files(ctx, inputs=("rival-drivers", "module-packages", "module-build"))
        yield Gate(
            name="driver-loaded",
            test=f"head -n 1 /proc/driver/nvidia/version; grep -qwF {quote(driver)} /proc/driver/nvidia/version",
            expect=f"the loaded driver is {driver}",
            remedy="`dmesg | grep -i nvrm` tells why the module did not load",
            needs=("boot", "modules", "hardware"),
            boot_scoped=True,
            after="driver",
        )
