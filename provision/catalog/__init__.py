"""What is known: facts that vendors published or that were seen, each with its source."""

from provision.catalog.catalog import Catalog, Rule
from provision.catalog.checks import check, kinds
from provision.catalog.combinations import Combination
from provision.catalog.containers import CdiRuntime, ContainerToolkit
from provision.catalog.cuda import CudaCompat, CudaError, CudaMajor, CudaToolkit, HostCompiler
from provision.catalog.doca import DocaPrebuilt, DocaProfile, DocaRelease
from provision.catalog.drivers import DriverBranch, DriverIssue, DriverNames, DriverPackages, Modules
from provision.catalog.gpus import Capability, Fabric, Gpu, find_gpus
from provision.catalog.kernels import Kernel, KernelArgumentRule, KernelDocaPair, KernelDriverPair
from provision.catalog.load import load
from provision.catalog.packages import ComponentPackages, PackagedComponent
from provision.catalog.repositories import VendorRepository, find_repository
from provision.catalog.row import Row, Source
from provision.catalog.systems import OperatingSystem, SupportedSystem
from provision.catalog.versions import branch_of, driver_key, matches_pin
from provision.model.resource import PackageSource

__all__ = [
    "Capability",
    "Catalog",
    "CdiRuntime",
    "Combination",
    "ComponentPackages",
    "ContainerToolkit",
    "CudaCompat",
    "CudaError",
    "CudaMajor",
    "CudaToolkit",
    "DocaPrebuilt",
    "DocaProfile",
    "DocaRelease",
    "DriverBranch",
    "DriverIssue",
    "DriverNames",
    "DriverPackages",
    "Fabric",
    "Gpu",
    "HostCompiler",
    "Kernel",
    "KernelArgumentRule",
    "KernelDocaPair",
    "KernelDriverPair",
    "Modules",
    "OperatingSystem",
    "PackageSource",
    "PackagedComponent",
    "Row",
    "Rule",
    "Source",
    "SupportedSystem",
    "VendorRepository",
    "branch_of",
    "check",
    "driver_key",
    "find_gpus",
    "find_repository",
    "kinds",
    "load",
    "matches_pin",
]
