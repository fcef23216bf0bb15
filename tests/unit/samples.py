"""Small plans, and machines that are as a plan wants them. Versions are artificial on purpose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provision.model import (
    Alternatives,
    AlternativeState,
    Archive,
    BootEntry,
    Derived,
    Directory,
    Entry,
    File,
    FileState,
    Fragment,
    Gate,
    GateState,
    GpuSetting,
    Group,
    KernelArgument,
    KernelArguments,
    LedgerEntry,
    Manual,
    Module,
    ModuleOption,
    Packages,
    PackageState,
    Plan,
    Repository,
    Resource,
    Setting,
    SigningKey,
    Snapshot,
    Symlink,
    Sysctl,
    SysctlSetting,
    Unit,
    UnitState,
    User,
    UserState,
)
from provision.model.machine import LoadedModule
from provision.model.openpgp import fingerprints
from provision.platforms import boot, fragment, gpus
from provision.platforms.settings import files_of
from provision.steps import Due, desired
from provision.steps.reach import within

VERSION = "1.2.3-artificial"
RELEASE = "1.2.3-artificial-64k"
GPU = "00000000:06:00.0"
OLD_RELEASE = "1.0.0-artificial"


KEYS = Path(__file__).parents[1] / "lab" / "archive"


def signing_key(name: str = "vendor") -> SigningKey:
    armour = (KEYS / f"{name}.asc").read_text()
    return SigningKey(armour=armour, fingerprints=fingerprints(armour))


def arguments(**words: str | None) -> KernelArguments:
    """`a_b="1"` -> `a_b=1`; None -> a word alone."""
    made = tuple(KernelArgument(name=name, value=value, source="a guide") for name, value in words.items())
    return KernelArguments(name="arguments", arguments=made, needs=())


REPOSITORY = Repository(
    name="vendor", uris=("https://example.org/apt",), suites=("stable",), components=("main",), key=signing_key()
)
ALTERNATIVES = Alternatives(name="choice", alternative="tool", link="/usr/bin/tool", path="/opt/tool")
SHELL = Fragment(name="defaults", path="/etc/default/x", format="shell", settings=(Setting(key=("KEY",), value="a b"),))
JSON = Fragment(
    name="daemon-settings",
    path="/etc/x.json",
    format="json",
    settings=(Setting(key=("a", "b.c"), value={"d": [1, True]}), Setting(key=("e",), value=None)),
)
LOADED = Module(name="there", module="a-b", loaded=True, options=(ModuleOption(name="o", value="1"),))
SETTINGS: tuple[Resource, ...] = (
    REPOSITORY,
    Symlink(name="link", path="/srv/it's", target="../some where"),
    ALTERNATIVES,
    SHELL,
    JSON,
    arguments(quiet=None, init_on_alloc="0"),
    LOADED,
    Module(name="kept-out", module="rival", loaded=False, options=(ModuleOption(name="modeset", value="0"),)),
    Module(name="tuned", module="own", options=(ModuleOption(name="a", value="1;2"),), boot_scoped=True),
    Sysctl(name="network", settings=(SysctlSetting(key="net.ipv4.tcp_rmem", value="1 2 3"),)),
    Group(name="people", group="people", system=True),
    User(name="account", user="daemon-user", system=True, groups=("people", "video"), shell="/usr/sbin/nologin"),
    Archive(name="tool", url="https://example.org/tool-1.tar.gz", sha256="5" * 64, to="/opt/it's a tool", strip=1),
    GpuSetting(name="watts", setting="power-limit", value="600"),
    GpuSetting(name="one-context", setting="compute-mode", value="exclusive-process"),
    Manual(name="enrolled", title="the key is enrolled", instruction="Enrol it at the console.", test="true # it's"),
)
"""One or more of every kind that is not a file, package, unit, or consequence."""


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
        case File() | Repository() | Archive():
            return _written(resource, snapshot)
        case GpuSetting(value=value):
            told = snapshot.gpu_settings.get(GPU, {}) | dict.fromkeys(gpus.fields(resource), value)
            return _with(_written(resource, snapshot), "gpu_settings", {GPU: told})
        case KernelArguments(arguments=arguments):
            words = " ".join([snapshot.cmdline, *(argument.word for argument in arguments)])
            return _written(resource, snapshot).model_copy(update={"cmdline": words})
        case Module(module=module, loaded=loaded):
            there = {module.replace("-", "_"): LoadedModule()} if loaded else {}
            return _with(_written(resource, snapshot), "modules", there)
        case Sysctl(settings=values):
            return _with(_written(resource, snapshot), "sysctls", {value.key: value.value for value in values})
        case Symlink(path=path, target=target):
            return _with(snapshot, "files", {path: FileState(type="symlink", target=target)})
        case Alternatives(alternative=alternative, link=link, path=path):
            snapshot = _with(snapshot, "alternatives", {alternative: AlternativeState(manual=True, path=path)})
            target = f"/etc/alternatives/{alternative}"
            return _with(snapshot, "files", {link: FileState(type="symlink", target=target)})
        case Fragment(name=name, format=form, settings=values):
            told = {fragment.key(v, form): fragment.text(v) if form == "shell" else json.dumps(v.value) for v in values}
            return _with(snapshot, "fragments", {name: told})
        case Group(group=group):
            return snapshot.model_copy(update={"groups": snapshot.groups | {group}})
        case User(user=user, groups=groups, shell=shell):
            return _with(snapshot, "users", {user: UserState(shell=shell or "/bin/sh", groups=frozenset(groups))})
        case Directory(path=path, mode=mode):
            return _with(snapshot, "files", {path: FileState(type="directory", mode=mode, owner="root")})
        case Unit(unit=unit, enabled=enabled, running=running):
            state = UnitState(enabled="enabled" if enabled else "disabled", active="active" if running else "inactive")
            return _with(snapshot, "units", {unit: state})
        case BootEntry(release=release):
            files = {path: state for path, state in snapshot.files.items() if path != boot.ARGUMENTS}
            return _written(resource, snapshot.model_copy(update={"default_kernel": release, "files": files}))
        case Derived(name=name, outputs=outputs):
            made = {path: FileState(type="file", mode="644", owner="root", sha256="0" * 64) for path in outputs}
            print_ = hashlib.sha256(name.encode()).hexdigest()[:16]
            snapshot = _with(_with(snapshot, "files", made), "prints", {name: print_})
            return _with(snapshot, "stamps", {name: f"{desired(wanted, resource)}-{print_}"})
        case Gate(name=name) | Manual(name=name):
            return _with(snapshot, "gates", {name: GateState(holds=True)})


def wholly(wanted: Plan, name: str) -> Due:
    """A resource of which everything differs: its change reaches as far as it can."""
    return Due(entry=wanted.by_name[name], why="differs", reach=within(wanted, name, "kernel"))


def marked(snapshot: Snapshot, name: str) -> Snapshot:
    """The machine when a change of this name that awaits a reboot has begun."""
    before = snapshot.reboot_for if snapshot.reboot_due == snapshot.boot_id else ()
    return snapshot.model_copy(update={"reboot_due": snapshot.boot_id, "reboot_for": (*before, name)})


def _written(resource: Resource, snapshot: Snapshot) -> Snapshot:
    states = {
        file.path: FileState(
            type="file", mode=file.mode, owner="root", sha256=hashlib.sha256(file.content.encode()).hexdigest()
        )
        for file in files_of(resource)
    }
    return _with(snapshot, "files", states)


def _with(snapshot: Snapshot, field: str, states: dict[str, Any]) -> Snapshot:
    return snapshot.model_copy(update={field: {**getattr(snapshot, field), **states}})


def noted(wanted: Plan, step: str, boot_id: str = "boot-0", **fields: Any) -> LedgerEntry:
    given = {
        "at": "2026-01-01T00:00:00Z", "run": "run-1", "node": "n1", "machine_id": "m1", "boot_id": boot_id,
        "plan": wanted.digest, "step": step,
    }  # fmt: skip
    return LedgerEntry.model_validate({**given, **fields})
