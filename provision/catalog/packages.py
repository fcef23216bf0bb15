"""What components other than kernel and driver are called, per repository and family of operating systems."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from provision.catalog.row import Row
from provision.model.resource import PackageSource

PackagedComponent = Literal[
    "cuda_toolkit",
    "cuda_compat",
    "host_compiler",
    "doca",
    "nic_firmware",
    "inbox_rdma",
    "container_toolkit",
    "gdrcopy",
    "gds",
    "dcgm",
]


class ComponentPackages(Row):
    """One component's packages. Names and pattern are templates.

    `{version}` is the component's version, `{major}` and `{minor}` its first two numbers; in the names of DOCA,
    `{profile}` is the profile that is asked for; in those of DCGM, `{cuda}` is the driver's CUDA major.
    """

    component: PackagedComponent
    repository: PackageSource
    families: tuple[str, ...]
    """Of operating systems, `OperatingSystem.family`."""
    packages: tuple[str, ...]
    version: str
    """Shell pattern over the repository's version."""
    never: dict[str, str] = Field(default_factory=dict)
    """Package that must not come from this repository -> the `Pin:` of apt_preferences(5) that keeps it out."""
    dkms: tuple[str, ...] = ()
    """Modules that DKMS builds of these packages, by DKMS's names, each before what is compiled against it."""
    offered: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Of a distribution's own archive: operating system -> versions that it carries, `12.4.1`."""
    home: str = ""
    """The folder that programs know as CUDA_HOME; a template as well."""
    program: str = ""
    """The compiler's path; a template as well."""
