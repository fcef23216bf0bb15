"""The form of a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from provision.model import Reason
from provision.stack.facts import Candidate, Component, Domains, Facts

Predicate = Callable[[Facts, Candidate, Candidate], bool]
Evidence = Callable[[Facts, Domains], Iterable[Reason]]


def nothing(_facts: Facts, _domains: Domains) -> Iterable[Reason]:
    """The rule's own statement is all there is to say."""
    return ()


@dataclass(frozen=True)
class Rule:
    """`holds(facts, first, second)`; a rule over one component is given the same candidate twice.

    The statement, and the source it rests on, stand in the catalog (`rules.yaml`) under the same id.
    """

    id: str
    components: tuple[Component, Component]
    holds: Predicate
    evidence: Evidence = nothing
    """For a conflict: the rows against which the candidates fail, beyond the rule's own statement."""

    @property
    def alone(self) -> bool:
        """Is it about one component?"""
        return self.components[0] == self.components[1]


def about(
    component: Component, rule_id: str, holds: Callable[[Facts, Candidate], bool], evidence: Evidence = nothing
) -> Rule:
    """A rule over one component."""
    return Rule(rule_id, (component, component), lambda facts, candidate, _: holds(facts, candidate), evidence)
