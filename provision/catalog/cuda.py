"""CUDA toolkits: their drivers, what lets an older driver run them, and the compilers that nvcc accepts."""

from __future__ import annotations

from typing import Literal

from provision.catalog.row import Row
from provision.model.spec import Arch

Standing = Literal["compatible", "native", "not_compatible"]


class CudaToolkit(Row):
    """One release, `12.8.1`."""

    label: str
    """What NVIDIA calls it, `12.8 Update 1`."""
    driver: str | None
    """It runs natively from this driver on: of release notes and manifest the larger; None where none is published."""
    branch: str | None
    """The driver branch that reports this CUDA version."""
    archs: tuple[Arch, ...] = ("x86_64", "aarch64")
    """aarch64 means arm64-sbsa: servers, not Jetson."""
    bundles_driver: bool = True
    preview: bool = False
    """Not a general release: chosen only when it is pinned to the last digit."""

    @property
    def minor(self) -> str:
        """`12.8` of `12.8.1`: what drivers report and packages are named by."""
        return ".".join(self.id.split(".")[:2])


class CudaMajor(Row):
    """Minor-version compatibility: every toolkit of a major runs on a driver from this floor on, PTX excepted."""

    driver: str


class CudaCompat(Row):
    """A forward-compatibility package, `cuda-compat-12-8`, and the driver branches under it."""

    cuda: str
    on: dict[str, Standing]
    """Base branch -> how it stands to this package; a branch that is not named is no base."""
    driver: str
    """Version of the libcuda in the package, the newest that was read; empty when none was."""


class CudaError(Row):
    """An error that tells how driver and toolkit stand to each other: of CUDA (`803`) or of NVML (`nvml-18`)."""

    name: str
    text: str


class HostCompiler(Row):
    """What an nvcc accepts as host compiler. `id` is the CUDA version, or a release where a minor holds two."""

    gcc: str
    """Highest accepted major."""
    clang: str
    gcc_least: str = "6"
    clang_least: str = "7"
    clang_least_grace: str | None = None
