"""What a person declares about a node."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, field_validator

from provision.model.base import Frozen

Arch = Literal["x86_64", "aarch64"]
Feature = Literal["rdma", "containers", "gdrcopy", "dcgm", "mig", "gds", "cdmm", "fabricmanager", "open", "proprietary"]
Reboots = Literal["staged", "single"]

# These words reach file names, package patterns and remote programs, so nothing but version characters is allowed.
Version = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.+~-]*$", max_length=64)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]*$", max_length=64)]


RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class NodeSpec(Frozen):
    """One node as declared: the keys of an inventory and of `provision plan --set`.

    Pins (`driver`, `cuda`, `kernel`, `doca`, `gcc`) have no default: what is not pinned is resolved.
    """

    os: Annotated[str, StringConstraints(pattern=r"^[a-z]+[0-9][0-9.]*$")] = Field(
        description="distribution and release, e.g. ubuntu24.04 or debian13"
    )
    arch: Arch = Field(description="machine architecture as `uname -m` prints it")
    gpu: Name | None = Field(
        default=None, description="GPU model, e.g. GH200; needed to choose the kernel modules' flavour"
    )
    driver: Version | None = Field(default=None, description="driver branch (580) or exact version (580.159.04)")
    driver_repository: Literal["archive", "cuda"] = Field(
        default="archive",
        description="whose packages the driver is: the distribution's archive, or NVIDIA's own: cuda",
    )
    cuda: Version | None = Field(default=None, description="CUDA toolkit release, e.g. 13.0")
    kernel: Version | None = Field(default=None, description="kernel release as `uname -r` prints it")
    doca: Version | None = Field(default=None, description="DOCA-OFED release")
    gcc: Version | None = Field(default=None, description="host compiler for nvcc")
    features: tuple[Feature, ...] = Field(default=(), description="what the node is for, beyond a working driver")
    cuda_compat: bool | None = Field(default=None, description="CUDA forward compatibility package")
    fabricmanager: bool | None = Field(default=None, description="run a fabric manager on this host")
    reboots: Reboots = Field(
        default="single",
        description="single: build everything first, one reboot; staged: a reboot after kernel and driver",
    )
    hardware: Literal["present", "absent"] = Field(
        default="present", description="absent: a lab node without a GPU; refused on any other machine"
    )
    roles: tuple[RoleName, ...] | None = Field(
        default=None, description="only these roles; otherwise every role that is found and wants a node like this"
    )
    variables: dict[str, dict[str, JsonValue]] = Field(default_factory=dict, description="role name -> its variables")

    @field_validator("variables")
    @classmethod
    def _in_one_order(cls, given: dict[str, dict[str, JsonValue]]) -> dict[str, dict[str, JsonValue]]:
        """The order in which somebody typed them decides nothing."""
        return {role: dict(sorted(variables.items())) for role, variables in sorted(given.items())}
