"""What should be: the roles' resources in order, cut into boots."""

from __future__ import annotations

from functools import cached_property
from typing import Self

from pydantic import model_validator

from provision.model.base import Frozen, canonical, digest
from provision.model.resource import Derived, Resource


class Entry(Frozen):
    role: str
    resource: Resource

    @property
    def name(self) -> str:
        return self.resource.name


class Plan(Frozen):
    boots: tuple[tuple[Entry, ...], ...]

    @model_validator(mode="after")
    def _names_are_unique_and_inputs_stand_before(self) -> Self:
        seen: set[str] = set()
        for entry in self.entries:
            if entry.name in seen:
                raise ValueError(f"two resources are named {entry.name!r}")
            if isinstance(entry.resource, Derived):
                missing = [i for i in entry.resource.inputs if not i.startswith("/") and i not in seen]
                if missing:
                    raise ValueError(
                        f"{entry.name!r} derives from {', '.join(missing)}, which does not stand before it"
                    )
            seen.add(entry.name)
        return self

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(entry for boot in self.boots for entry in boot)

    @cached_property
    def by_name(self) -> dict[str, Entry]:
        return {entry.name: entry for entry in self.entries}

    @cached_property
    def boot_of(self) -> dict[str, int]:
        """Name of a resource -> number of the boot that it stands in."""
        return {entry.name: number for number, boot in enumerate(self.boots) for entry in boot}

    @cached_property
    def digest(self) -> str:
        return digest(canonical(self))
