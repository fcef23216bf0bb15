"""Data only: what a person declares, what should be, what was read, what was done."""

from provision.model.base import Frozen, canonical, digest
from provision.model.ledger import LedgerEntry
from provision.model.plan import Entry, Plan
from provision.model.resource import (
    BootEntry,
    Derived,
    Directory,
    File,
    Gate,
    Limit,
    Package,
    Packages,
    Resource,
    Unit,
)
from provision.model.snapshot import (
    FileState,
    GateState,
    Kernel,
    PackageState,
    PciDevice,
    Snapshot,
    UnitState,
)
from provision.model.spec import NodeSpec
from provision.model.stack import Choice, Conflict, Reason, Stack

__all__ = [
    "BootEntry",
    "Choice",
    "Conflict",
    "Derived",
    "Directory",
    "Entry",
    "File",
    "FileState",
    "Frozen",
    "Gate",
    "GateState",
    "Kernel",
    "LedgerEntry",
    "Limit",
    "NodeSpec",
    "Package",
    "PackageState",
    "Packages",
    "PciDevice",
    "Plan",
    "Reason",
    "Resource",
    "Snapshot",
    "Stack",
    "Unit",
    "UnitState",
    "canonical",
    "digest",
]
