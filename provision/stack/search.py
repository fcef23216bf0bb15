"""The search for one fitting set: resolvelib over candidates and rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, Resolver

from provision.stack.facts import COMPONENTS, Candidate, Component, Domains, Facts, Found
from provision.stack.outlook import build_outlook, doca_outlook, flavour
from provision.stack.rule import Rule

ROUNDS = 10_000
"""A bound that no search comes near: after `_supported` there is hardly anything left to go back on."""


@dataclass(frozen=True)
class _Requirement:
    """A component is needed; with a rule, one that this rule allows beside the candidate `given`."""

    component: Component
    rule: Rule | None = None
    given: Candidate | None = None

    def allows(self, facts: Facts, candidate: Candidate) -> bool:
        return self.rule is None or self.rule.holds(facts, self.given or candidate, candidate)


class _Provider(AbstractProvider[_Requirement, Candidate, Component]):
    def __init__(self, facts: Facts, domains: Domains, rules: Sequence[Rule]) -> None:
        self._facts = facts
        self._domains = domains
        self._rules = rules

    def identify(self, requirement_or_candidate: _Requirement | Candidate) -> Component:
        return requirement_or_candidate.component

    def get_preference(self, identifier: Component, *_: Any, **__: Any) -> int:
        return COMPONENTS.index(identifier)

    def find_matches(
        self,
        identifier: Component,
        requirements: Mapping[Component, Iterator[_Requirement]],
        incompatibilities: Mapping[Component, Iterator[Candidate]],
    ) -> Iterable[Candidate]:
        needed = list(requirements[identifier])
        refused = set(incompatibilities[identifier])
        allowed = [
            candidate
            for candidate in self._domains[identifier]
            if candidate not in refused and all(need.allows(self._facts, candidate) for need in needed)
        ]
        given = {need.given.component: need.given for need in needed if need.given is not None}
        return _likeliest_first(self._facts, identifier, allowed, given)

    def is_satisfied_by(self, requirement: _Requirement, candidate: Candidate) -> bool:
        return requirement.allows(self._facts, candidate)

    def get_dependencies(self, candidate: Candidate) -> list[_Requirement]:
        return [
            _Requirement(rule.components[1], rule, candidate)
            for rule in self._rules
            if rule.components[0] == candidate.component
        ]


def search(facts: Facts, domains: Domains, rules: Sequence[Rule]) -> Found | None:
    """The best set that breaks none of the rules, or None when there is no set at all."""
    pairs = [rule for rule in rules if not rule.alone]
    left = _supported(facts, _allowed(facts, domains, rules), pairs)
    if not all(left.values()):
        return None
    resolver = Resolver(_Provider(facts, left, pairs), BaseReporter[_Requirement, Candidate, Component]())
    try:
        return dict(resolver.resolve([_Requirement(c) for c in facts.components], max_rounds=ROUNDS).mapping)
    except ResolutionImpossible:
        return None


def _allowed(facts: Facts, domains: Domains, rules: Sequence[Rule]) -> Domains:
    """The candidates that no rule over their component alone refuses."""
    return {
        component: tuple(c for c in domain if all(rule.holds(facts, c, c) for rule in _alone(rules, component)))
        for component, domain in domains.items()
    }


def _supported(facts: Facts, domains: Domains, pairs: Sequence[Rule]) -> Domains:
    """The candidates beside which every rule leaves a candidate of the other component (arc consistency).

    The rules form almost a tree, so this finds nearly every clash before anything is searched.
    """
    left = dict(domains)
    while True:
        before = sum(map(len, left.values()))
        for rule in pairs:
            first, second = rule.components
            left[first] = tuple(a for a in left[first] if any(rule.holds(facts, a, b) for b in left[second]))
            left[second] = tuple(b for b in left[second] if any(rule.holds(facts, a, b) for a in left[first]))
        if sum(map(len, left.values())) == before or not all(left.values()):
            return left


def _alone(rules: Sequence[Rule], component: Component) -> list[Rule]:
    return [rule for rule in rules if rule.components == (component, component)]


def _likeliest_first(
    facts: Facts, component: Component, allowed: list[Candidate], given: Mapping[Component, Candidate]
) -> list[Candidate]:
    """What is built for a kernel: seen to build, then untried, then doubtful; the best of each as it stood."""
    if component == "kernel" and "modules" in given:
        sizes = list(dict.fromkeys(flavour(kernel).page_size for kernel in allowed))
        outlook = {kernel: build_outlook(facts, given["modules"], kernel)[0] for kernel in allowed}
        return sorted(allowed, key=lambda kernel: (sizes.index(flavour(kernel).page_size), outlook[kernel]))
    if component == "doca" and "kernel" in given:
        return sorted(allowed, key=lambda doca: doca_outlook(facts, given["kernel"], doca)[0])
    return allowed
