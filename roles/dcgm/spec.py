"""dcgm: NVIDIA's service that watches and diagnoses GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from provision.catalog import branch_of, find_gpus, load
from provision.catalog.published import published
from provision.model import Derived, Gate, NodeSpec, Packages, Resource, Unit
from provision.planning import Context, NoPlan, Role
from provision.platforms import carried

SERVICE = "nvidia-dcgm.service"

PackageVersion = Annotated[str, StringConstraints(pattern=r"^([0-9]+:)?[0-9][0-9A-Za-z.+~*-]*$", max_length=64)]
"""With an epoch: NVIDIA's packages have one."""


class Dcgm(Role):
    """DCGM, of the build that is for the driver's CUDA major, and its service.

    A feature of its own: who watches with something else does not want a second reader of the profiling counters.
    """

    component: ClassVar[str] = "dcgm"

    version: PackageVersion | None = Field(
        default=None, description="of the packages; otherwise that of a published set, or what the node is offered"
    )

    @classmethod
    def wanted(cls, spec: NodeSpec) -> bool:
        return "dcgm" in spec.features

    def resources(self, ctx: Context) -> Iterator[Resource]:
        dcgm = carried(ctx.platform, "dcgm", self.version or _published(ctx), _cuda_major(ctx))
        yield Packages(name="dcgm-packages", packages=dcgm.packages, hold=True)
        yield Derived(
            name="dcgm-restart",
            inputs=("dcgm-packages",),
            also=("driver-packages",),
            command=f"systemctl daemon-reload\nsystemctl try-restart {SERVICE}",
        )
        yield Unit(name="dcgm-service", unit=SERVICE, needs=("boot", "modules", "hardware"), after="driver")
        yield Gate(
            name="dcgm-answers",
            test='told=$(dcgmi discovery -l) || { echo "$told" | tail -n 1; exit 1; }; '
            "echo \"$told\" | grep -E '^[1-9][0-9]* GPU' || { echo 'DCGM finds no GPU'; exit 1; }",
            expect="DCGM finds the GPUs",
            remedy=f"`journalctl -u {SERVICE}` tells; a DCGM that is older than the driver may not know this GPU",
            needs=("boot", "modules", "hardware"),
            after="driver",
        )


def _published(ctx: Context) -> str:
    found = published(load(), "dcgm", ctx.spec.os, ctx.spec.arch, ctx.stack.version("driver"))
    return found[0] if found else "*"


def _cuda_major(ctx: Context) -> str:
    """Of the driver, or the last that knows the GPU: Volta and older take DCGM's build for CUDA 12 on driver 580.

    Azure/azhpc-images, components/install_dcgm.sh, quotes NVIDIA's documentation so (read 2026-11-21).
    """
    catalog, branch = load(), branch_of(ctx.stack.version("driver"))
    known = catalog.branch.get(branch)
    if known is None:
        raise NoPlan(f"dcgm: which CUDA driver branch {branch} has is not in the catalog; take another driver")
    majors = [int(branch_of(known.cuda))]
    gpus = () if ctx.spec.gpu is None else find_gpus(catalog.gpus, ctx.spec.gpu)
    capabilities = {row.id: row for row in catalog.capabilities}
    for gpu in gpus:
        row = capabilities.get(gpu.compute_capability)
        if row is not None and row.last_cuda is not None:
            majors.append(int(branch_of(row.last_cuda)))
    return str(min(majors))
