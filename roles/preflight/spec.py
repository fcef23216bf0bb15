"""preflight: what must be so before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import ClassVar

from pydantic import Field

from provision.model import Gate, Resource
from provision.planning import Context, Role


class Preflight(Role):
    """Refuses a node early and clearly: before the first change, with the evidence and what to do next."""

    component: ClassVar[str] = "preflight"

    root_mib: int = Field(default=4096, ge=0, description="MiB that must be free on / before a bring-up")
    boot_mib: int = Field(default=300, ge=0, description="MiB that must be free on /boot before a bring-up")

    def resources(self, ctx: Context) -> Iterator[Resource]:
        os, arch = ctx.spec.os, ctx.spec.arch
        yield Gate(
            name="preflight-machine",
            test='. /etc/os-release; is="${ID:-}${VERSION_ID:-} $(uname -m)"; echo "$is"; '
            f'[ "$is" = {quote(f"{os} {arch}")} ]',
            expect=f"the machine is {os} on {arch}",
            remedy="Correct os and arch in the inventory, or install the machine anew",
            precondition=True,
        )
        yield Gate(
            name="preflight-gpu",
            test="grep -lqx 0x10de /sys/bus/pci/devices/*/vendor && echo 'NVIDIA device on the PCI bus'",
            expect="an NVIDIA device is on the PCI bus",
            remedy="Check power and seating of the GPU, and that the firmware gives it address space",
            needs=("hardware",),
            precondition=True,
        )
        yield Gate(
            name="preflight-space",
            test=_space("/", self.root_mib) + "; " + _space("/boot", self.boot_mib),
            expect=f"{self.root_mib} MiB are free on / and {self.boot_mib} MiB on /boot",
            remedy="Free some room (old kernels, apt's cache), or lower preflight_root_mib and preflight_boot_mib",
            precondition=True,
        )
        yield Gate(
            name="preflight-locks",
            test=ctx.platform.wait_for_package_locks(),
            expect="nobody else is working with the package manager",
            remedy="Let it finish; it is named above",
            precondition=True,
        )
        yield Gate(
            name="preflight-packages",
            test=ctx.platform.packages_mendable(),
            expect="the package database is consistent, or an interrupted run of ours left what its rerun mends",
            remedy="Mend the package that is named (`dpkg --audit` tells more) and run again",
            precondition=True,
        )
        yield Gate(
            name="preflight-sources",
            test=ctx.platform.driver_sources_unmixed(),
            expect="the NVIDIA packages that are there come from one source",
            remedy="Remove the driver that does not belong here (a .run installer has nvidia-uninstall); run again",
            precondition=True,
        )


def _space(path: str, mib: int) -> str:
    return (
        f"free=$(df -Pm {quote(path)} | awk 'NR == 2 {{ print $4 }}'); "
        f'[ "$free" -ge {mib} ] || {{ echo {quote(path)} "has $free MiB free, {mib} are needed"; exit 1; }}'
    )
