"""doca_ofed: the network's drivers, which the GPU's are built against."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import ClassVar, Literal

from pydantic import Field

from provision.catalog import ComponentPackages, load
from provision.model import Derived, File, Gate, NodeSpec, Package, Packages, Resource, Unit
from provision.planning import Context, NoPlan, Role, boot_files, module_key, vendor_repository
from provision.platforms import bus, packages_of

VENDOR_ARCH = {"x86_64": "x86_64", "aarch64": "arm64-sbsa"}

# Azure/azhpc-images, components/install_doca.sh, read 2026-11-21: ports appear late, and a start without them fails.
PATIENT = """\
# Written by provision. The ports may appear after this unit's turn: wait for them, and try again.
[Unit]
After=systemd-udev-settle.service
Wants=systemd-udev-settle.service

[Service]
Restart=on-failure
RestartSec=5
"""

# The same source, setup of a SKU: nvidia-peermem is loaded once InfiniBand is up, never before. `-`: a node whose GPU
# driver does not load keeps its network.
PEER_MEMORY = """\
# Written by provision. nvidia-peermem registers with OFED's InfiniBand core, so it is loaded when that is there.
[Service]
ExecStartPost=-/sbin/modprobe nvidia-peermem
"""

FIRST_CUDA_WITH_DMA_BUF = (11, 7)

INBOX = """\
for module in ib_core mlx5_core; do
    file=$(modinfo -k {release} -F filename "$module") || {{ echo "kernel" {release} "has no $module"; exit 1; }}
    case $file in */kernel/drivers/* | '(builtin)') ;; *) echo "$module is not the kernel's own: $file"; exit 1 ;; esac
done
! grep -q '^nvidia_peermem ' /proc/modules || {{ echo 'nvidia-peermem is loaded'; exit 1; }}
echo "the kernel's own drivers, and DMA-BUF"
"""


class DocaOfed(Role):
    """NVIDIA's network drivers (DOCA-OFED), built for the target kernel before the GPU driver that uses them."""

    component: ClassVar[str] = "ofed"

    profile: Literal["doca-ofed", "doca-networking", "doca-roce", "doca-all", "doca-ofed-userspace", "inbox"] = Field(
        default="doca-ofed",
        description="which part of DOCA; doca-ofed-userspace has no kernel modules, inbox none of DOCA at all: the "
        "kernel's own drivers with DMA-BUF, which the open GPU modules bring",
    )
    peer_memory: bool = Field(default=True, description="load nvidia-peermem when InfiniBand is up")
    firmware: bool = Field(default=False, description="bring what writes firmware into NICs; they want a power cycle")
    url: str | None = Field(
        default=None,
        description="the repository, with {version}, {os} and {arch} filled in; otherwise its owner's",
    )
    key: str | None = Field(
        default=None, description="its signing key as ASCII text; without one the node must know the repository already"
    )
    key_fingerprints: tuple[str, ...] | None = Field(
        default=None,
        description="of every primary key in that text; otherwise nothing is known: whoever gives a key gives these",
    )

    @classmethod
    def wanted(cls, spec: NodeSpec) -> bool:
        return "rdma" in spec.features or spec.doca is not None

    def builds(self, ctx: Context) -> tuple[str, ...]:
        return _row(ctx).dkms if self._has_modules() else ()

    def resources(self, ctx: Context) -> Iterator[Resource]:
        if self.profile == "inbox":
            yield from _inbox(ctx)
            return
        yield Gate(
            name="ofed-card",
            test=bus.card_is_there(),
            expect="a network card of NVIDIA's (Mellanox) is on the PCI bus",
            remedy="Check its power and seating, and, in a guest, that the host passes it through; for the card of "
            "another vendor take doca_ofed_profile=inbox, and without RDMA leave the feature rdma out",
            needs=("hardware",),
            precondition=True,
        )
        yield _upgradable(ctx)
        yield from self._packages(ctx)
        if self._has_modules():
            yield from self._modules(ctx)

    def _has_modules(self) -> bool:
        return any(row.id == self.profile and row.kernel_modules for row in load().doca_profiles)

    def _packages(self, ctx: Context) -> Iterator[Resource]:
        version = ctx.stack.version("doca")
        named = packages_of(ctx.platform, "doca", version, "doca", self.profile)
        arch = VENDOR_ARCH[ctx.platform.arch]
        places = {"version": version, "os": ctx.spec.os, "arch": arch}
        yield from vendor_repository(ctx, "doca", "ofed-repository", self, places)
        # Without it apt would take the vendor's dkms instead of the distribution's.
        lock = ctx.platform.lock_of("ofed", named.packages, _row(ctx).never)
        yield File(name="ofed-lock", path=lock.path, content=lock.content)
        firmware: tuple[Package, ...] = ()
        if self.firmware:
            firmware = packages_of(ctx.platform, "nic_firmware", version, "doca").packages
        yield Packages(
            name="ofed-packages",
            packages=(*named.packages, *firmware),
            hold=True,
            metas=_profiles(),
            boot_scoped=True,
        )

    def _modules(self, ctx: Context) -> Iterator[Resource]:
        release, modules = ctx.stack.version("kernel"), _row(ctx).dkms
        yield File(name="ofed-patience", path="/etc/systemd/system/openibd.service.d/provision.conf", content=PATIENT)
        if self.peer_memory:
            yield File(
                name="ofed-peer-memory",
                path="/etc/systemd/system/openibd.service.d/provision-peer-memory.conf",
                content=PEER_MEMORY,
            )
        yield Derived(
            name="ofed-build",
            inputs=("ofed-packages",),
            also=("kernel-packages",),
            command=ctx.platform.build_ofed(modules, release),
            log=ctx.platform.ofed_log(modules),
            undo=ctx.platform.withdraw_kernel(release),
            boot_scoped=True,
        )
        yield Gate(
            name="ofed-built",
            test=ctx.platform.ofed_built(modules, release),
            expect=f"OFED's modules are built and installed for kernel {release}",
            remedy="See the build log that is named; choose a kernel and a DOCA that fit (`provision plan` tells)",
            proves=("ofed-build",),
        )
        brought = ("ofed-packages", "ofed-build")
        yield from boot_files(ctx, inputs=brought, modules=brought)
        yield module_key(ctx)
        yield Unit(name="ofed-daemon", unit="openibd.service", needs=("boot", "modules"), after="driver")


def _inbox(ctx: Context) -> Iterator[Resource]:
    """The kernel's own drivers, and GPU memory through DMA-BUF instead of nvidia-peermem.

    DMA-BUF needs the open modules, CUDA 11.7 and kernel 5.12 (NVIDIA/cloud-native-docs 52dcb7b8, GPU operator with
    GPUDirect RDMA, read 2026-11-21). Every kernel of the catalog is newer.
    """
    cuda = ctx.stack.choices.get("cuda")
    if cuda is not None and tuple(map(int, cuda.version.split(".")[:2])) < FIRST_CUDA_WITH_DMA_BUF:
        raise NoPlan(
            f"doca_ofed: the profile inbox reaches GPU memory through DMA-BUF, which CUDA {cuda.version} does not "
            "know; take CUDA 11.7 or newer, or another doca_ofed_profile"
        )
    if ctx.stack.version("modules") != "open":
        raise NoPlan(
            "doca_ofed: the profile inbox reaches GPU memory through DMA-BUF, which the proprietary kernel modules do "
            "not have; leave the feature proprietary out, or take another doca_ofed_profile"
        )
    yield Packages(name="ofed-packages", packages=packages_of(ctx.platform, "inbox_rdma", "0").packages)
    yield Gate(
        name="ofed-inbox",
        test=INBOX.format(release=quote(ctx.stack.version("kernel"))),
        expect="the network's drivers are the kernel's own, and nvidia-peermem is not loaded",
        remedy="Take off what brought the other drivers (`doca-ofed` and its modules, then `dkms status` names none), "
        "and whatever loads nvidia-peermem (/etc/modules-load.d, openibd); reboot and run again",
        needs=("boot", "modules"),
        after="driver",
    )


def _row(ctx: Context) -> ComponentPackages:
    return next(row for row in ctx.platform.components if (row.component, row.repository) == ("doca", "doca"))


def _profiles() -> tuple[str, ...]:
    return tuple(profile.id for profile in load().doca_profiles)


def _upgradable(ctx: Context) -> Gate:
    version = ctx.stack.version("doca")
    return Gate(
        name="ofed-upgradable",
        test=ctx.platform.doca_can_become(version, _profiles()),
        expect=f"what is there of DOCA-OFED can be upgraded to {version}",
        remedy="Take it off as NVIDIA's guide to DOCA-Host says: `apt-get purge` every package of doca, flexio and "
        "dpa-*, then `/usr/sbin/ofed_uninstall.sh --force` and `apt-get autoremove`; reboot and run again. Or keep it: "
        "declare its version as doca",
        precondition=True,
    )
