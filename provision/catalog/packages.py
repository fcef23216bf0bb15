"""What components other than kernel and driver are called, per repository and family of operating systems."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from provision.catalog.row import Row

PackagedComponent = Literal["cuda_toolkit", "cuda_compat", "doca", "container_toolkit"]
PackageSource = Literal["archive", "cuda", "doca", "container-toolkit"]


class ComponentPackages(Row):
    """One component's packages. Names and pattern are templates.

    `{version}` is the component's version, `{major}` and `{minor}` its first two numbers; in the names of DOCA,
    `{profile}` is the profile that is asked for.
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
