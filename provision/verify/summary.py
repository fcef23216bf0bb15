"""The result of a verification as data: one check for each node and resource, and one exit code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field

from provision.model import Frozen, StandIns

Outcome = Literal["holds", "fails", "not applicable", "skipped", "unknown"]


class Check(Frozen):
    """`resource` is a resource's name, `reached`, or a test function of the role's verify.py."""

    node: str
    role: str = ""
    resource: str
    outcome: Outcome
    seconds: float = 0.0
    evidence: str = ""
    """What was seen, what differs, or why it was not asked."""


class Summary(Frozen):
    schema_version: Literal[1] = 1
    plans: dict[str, str] = Field(default_factory=dict)
    """Node -> digest of the plan that it was verified against."""
    checks: tuple[Check, ...]
    standins: dict[str, StandIns] = Field(default_factory=dict)
    """Node -> what it has instead of real packages; only nodes that have any."""

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        every = list(parts)
        plans = {node: digest for part in every for node, digest in part.plans.items()}
        standins = {node: found for part in every for node, found in part.standins.items()}
        return cls(plans=plans, standins=standins, checks=tuple(check for part in every for check in part.checks))

    @property
    def exit_code(self) -> int:
        """0 all holds, 1 something does not, 4 nobody knows: a node was not reached, or nothing was asked."""
        outcomes = {check.outcome for check in self.checks}
        if "fails" in outcomes:
            return 1
        return 0 if "holds" in outcomes and "unknown" not in outcomes else 4
