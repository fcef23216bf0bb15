"""Every claim of a plan beside what was read on the node and what its verification found. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

from provision.model import (
    Alternatives,
    Archive,
    BootEntry,
    Derived,
    Directory,
    Entry,
    File,
    Fragment,
    Frozen,
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
from provision.planning import Planned
from provision.platforms.gpus import fields
from provision.platforms.settings import files_of
from provision.steps import difference, limit_of
from provision.verify.summary import Check

Describe: TypeAlias = Callable[[Resource], str]
"""A resource in one line, without its name."""

NOT_APPLICABLE = "not applicable: "
"""How the evidence of such a check begins; the rest of it is the limit."""

Reading = Literal["as declared", "differs", "not applicable", "not asked", "not read"]
Verified = Literal["holds", "fails", "not applicable", "skipped", "unknown", "not verified"]


class Claim(Frozen):
    """One thing that should be so. `reading` is what a probe found, `verified` what testinfra found: never mixed."""

    name: str
    role: str
    kind: str
    should: str = ""
    reading: Reading = "not read"
    read: str = ""
    """What the probe saw; where it differs, what differs."""
    stamp: str = ""
    limit: str = ""
    verified: Verified = "not verified"
    evidence: str = ""


def claims(planned: Planned, after: Snapshot | None, checks: Iterable[Check], describe: Describe) -> tuple[Claim, ...]:
    """Every resource of a plan, in its order.

    Args:
        planned: what was declared.
        after: the node as it was read at the end of the run, if it was.
        checks: the verification of this node, if there was one.
        describe: a resource in words.
    """
    found = {check.resource: check for check in checks}
    return tuple(_claim(planned.plan, entry, after, found.get(entry.name), describe) for entry in planned.plan.entries)


def own_checks(planned: Planned | None, checks: Iterable[Check]) -> tuple[Check, ...]:
    """What was verified beyond the plan's resources: that the node answers, and the roles' own tests."""
    names = set(planned.plan.by_name) if planned else set()
    return tuple(check for check in checks if check.resource not in names)


def counted(words: Iterable[str]) -> dict[str, int]:
    """How many of each, in the order in which they first come."""
    return dict(Counter(words))


def _claim(plan: Plan, entry: Entry, after: Snapshot | None, check: Check | None, describe: Describe) -> Claim:
    resource = entry.resource
    limit = (limit_of(resource, after) if after else None) or _limit_told(check)
    reading, read = _reading(plan, resource, after)
    stamp = after.stamps.get(resource.name, "") if after and isinstance(resource, Derived) else ""
    return Claim(
        name=resource.name,
        role=entry.role,
        kind=resource.kind,
        should=describe(resource),
        reading=reading,
        read=read,
        stamp=stamp,
        limit=limit,
        verified=check.outcome if check else "not verified",
        evidence=check.evidence.removeprefix(NOT_APPLICABLE) if check else "",
    )


def _limit_told(check: Check | None) -> str:
    if check is None or check.outcome != "not applicable":
        return ""
    return check.evidence.removeprefix(NOT_APPLICABLE)


def _reading(plan: Plan, resource: Resource, after: Snapshot | None) -> tuple[Reading, str]:
    if after is None:
        return "not read", ""
    if limit_of(resource, after) is not None:
        return "not applicable", seen(resource, after)
    if isinstance(resource, Gate) and resource.precondition:
        return "not asked", "asked only before a change"
    differs = difference(plan, resource, after)
    return ("differs", differs) if differs else ("as declared", seen(resource, after))


def seen(resource: Resource, snapshot: Snapshot) -> str:
    """What a snapshot tells about a resource, on one line; empty where it tells nothing."""
    match resource:
        case Packages(packages=packages):
            known = {p.name: snapshot.packages[p.name] for p in packages if p.name in snapshot.packages}
            return ", ".join(f"{name} {package.version} ({package.status})" for name, package in known.items())
        case Directory(path=path):
            return _file(path, snapshot)
        case File() | Repository() | KernelArguments() | Module() | Sysctl() | Archive():
            return ", ".join(text for file in files_of(resource) if (text := _file(file.path, snapshot)))
        case GpuSetting():
            read = [(address, told.get(fields(resource)[0], "")) for address, told in snapshot.gpu_settings.items()]
            return ", ".join(f"{address} {value}" for address, value in read)
        case Symlink(path=path):
            link = snapshot.files.get(path)
            return f"{link.type} {link.target}".strip() if link else ""
        case Alternatives(alternative=alternative):
            chosen = snapshot.alternatives.get(alternative)
            return f"{chosen.path}, {'by hand' if chosen.manual else 'by the packages'}" if chosen else ""
        case Fragment(name=name):
            return ", ".join(f"{key}={value}" for key, value in snapshot.fragments.get(name, {}).items())
        case Group(group=group):
            return f"group {group} is there" if group in snapshot.groups else ""
        case User(user=user):
            account = snapshot.users.get(user)
            return f"{account.shell}, in {', '.join(sorted(account.groups))}" if account else ""
        case Unit(unit=unit):
            running = snapshot.units.get(unit)
            return f"{running.enabled}, {running.active}" if running else ""
        case BootEntry():
            return f"{snapshot.default_kernel} starts by default" if snapshot.default_kernel else ""
        case Derived(outputs=outputs):
            return ", ".join(f"{path} is there" for path in outputs if path in snapshot.files)
        case Gate(name=name) | Manual(name=name):
            gate = snapshot.gates.get(name)
            return gate.evidence if gate else ""


def _file(path: str, snapshot: Snapshot) -> str:
    state = snapshot.files.get(path)
    return f"{state.type} {state.mode} {state.owner} {state.sha256[:16]}".strip() if state else ""
