"""Small plans, and machines that are as a plan wants them. Versions are artificial on purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from provision.model import (
    BootEntry,
    Derived,
    Directory,
    Entry,
    File,
    FileState,
    Gate,
    GateState,
    LedgerEntry,
    Packages,
    PackageState,
    Plan,
    Resource,
    Snapshot,
    Unit,
    UnitState,
)
from provision.steps import desired

VERSION = "1.2.3-artificial"
RELEASE = "1.2.3-artificial-64k"
OLD_RELEASE = "1.0.0-artificial"


def machine(**fields: Any) -> Snapshot:
    """A machine that has nothing."""
    given = {
        "os": "debian13", "arch": "x86_64", "machine_id": "m1", "boot_id": "boot-1", "kernel": OLD_RELEASE,
        "page_size": 4096, "default_kernel": OLD_RELEASE,
    }  # fmt: skip
    return Snapshot.model_validate({**given, **fields})


def plan(*boots: Sequence[Resource]) -> Plan:
    """A plan of these resources, one sequence per boot."""
    return Plan(boots=tuple(tuple(Entry(role="some_role", resource=r) for r in boot) for boot in boots))


def gate(name: str = "gate", **fields: Any) -> Gate:
    return Gate.model_validate(
        {"name": name, "test": "true", "expect": f"{name} is so", "remedy": f"mend {name}", **fields}
    )


def converged(wanted: Plan, **fields: Any) -> Snapshot:
    """A machine on which this plan has been carried out to its end."""
    snapshot = machine(**fields)
    for entry in wanted.entries:
        snapshot = carried_out(wanted, entry.resource, snapshot)
    return snapshot


def carried_out(wanted: Plan, resource: Resource, snapshot: Snapshot) -> Snapshot:
    """The machine after this resource has been applied, seen through the eyes of the probe."""
    match resource:
        case Packages(packages=packages, hold=hold):
            status = "hi" if hold else "ii"
            states = {p.name: PackageState(version=p.version.replace("*", "1"), status=status) for p in packages}
            return _with(snapshot, "packages", states)
        case File(path=path, content=content, mode=mode):
            sha256 = hashlib.sha256(content.encode()).hexdigest()
            return _with(snapshot, "files", {path: FileState(type="file", mode=mode, owner="root", sha256=sha256)})
        case Directory(path=path, mode=mode):
            return _with(snapshot, "files", {path: FileState(type="directory", mode=mode, owner="root")})
        case Unit(unit=unit, enabled=enabled, running=running):
            state = UnitState(enabled="enabled" if enabled else "disabled", active="active" if running else "inactive")
            return _with(snapshot, "units", {unit: state})
        case BootEntry(release=release):
            return snapshot.model_copy(update={"default_kernel": release})
        case Derived(name=name, outputs=outputs):
            made = {path: FileState(type="file", mode="644", owner="root", sha256="0" * 64) for path in outputs}
            print_ = hashlib.sha256(name.encode()).hexdigest()[:16]
            snapshot = _with(_with(snapshot, "files", made), "prints", {name: print_})
            return _with(snapshot, "stamps", {name: f"{desired(wanted, resource)}-{print_}"})
        case Gate(name=name):
            return _with(snapshot, "gates", {name: GateState(holds=True)})


def _with(snapshot: Snapshot, field: str, states: dict[str, Any]) -> Snapshot:
    return snapshot.model_copy(update={field: {**getattr(snapshot, field), **states}})


def noted(wanted: Plan, step: str, boot_id: str = "boot-0", **fields: Any) -> LedgerEntry:
    given = {
        "at": "2026-01-01T00:00:00Z", "run": "run-1", "node": "n1", "machine_id": "m1", "boot_id": boot_id,
        "plan": wanted.digest, "step": step,
    }  # fmt: skip
    return LedgerEntry.model_validate({**given, **fields})
