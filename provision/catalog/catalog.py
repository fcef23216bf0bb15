"""All rows together, and how to find one."""

from __future__ import annotations

from functools import cache, cached_property
from typing import get_args

from provision.catalog.combinations import Combination
from provision.catalog.containers import CdiRuntime, ContainerToolkit
from provision.catalog.cuda import CudaCompat, CudaError, CudaMajor, CudaToolkit, HostCompiler
from provision.catalog.doca import DocaPrebuilt, DocaProfile, DocaRelease
from provision.catalog.drivers import DriverBranch, DriverIssue, DriverNames, DriverPackages
from provision.catalog.gpus import Capability, Gpu
from provision.catalog.kernels import Kernel, KernelArgumentRule, KernelDocaPair, KernelDriverPair
from provision.catalog.packages import ComponentPackages
from provision.catalog.repositories import VendorRepository
from provision.catalog.row import Row, Source
from provision.catalog.systems import OperatingSystem, SupportedSystem
from provision.model import Frozen


class Rule(Row):
    """What the resolver holds to, in one statement; the predicate stands in `provision.stack` under the same id."""

    text: str
    """Names in braces (gpu, os, arch, driver, kernel, cuda, doca, gcc) are filled from the declaration."""
    driver: str = ""
    """The driver from which on the statement holds, where it names one."""


class Catalog(Frozen):
    """All that is known. `as_of` is the day on which the driver branches were read: end of life is judged by it."""

    as_of: str
    sources: dict[str, Source]
    operating_systems: tuple[OperatingSystem, ...]
    kernels: tuple[Kernel, ...]
    kernel_arguments: tuple[KernelArgumentRule, ...]
    driver_packages: tuple[DriverPackages, ...]
    driver_names: tuple[DriverNames, ...]
    component_packages: tuple[ComponentPackages, ...]
    repositories: tuple[VendorRepository, ...]
    driver_branches: tuple[DriverBranch, ...]
    driver_issues: tuple[DriverIssue, ...]
    gpus: tuple[Gpu, ...]
    capabilities: tuple[Capability, ...]
    kernel_driver_pairs: tuple[KernelDriverPair, ...]
    kernel_doca_pairs: tuple[KernelDocaPair, ...]
    cuda_toolkits: tuple[CudaToolkit, ...]
    cuda_majors: tuple[CudaMajor, ...]
    cuda_compat: tuple[CudaCompat, ...]
    cuda_errors: tuple[CudaError, ...]
    host_compilers: tuple[HostCompiler, ...]
    doca_releases: tuple[DocaRelease, ...]
    doca_profiles: tuple[DocaProfile, ...]
    doca_prebuilt: tuple[DocaPrebuilt, ...]
    container_toolkits: tuple[ContainerToolkit, ...]
    cdi_runtimes: tuple[CdiRuntime, ...]
    supported_systems: tuple[SupportedSystem, ...]
    combinations: tuple[Combination, ...]
    rules: tuple[Rule, ...]

    def cite(self, source: str) -> str:
        """A source spelled out: what was read, and when."""
        return "; ".join(self._spelled(key) for key in source.split("+"))

    def ref(self, row: Row) -> str:
        """The fact's id, `cuda_toolkits/12.8.1`: what `provision catalog show` takes."""
        return f"{_kind_of(type(row))}/{row.id}"

    def _spelled(self, key: str) -> str:
        source = self.sources.get(key)
        if source is None:
            return key
        return f"{source.what}, {source.date}" if source.date else source.what

    @cached_property
    def branch(self) -> dict[str, DriverBranch]:
        return {row.id: row for row in self.driver_branches}

    @cached_property
    def rule(self) -> dict[str, Rule]:
        return {row.id: row for row in self.rules}

    @cached_property
    def kernel(self) -> dict[str, Kernel]:
        return {row.id: row for row in self.kernels}


@cache
def _kind_of(row: type[Row]) -> str:
    """The field of the catalog that holds rows of this type."""
    return next(name for name, field in Catalog.model_fields.items() if get_args(field.annotation)[:1] == (row,))
