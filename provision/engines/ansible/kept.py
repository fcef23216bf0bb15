"""What one task of a play leaves for the next: the last reading's conclusions, as a host fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError

from provision.engines.ansible.declared import STATE
from provision.model import Derived, Frozen, Gate
from provision.steps import Due


class Kept(Frozen):
    """Conclusions of the last reading; worth something in the run and for the plan that they were drawn in."""

    run: str
    plan: str
    step: Literal["stretch", "reboot", "stop", "done"]
    boot: int = 0
    """Of a stretch."""
    now: tuple[Due, ...] = ()
    """What may be carried out before the node is read again."""
    boots: tuple[tuple[Due, ...], ...] = ()
    """All that is due, as far as it was asked for."""
    limits: dict[str, str] = Field(default_factory=dict)
    """What this node cannot hold, and the limit that says so."""

    def is_enough_for(self, boot: int) -> bool:
        """Would a new reading say the same? Nothing is carried out before the boot in which something is due."""
        return self.step == "done" or (self.step == "stretch" and self.boot >= boot)

    def why(self, name: str) -> str:
        """Why a resource is due; empty when it is not."""
        return next((one.why for due in self.boots for one in due if one.entry.name == name), "")


def kept(facts: Mapping[str, Any], run: str) -> Kept | None:
    """What an earlier task of this run left. A fact cache may hold that of another run."""
    try:
        found = Kept.model_validate(facts.get(STATE))
    except ValidationError:
        return None
    return found if found.run == run else None


def asked(stretch: Sequence[Due], roles: frozenset[str] | None) -> tuple[Due, ...]:
    """What of a boot's due items is carried out for these roles.

    Their own; whatever derives from one of these; and every gate that stands before one of these.
    """
    if roles is None:
        return tuple(stretch)
    wanted: set[str] = set()
    for one in stretch:
        resource = one.entry.resource
        causes = resource.inputs if isinstance(resource, Derived) else ()
        if one.entry.role in roles or wanted.intersection(causes):
            wanted.add(one.entry.name)
    last = max((number for number, one in enumerate(stretch) if one.entry.name in wanted), default=-1)
    return tuple(
        one
        for number, one in enumerate(stretch)
        if one.entry.name in wanted or (number < last and isinstance(one.entry.resource, Gate))
    )
