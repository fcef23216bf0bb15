"""A vendor's repository, as a role's variables `url`, `key` and `key_fingerprints` tell of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

from pydantic import ValidationError

from provision.model import Frozen, Repository, SigningKey, refusals
from provision.planning.role import NoPlan

Made = TypeVar("Made", bound=Frozen)


class Vendor(Protocol):
    """A role with these variables."""

    @property
    def url(self) -> str: ...
    @property
    def key(self) -> str | None: ...
    @property
    def key_fingerprints(self) -> tuple[str, ...]: ...


def vendor_repository(
    role: str, name: str, given: Vendor, suite: str, places: Mapping[str, str]
) -> Iterator[Repository]:
    """The repository under a name of its own; without a key none is made, and the node must know it already.

    Args:
        role: whose variables they are; its name stands before theirs.
        places: what the words in braces in the URL stand for.

    Raises: NoPlan, naming the variable that cannot be right.
    """
    armour = given.key
    if armour is None:
        return
    url = given.url
    for place, value in places.items():
        url = url.replace(f"{{{place}}}", value)
    signer = _made(
        f"{role}_key is not the key of {role}_key_fingerprints",
        lambda: SigningKey(armour=armour, fingerprints=given.key_fingerprints),
    )
    yield _made(f"{role}_url", lambda: Repository(name=name, uris=(url,), suites=(suite,), key=signer))


def _made(about: str, make: Callable[[], Made]) -> Made:
    try:
        return make()
    except ValidationError as error:
        raise NoPlan(f"{about}: {'; '.join(refusals(error))}") from error
