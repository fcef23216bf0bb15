"""The search for one fitting set: resolvelib over candidates and rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, Resolver

from provision.stack.candidates import COMPONENTS, Candidate, Component, Facts, build_outlook
from provision.stack.rules import Rule

Found = dict[Component, Candidate]


@dataclass(frozen=True)
class _Requirement:
    """A component is needed; with a rule, one that this rule allows beside the candidate `given`."""

    component: Component
    rule: Rule | None = None
    given: Candidate | None = None

    def allows(self, facts: Facts, candidate: Candidate) -> bool:
        return self.rule is None or self.rule.holds(facts, self.given or candidate, candidate)


class _Provider(AbstractProvider[_Requirement, Candidate, Component]):
    def __init__(self, facts: Facts, domains: Mapping[Component, Sequence[Candidate]], rules: Sequence[Rule]) -> None:
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
        modules = [need.given for need in needed if need.given is not None and need.given.component == "modules"]
        return _likeliest_first(self._facts, allowed, modules[0]) if identifier == "kernel" and modules else allowed

    def is_satisfied_by(self, requirement: _Requirement, candidate: Candidate) -> bool:
        return requirement.allows(self._facts, candidate)

    def get_dependencies(self, candidate: Candidate) -> list[_Requirement]:
        return [
            _Requirement(rule.components[1], rule, candidate)
            for rule in self._rules
            if rule.components[0] == candidate.component != rule.components[1]
        ]


def search(facts: Facts, domains: Mapping[Component, Sequence[Candidate]], rules: Sequence[Rule]) -> Found | None:
    """The best set that breaks none of the rules, or None when there is no set at all."""
    needed = [_Requirement(component) for component in COMPONENTS]
    needed += [_Requirement(rule.components[0], rule) for rule in rules if len(set(rule.components)) == 1]
    resolver = Resolver(_Provider(facts, domains, rules), BaseReporter[_Requirement, Candidate, Component]())
    try:
        return dict(resolver.resolve(needed).mapping)
    except ResolutionImpossible:
        return None


def _likeliest_first(facts: Facts, kernels: Sequence[Candidate], modules: Candidate) -> list[Candidate]:
    """Within one page size: seen to build, then untried, then doubtful; the newest of each first."""
    sizes = list(dict.fromkeys(_page_size(kernel) for kernel in kernels))
    return sorted(kernels, key=lambda k: (sizes.index(_page_size(k)), build_outlook(facts, modules, k)[0]))


def _page_size(kernel: Candidate) -> int:
    assert kernel.row is not None
    return kernel.row.page_size
