"""gdrcopy: a CPU's low-latency copies to and from GPU memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from provision.catalog import load
from provision.catalog.published import published
from provision.model import Derived, Gate, Module, NodeSpec, Packages, Resource
from provision.model.spec import Version
from provision.planning import Context, Role, vendor_repository
from provision.platforms import carried


class Gdrcopy(Role):
    """GDRCopy: its kernel module gdrdrv, built for the target kernel against this very driver, and its library.

    A feature of its own and no part of `rdma`: NVIDIA publishes its packages as single files, so a site must offer
    them, and RDMA to GPU memory works without them.
    """

    component: ClassVar[str] = "gdrcopy"

    version: Version | None = Field(
        default=None, description="of the packages; otherwise that of a published set, or what the node is offered"
    )

    url: str | None = Field(default=None, description="a flat repository of your own that has the packages")
    key: str | None = Field(
        default=None, description="its signing key as ASCII text; without one the node must know the repository already"
    )
    key_fingerprints: tuple[str, ...] | None = Field(default=None, description="of every primary key in that text")

    @classmethod
    def wanted(cls, spec: NodeSpec) -> bool:
        return "gdrcopy" in spec.features

    def builds(self, ctx: Context) -> tuple[str, ...]:
        return carried(ctx.platform, "gdrcopy", "*").dkms

    def resources(self, ctx: Context) -> Iterator[Resource]:
        release, driver = ctx.stack.version("kernel"), ctx.stack.version("driver")
        flavour = ctx.stack.version("modules")
        gdrcopy = carried(ctx.platform, "gdrcopy", self._version(ctx))
        yield from vendor_repository(ctx, "site", "gdrcopy-repository", self, {"arch": ctx.platform.package_arch})
        yield Packages(name="gdrcopy-packages", packages=gdrcopy.packages, hold=True, boot_scoped=True)
        yield Derived(
            name="gdrcopy-build",
            inputs=("gdrcopy-packages",),
            also=("kernel-packages", "module-packages", "module-build"),
            command=ctx.platform.build_beside_driver(gdrcopy.dkms, driver, flavour, release),
            log=ctx.platform.ofed_log(gdrcopy.dkms),
            boot_scoped=True,
        )
        yield Gate(
            name="gdrcopy-built",
            test=ctx.platform.ofed_built(gdrcopy.dkms, release),
            expect=f"gdrdrv is built and installed for kernel {release}",
            remedy="See its build log; a GDRCopy that is newer fits a newer kernel (`gdrcopy_version`)",
            proves=("gdrcopy-build",),
        )
        yield Module(name="gdrcopy-module", module="gdrdrv", loaded=True, boot_scoped=True)
        yield Gate(
            name="gdrcopy-loaded",
            test="[ -c /dev/gdrdrv ] && grep -w gdrdrv /proc/modules | cut -d ' ' -f 1-3",
            expect="gdrdrv is loaded and its device is there",
            remedy="`modprobe gdrdrv` and `dmesg | grep gdrdrv` tell why it did not load",
            needs=("boot", "modules", "hardware"),
            boot_scoped=True,
            after="driver",
        )

    def _version(self, ctx: Context) -> str:
        """A pattern: published versions leave the packages' own revision away as often as not."""
        if self.version is not None:
            return f"{self.version}*"
        found = published(load(), "gdrcopy", ctx.spec.os, ctx.spec.arch, ctx.stack.version("driver"))
        return f"{found[0]}*" if found else "*"
