"""What differs about one resource, looked at alone. Pure."""

from __future__ import annotations

import hashlib
from fnmatch import fnmatchcase

from provision.model import (
    Alternatives,
    Archive,
    BootEntry,
    Derived,
    Directory,
    File,
    FileState,
    Fragment,
    Gate,
    GpuSetting,
    Group,
    KernelArguments,
    Manual,
    Module,
    Packages,
    Plan,
    Repository,
    Resource,
    Snapshot,
    Symlink,
    Sysctl,
    Unit,
    User,
)
from provision.platforms.settings import files_of
from provision.platforms.units import units_of
from provision.steps import differences
from provision.steps.stamp import desired

ENABLED = frozenset({"enabled", "enabled-runtime"})
UNCHANGING = frozenset({"static", "indirect", "generated", "transient", "alias"})
"""States of a unit that can neither be enabled nor disabled (systemctl(1), is-enabled)."""


def difference(plan: Plan, resource: Resource, snapshot: Snapshot) -> str:
    """What differs on the node about this one resource, looked at alone; empty when nothing does."""
    match resource:
        case Packages():
            return _packages(resource, snapshot)
        case File() | Repository():
            return _files(resource, snapshot)
        case Directory(path=path, mode=mode):
            return _file(path, FileState(type="directory", mode=mode, owner="root"), snapshot)
        case Unit():
            return _unit(resource, snapshot)
        case BootEntry():
            return differences.boot_entry(resource, snapshot) or _files(resource, snapshot)
        case Derived():
            return _derived(plan, resource, snapshot)
        case Gate(name=name, expect=expect) | Manual(name=name, title=expect):
            state = snapshot.gates.get(name)
            if state is not None and state.holds:
                return ""
            return f"not so: {expect}" + (f" ({state.evidence})" if state and state.evidence else "")
        case Symlink():
            return differences.symlink(resource, snapshot)
        case Alternatives():
            return differences.alternatives(resource, snapshot)
        case Fragment():
            return differences.fragment(resource, snapshot)
        case Archive():
            return differences.archive(resource, snapshot)
        case GpuSetting():
            return _files(resource, snapshot) or differences.gpu_setting(resource, snapshot)
        case Group() | User():
            return differences.account(resource, snapshot)
        case KernelArguments() | Module() | Sysctl():
            return _files(resource, snapshot) or differences.running(resource, snapshot)


def _packages(resource: Packages, snapshot: Snapshot) -> str:
    told = []
    for package in resource.packages:
        state = snapshot.packages.get(package.name)
        if state is None or not state.installed:
            told.append(f"{package.name} is not installed" if state is None else f"{package.name} is {state.status}")
        elif not fnmatchcase(state.version, package.version):
            told.append(f"{package.name} is {state.version}, not {package.version}")
        elif resource.hold and not state.held:
            told.append(f"{package.name} is not held")
    told += [f"{name} is not held" for name in _loose_metas(resource, snapshot)]
    return "; ".join(told)


def _loose_metas(resource: Packages, snapshot: Snapshot) -> list[str]:
    own = {package.name for package in resource.packages}
    return [
        name
        for name, state in snapshot.packages.items()
        if state.installed
        and not state.held
        and name not in own
        and any(fnmatchcase(name, meta) for meta in resource.metas)
    ]


def _files(resource: Resource, snapshot: Snapshot) -> str:
    told = [_file(file.path, _as_state(file), snapshot) for file in files_of(resource)]
    return "; ".join(text for text in told if text) or _unread(resource, snapshot)


def _unread(resource: Resource, snapshot: Snapshot) -> str:
    """Files of a unit that are there, and not in force: a run was cut before systemd read them, or a hand forgot it."""
    unread = [unit for unit in units_of(resource) if unit in snapshot.unread_units]
    return f"systemd has not read the files of {', '.join(unread)} as they are now" if unread else ""


def _as_state(file: File) -> FileState:
    sha256 = hashlib.sha256(file.content.encode()).hexdigest()
    return FileState(type="file", mode=file.mode, owner="root", sha256=sha256)


def _file(path: str, wanted: FileState, snapshot: Snapshot) -> str:
    state = snapshot.files.get(path)
    if state is None:
        return f"{path} is {snapshot.hidden.get(f'file {path}', 'missing')}"
    if state.type != wanted.type:
        return f"{path} is a {state.type}"
    told = []
    if state.sha256 != wanted.sha256:
        told.append("has another content")
    if state.mode.lstrip("0") != wanted.mode.lstrip("0"):
        told.append(f"has mode {state.mode}, not {wanted.mode}")
    if state.owner != wanted.owner:
        told.append(f"belongs to {state.owner}, not {wanted.owner}")
    return f"{path} {' and '.join(told)}" if told else ""


def _unit(resource: Unit, snapshot: Snapshot) -> str:
    state = snapshot.units.get(resource.unit)
    if state is None:
        return f"{resource.unit} does not exist" if resource.enabled or resource.running else ""
    told = []
    if state.enabled not in UNCHANGING and (state.enabled in ENABLED) != resource.enabled:
        told.append(f"is {state.enabled or 'not there'}")
    if (state.active == "active") != resource.running:
        told.append(f"is {state.active}")
    return f"{resource.unit} {' and '.join(told)}" if told else _unread(resource, snapshot)


def _derived(plan: Plan, derived: Derived, snapshot: Snapshot) -> str:
    stamp = snapshot.stamps.get(derived.name)
    if stamp is None:
        return "it was not made yet, or not finished"
    made_of, _, made_from = stamp.partition("-")
    if made_of != desired(plan, derived):
        return "its inputs should be others than it was made of"
    if made_from != snapshot.prints.get(derived.name):
        return "its inputs on the node are others than it was made of"
    missing = [path for path in derived.outputs if path not in snapshot.files]
    return f"{', '.join(missing)} is missing" if missing else ""
