"""preflight: what must be so before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import ClassVar

from pydantic import Field

from provision.catalog import find_gpus, load
from provision.model import Derived, File, Gate, NodeSpec, Resource
from provision.model.places import LEDGER
from provision.planning import Context, Role
from provision.platforms import bus

FIRST_BOOT_SECONDS = 900
"""cloud-init on a fresh machine may install updates, and a big server resizes a big disk."""


class Preflight(Role):
    """Refuses a node early and clearly: before the first change, with the evidence and what to do next."""

    component: ClassVar[str] = "preflight"

    root_mib: int = Field(default=4096, ge=0, description="MiB that must be free on / before a first bring-up")
    boot_mib: int = Field(default=300, ge=0, description="MiB that must be free on /boot before a bring-up")

    def resources(self, ctx: Context) -> Iterator[Resource]:
        yield from _machine(ctx.spec)
        yield from _firmware(ctx)
        yield Gate(
            name="preflight-space",
            test=_room(self.root_mib) + "; " + _boot_space(self.boot_mib, ctx.stack.version("kernel")),
            expect=f"{self.root_mib} MiB are free on / before packages are brought, and {self.boot_mib} MiB on /boot",
            remedy="Free some room (old kernels, apt's cache), or lower preflight_root_mib and preflight_boot_mib",
            precondition=True,
        )
        yield Gate(
            name="preflight-first-boot",
            test=ctx.platform.first_boot_is_over(FIRST_BOOT_SECONDS),
            expect="what sets up a new machine at its first boot has ended",
            remedy="`cloud-init status --long` tells what it waits for; run again when it has ended",
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
        yield Gate(
            name="preflight-ofed",
            test=ctx.platform.old_ofed_absent(),
            expect="no MLNX_OFED is installed",
            remedy="Take it off with its own ofed_uninstall.sh and reboot; DOCA-OFED takes its place",
            precondition=True,
        )
        yield Gate(
            name="preflight-secure-boot",
            test=ctx.platform.modules_can_be_signed(),
            expect="Secure Boot is off, or modules can be signed here and their key be enrolled",
            remedy="Install what is named, or turn Secure Boot off in the firmware; then run again. The key itself is "
            "made with the modules: how to enrol it is told then",
            needs=("boot", "modules"),
            precondition=True,
        )
        yield from _updates(ctx)


def _machine(spec: NodeSpec) -> Iterator[Gate]:
    os, arch = spec.os, spec.arch
    yield Gate(
        name="preflight-machine",
        test='. /etc/os-release; is="${ID:-}${VERSION_ID:-} $(uname -m)"; echo "$is"; '
        f'[ "$is" = {quote(f"{os} {arch}")} ]',
        expect=f"the machine is {os} on {arch}",
        remedy="Correct os and arch in the inventory, or install the machine anew",
        precondition=True,
    )
    wanted = sorted({gpu.id for gpu in find_gpus(load().gpus, spec.gpu)}) if spec.gpu else []
    yield Gate(
        name="preflight-gpu",
        test=bus.gpu_is_there(wanted),
        expect=f"a {spec.gpu} is on the PCI bus ({', '.join(wanted)})" if wanted else "an NVIDIA GPU is on the PCI bus",
        remedy="Correct the GPU in the inventory; or check its power and seating, that the firmware gives it address "
        "space, and, in a guest, that the host passes it through",
        needs=("hardware",),
        precondition=True,
    )


def _firmware(ctx: Context) -> Iterator[Gate]:
    """The floors that are known. Before a driver is loaded nothing reads a VBIOS, and the gate says that."""
    gpus = find_gpus(load().gpus, ctx.spec.gpu) if ctx.spec.gpu else ()
    for row in load().driver_issues:
        ids = sorted({gpu.id for gpu in gpus} & set(row.gpus))
        if not row.vbios_from or not ids or not row.covers(ctx.stack.version("driver")):
            continue
        yield Gate(
            name=f"preflight-{row.id}",
            test=bus.vbios_is_new_enough(ids, row.vbios_from),
            expect=f"a VBIOS that can be read is {row.vbios_from} or newer",
            remedy=f"{row.text} [{load().cite(row.source)}]: bring newer firmware first, then run again",
            needs=("hardware",),
            precondition=True,
        )


def _updates(ctx: Context) -> Iterator[Resource]:
    """Security updates go on, without the set, and not while a run is at work."""
    exceptions = ctx.platform.update_exceptions()
    yield File(name="update-exceptions", path=exceptions.path, content=exceptions.content)
    lease = ctx.platform.update_lease()
    for name, file in lease.items():
        yield File(name=name, path=file.path, content=file.content, mode=file.mode)
    yield Derived(name="update-lease", inputs=tuple(lease), command="systemctl daemon-reload")


def _room(mib: int) -> str:
    """Only until packages are brought: a rerun would ask again for what they took. After that apt tells what lacks."""
    return (
        f"grep -qs ' begin [^ ]*-packages$' {LEDGER} || {{ free=$(df -Pm / | awk 'NR == 2 {{ print $4 }}'); "
        f'[ "$free" -ge {mib} ] || {{ echo "/ has $free MiB free, {mib} are needed"; exit 1; }}; }}'
    )


def _boot_space(mib: int, release: str) -> str:
    """What is there of the target kernel counts: a rerun asks only for what is still to come."""
    return (
        f"there=$(du -cm /boot/*-{quote(release)} 2>/dev/null | awk 'END {{ print $1 + 0 }}') || there=0; "
        "free=$(df -Pm /boot | awk 'NR == 2 { print $4 }'); "
        f'[ "$((free + there))" -ge {mib} ] || {{ echo "/boot has $free MiB free, $(({mib} - there)) are needed"; '
        "exit 1; }"
    )
