"""No set fits: which rules clash, on what they rest, and what would work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from provision.model import Conflict, NodeSpec, Reason, Stack
from provision.stack.candidates import COMPONENTS, FAILS, Candidate, Component, Facts, build_outlook, candidates
from provision.stack.rules import Rule, rules
from provision.stack.search import search
from provision.stack.tell import archive, from_row, from_rule

SEVERAL = 4
Resolve = Callable[[NodeSpec], Stack | None]


class NoFit(Exception):
    """Nothing fits. `conflict` tells why as data, `str()` in one paragraph."""

    def __init__(self, conflict: Conflict) -> None:
        super().__init__(str(conflict))
        self.conflict = conflict


def clash(facts: Facts, resolve: Resolve) -> Conflict:
    """The smallest set of rules that cannot hold together, told with its sources.

    resolve: answers for another declaration of the same node; what would work is found by asking it.
    """
    domains = candidates(facts)
    guilty = _smallest(facts, domains, tuple(rules(facts)))
    about = [component for component in COMPONENTS if any(component in rule.components for rule in guilty)]
    empty = [component for component in COMPONENTS if not domains[component]]
    domain = [_domain(facts, component, domains[component]) for component in about or empty]
    reasons = [*(reason for rule in guilty for reason in _reasons(facts, rule, domains)), *domain]
    return Conflict(
        asked=asked(facts.spec), rules=tuple(dict.fromkeys(reasons)), nearest=tuple(_nearest(facts, guilty, resolve))
    )


def asked(spec: NodeSpec) -> str:
    """A declaration in one phrase."""
    parts = [
        f"gpu {spec.gpu}" if spec.gpu else "",
        f"driver {spec.driver}" if spec.driver else "",
        f"kernel {spec.kernel}" if spec.kernel else "",
        f"features {', '.join(spec.features)}" if spec.features else "",
    ]
    wanted = ", ".join(part for part in parts if part) or "any driver and kernel"
    return f"{wanted} on {spec.os} {spec.arch}"


def _smallest(
    facts: Facts, domains: Mapping[Component, Sequence[Candidate]], all_rules: Sequence[Rule]
) -> tuple[Rule, ...]:
    """Rules are dropped one by one as long as nothing fits without them either; what stays is the clash."""
    kept = list(all_rules)
    for rule in all_rules:
        without = [other for other in kept if other is not rule]
        if search(facts, domains, without) is None:
            kept = without
    return tuple(kept)


def _reasons(facts: Facts, rule: Rule, domains: Mapping[Component, Sequence[Candidate]]) -> Iterator[Reason]:
    if rule.id == "modules-build":
        yield from _failures(facts, domains)
        return
    yield from_rule(facts, rule.id)
    if rule.id == "gpu-first-driver":
        for gpu in facts.gpus:
            if gpu.first_open is not None:
                yield from_row(facts, f"{gpu.device} is served from {gpu.first_open} on", gpu)
    if rule.id == "gpu-last-branch":
        for last in dict.fromkeys(gpu.last_branch for gpu in facts.gpus):
            yield from_row(facts, f"the last branch for {facts.gpu_name} is {last}", facts.gpus[0])


def _failures(facts: Facts, domains: Mapping[Component, Sequence[Candidate]]) -> Iterator[Reason]:
    """The recorded failures that stand against the candidates."""
    for modules in domains["modules"]:
        for kernel in domains["kernel"]:
            outlook, pair = build_outlook(facts, modules, kernel)
            if outlook == FAILS and pair is not None:
                text = (
                    f"the {pair.modules} modules of driver {pair.driver} do not build for kernels "
                    f"{pair.first} to {pair.last}: {pair.cause}"
                )
                yield from_row(facts, text.replace(f"kernels {pair.last} to {pair.last}", f"kernel {pair.last}"), pair)


def _domain(facts: Facts, component: Component, domain: Sequence[Candidate]) -> Reason:
    """What there is to choose from."""
    platform = facts.platform
    where = "the node's archive offers" if facts.offers is not None else f"{platform.os.name} is known to carry"
    versions = list(dict.fromkeys(_named(candidate) for candidate in domain))
    if component == "kernel":
        row = domain[0].row if domain and domain[0].row else platform.kernels[0]
        return archive(facts, f"{where} {_listed(versions, 'kernel with headers', 'kernels with headers')}", row)
    what = {"modules": ("kernel modules", "kernel modules"), "driver": ("driver", "drivers")}[component]
    return archive(facts, f"{where} {_listed(versions, *what)}", platform.drivers)


def _named(candidate: Candidate) -> str:
    return f"{candidate.version} {candidate.driver}" if candidate.component == "modules" else candidate.version


def _listed(versions: Sequence[str], one: str, many: str) -> str:
    if not versions:
        return f"no {one}"
    more = f" and {len(versions) - SEVERAL} more" if len(versions) > SEVERAL else ""
    return f"{one if len(versions) == 1 else many} {', '.join(versions[:SEVERAL])}{more}"


def _nearest(facts: Facts, guilty: Sequence[Rule], resolve: Resolve) -> Iterator[str]:
    """What works: one pin or feature less; else a pair that is known to build, or another operating system."""
    answers = [(changed, resolve(changed)) for changed in _relaxed(facts.spec)]
    nearer = [_difference(facts.spec, changed, stack) for changed, stack in answers if stack is not None]
    yield from nearer
    if nearer:
        return
    if any(rule.id == "modules-build" for rule in guilty):
        yield from _known_builds(facts)
    for changed in _elsewhere(facts):
        stack = resolve(changed)
        if stack is not None:
            yield f"{changed.os} with driver {stack.version('driver')}"


def _relaxed(spec: NodeSpec) -> Iterator[NodeSpec]:
    pins: dict[str, Any] = {"driver": None, "kernel": None}
    for name, nothing in pins.items():
        if getattr(spec, name) is not None:
            yield spec.model_copy(update={name: nothing})
    if spec.driver is not None and spec.kernel is not None:
        yield spec.model_copy(update=pins)
    for feature in ("open", "proprietary"):
        if feature in spec.features:
            yield spec.model_copy(update={"features": tuple(f for f in spec.features if f != feature)})


def _difference(spec: NodeSpec, changed: NodeSpec, stack: Stack) -> str:
    parts = [
        f"{name} {stack.version(name)} instead of {getattr(spec, name)}"
        for name in ("driver", "kernel")
        if getattr(spec, name) != getattr(changed, name)
    ]
    parts += [
        f"{stack.version('modules')} modules, without the feature {f}"
        for f in spec.features
        if f not in changed.features
    ]
    return " and ".join(parts)


def _elsewhere(facts: Facts) -> Iterator[NodeSpec]:
    """The same node with another operating system."""
    arch = facts.spec.arch
    for system in facts.catalog.operating_systems:
        if system.id != facts.spec.os and arch in system.archs:
            yield facts.spec.model_copy(update={"os": system.id, "kernel": None})


def _known_builds(facts: Facts) -> Iterator[str]:
    rows = {row.id for row in facts.platform.kernels}
    for pair in facts.catalog.kernel_driver_pairs:
        if pair.builds and pair.kernel in rows:
            yield f"kernel {pair.last} with driver {pair.driver}, seen to build, where an archive still offers it"


def unknown(spec: NodeSpec, error: LookupError, where: str) -> Conflict:
    """Something was declared that the catalog does not know; the error names what it does know."""
    reason = Reason(text=str(error.args[0]), source=where, verified=True)
    return Conflict(asked=asked(spec), rules=(reason,))


def contradiction(facts: Facts, rule_id: str, seen: str, nearest: str) -> Conflict:
    """What was declared is not what was read on the node."""
    read = Reason(text=seen, source="the node's snapshot", verified=True)
    rules = (from_rule(facts, rule_id), read, from_rule(facts, "one-truth"))
    return Conflict(asked=asked(facts.spec), rules=rules, nearest=(nearest,))
