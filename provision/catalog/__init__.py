"""What is known: facts that vendors published or that were seen, each with its source."""

from provision.catalog.check import check, kinds
from provision.catalog.gpus import find_gpus
from provision.catalog.load import load
from provision.catalog.rows import (
    Catalog,
    DriverBranch,
    DriverPackages,
    Gpu,
    Kernel,
    KernelDriverPair,
    Modules,
    OperatingSystem,
    Row,
    Rule,
    Source,
)
from provision.catalog.versions import branch_of, driver_key, matches_pin

__all__ = [
    "Catalog",
    "DriverBranch",
    "DriverPackages",
    "Gpu",
    "Kernel",
    "KernelDriverPair",
    "Modules",
    "OperatingSystem",
    "Row",
    "Rule",
    "Source",
    "branch_of",
    "check",
    "driver_key",
    "find_gpus",
    "kinds",
    "load",
    "matches_pin",
]
