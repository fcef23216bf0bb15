"""Whose packages a plan needs beyond the distribution's own, and whether the node will know where they are.

A vendor's repository comes from the inventory (a role's `key`) or is on the node already. The second only the node's
own archive can tell: its first reading asks what is offered.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from provision.catalog import VendorRepository, find_repository, load
from provision.model import Frozen, NodeSpec, Packages, Plan, Repository, Snapshot
from provision.planning.repository import PAGE
from provision.planning.role import NoPlan

SEVERAL = 3
"""Packages that are named where a sentence is about many."""


class NoRepository(NoPlan):
    """A role's packages are nowhere: neither does the inventory declare their repository nor does the node know one."""


class Need(Frozen):
    """Packages of one repository that the inventory does not declare."""

    repository: str
    title: str
    roles: tuple[str, ...]
    packages: tuple[str, ...]
    variables: str
    """The role whose variables `url`, `key` and `key_fingerprints` declare the repository."""
    remedy: str
    """What to declare, with what is known of the key, in a phrase."""

    def __str__(self) -> str:
        more = f" and {len(self.packages) - SEVERAL} more" if len(self.packages) > SEVERAL else ""
        return f"{self.title}, for {' and '.join(self.roles)} ({', '.join(self.packages[:SEVERAL])}{more})"


def needs(plan: Plan, spec: NodeSpec) -> tuple[Need, ...]:
    """What the node must know by itself: the repositories of the plan's packages that the plan does not bring."""
    declared = {e.resource.carries for e in plan.entries if isinstance(e.resource, Repository)}
    wanted: dict[str, tuple[list[str], list[str]]] = {}
    for entry in plan.entries:
        if not isinstance(entry.resource, Packages):
            continue
        for package in entry.resource.packages:
            if package.repository != "archive" and package.repository not in declared:
                roles, packages = wanted.setdefault(package.repository, ([], []))
                roles.append(entry.role)
                packages.append(package.name)
    return tuple(
        _need(repository, tuple(dict.fromkeys(roles)), tuple(dict.fromkeys(packages)), spec)
        for repository, (roles, packages) in wanted.items()
    )


def lacking(needed: tuple[Need, ...], reading: Snapshot) -> tuple[Need, ...]:
    """Those of which the node's archive, asked for them, offers a package not at all."""
    return tuple(need for need in needed if any(_is_unknown(name, reading) for name in need.packages))


def refuse(missing: tuple[Need, ...]) -> NoRepository:
    """One paragraph: what is nowhere, and what to declare or to do."""
    told = "; ".join(f"{need}: {need.remedy}" for need in missing)
    return NoRepository(
        f"the node knows no repository with these packages, and the inventory declares none: {told}. Or add the "
        f"repository on the node by hand, and `apt-get update`. {PAGE} tells where a key is from and how it is checked"
    )


def _is_unknown(name: str, reading: Snapshot) -> bool:
    """What a reading was not asked about it does not know."""
    asked = any(fnmatchcase(name, glob) for glob in reading.asked)
    return asked and reading.offers is not None and name not in reading.offers


def _need(repository: str, roles: tuple[str, ...], packages: tuple[str, ...], spec: NodeSpec) -> Need:
    rows = load().repositories
    known = find_repository(rows, repository, spec.os, spec.arch)
    row = known or next(one for one in rows if one.repository == repository)
    about, remedy = _way(row, spec, known=known is not None)
    return Need(
        repository=repository,
        title=f"{row.title}{about}",
        roles=roles,
        packages=packages,
        variables=row.role,
        remedy=remedy,
    )


def _way(row: VendorRepository, spec: NodeSpec, *, known: bool) -> tuple[str, str]:
    """What is to be said of it beside its name, and what to do."""
    if spec.roles is not None and row.role not in spec.roles:
        return f" (which {row.role} adds, and `roles` leaves that out)", f"put {row.role} into `roles`"
    if not known:
        return f" (none is known for {spec.os} on {spec.arch})", _declare(row.role)
    sure = "" if row.verified else ", not read at its owner"
    return "", _declare(row.role, row.key, row.fingerprints, sure)


def _declare(role: str, key: str = "", fingerprints: tuple[str, ...] = (), sure: str = "") -> str:
    if not key:
        return f"declare {role}_key with {role}_url and {role}_key_fingerprints"
    if not fingerprints:
        return f"declare {role}_key, the text of {key}, with {role}_key_fingerprints, which no source tells"
    return f"declare {role}_key, the text of {key} (fingerprint {', '.join(fingerprints)}{sure})"
