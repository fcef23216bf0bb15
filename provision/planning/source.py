"""Whose packages a plan needs beyond the distribution's own, and whether the node will know where they are.

A vendor's repository comes from the inventory (a role's `key`) or is on the node already. The second only the node's
own archive can tell: its first reading asks what is offered.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from provision.catalog import find_repository, load
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
    key: str
    """What is known of its key, in a phrase."""

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
    told = "; ".join(f"{need}: declare {need.variables}_key{need.key}" for need in missing)
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
    return Need(
        repository=repository,
        title=row.title if known else f"{row.title} (none is known for {spec.os} on {spec.arch})",
        roles=roles,
        packages=packages,
        variables=row.role,
        key=" ".join(_known_key(row.key, row.fingerprints, row.verified, row.role)) if known else "",
    )


def _known_key(key: str, fingerprints: tuple[str, ...], verified: bool, role: str) -> Iterator[str]:
    if not key:
        yield f" with {role}_url and {role}_key_fingerprints"
    elif not fingerprints:
        yield f", the text of {key}, with {role}_key_fingerprints, which no source tells"
    else:
        sure = "" if verified else ", not read at its owner"
        yield f", the text of {key} (fingerprint {', '.join(fingerprints)}{sure})"
