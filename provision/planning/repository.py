"""A vendor's repository, as a role's variables `url`, `key` and `key_fingerprints` tell of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

from pydantic import ValidationError

from provision.catalog import PackageSource, find_repository, load
from provision.model import Frozen, Repository, SigningKey, refusals
from provision.planning.role import Context, NoPlan

Made = TypeVar("Made", bound=Frozen)

PAGE = "docs/repositories.md"
"""Where a person reads which key is whose, and where to put it."""


class Vendor(Protocol):
    """A role with these variables. What it does not say is as the catalog has it for the node's system."""

    @property
    def url(self) -> str | None: ...
    @property
    def key(self) -> str | None: ...
    @property
    def key_fingerprints(self) -> tuple[str, ...] | None: ...


def vendor_repository(
    ctx: Context, repository: PackageSource, name: str, given: Vendor, places: Mapping[str, str]
) -> Iterator[Repository]:
    """The repository under a name of its own; without a key none is made, and the node must know it already.

    Args:
        repository: whose packages it has.
        name: of the resource.
        given: the role whose variables declare it.
        places: what the words in braces in the URL stand for.

    Raises: NoPlan, naming the variable that cannot be right.
    """
    armour = given.key
    if armour is None:
        return
    row = find_repository(load().repositories, repository, ctx.spec.os, ctx.spec.arch)
    role, suite = _of_any_system(repository)
    url = given.url or (row.url if row else "")
    if not url:
        raise NoPlan(
            f"{role}_url is missing: where this repository is for {ctx.spec.os} on {ctx.spec.arch} is not known"
        )
    fingerprints = given.key_fingerprints if given.key_fingerprints is not None else row.fingerprints if row else ()
    if given.key_fingerprints is None and not fingerprints:
        raise NoPlan(
            f"{role}_key_fingerprints is missing: no source tells the fingerprint of this key. Ask its owner for it, "
            f"and declare it beside the key ({PAGE})"
        )
    for place, value in places.items():
        url = url.replace(f"{{{place}}}", value)
    signer = _made(
        f"{role}_key is not the key of {role}_key_fingerprints",
        lambda: SigningKey(armour=armour, fingerprints=fingerprints),
    )
    yield _made(
        f"{role}_url",
        lambda: Repository(name=name, uris=(url,), suites=(suite,), key=signer, carries=repository),
    )


def _of_any_system(repository: PackageSource) -> tuple[str, str]:
    """The role whose variables declare it, and how sources.list(5) names its only suite."""
    return next((row.role, row.suite) for row in load().repositories if row.repository == repository)


def _made(about: str, make: Callable[[], Made]) -> Made:
    try:
        return make()
    except ValidationError as error:
        raise NoPlan(f"{about}: {'; '.join(refusals(error))}") from error
