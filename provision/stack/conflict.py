"""No set fits: which rules clash, on what they rest, and what would work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from provision.model import Conflict, NodeSpec, Reason
from provision.stack.candidates import candidates
from provision.stack.facts import Candidate, Component, Domains, Facts
from provision.stack.nearest import Ask, nearest
from provision.stack.reasons import archive, from_row, from_rule
from provision.stack.rule import Rule
from provision.stack.rules import rules
from provision.stack.search import search

SEVERAL = 4


class NoFit(Exception):
    """Nothing fits. `conflict` tells why as data, `str()` in one paragraph."""

    def __init__(self, conflict: Conflict) -> None:
        super().__init__(str(conflict))
        self.conflict = conflict


def clash(facts: Facts, ask: Ask) -> Conflict:
    """The smallest set of rules that cannot hold together, told with its sources.

    ask: answers for another declaration of the same node; what would work is found by asking it.
    """
    domains = candidates(facts)
    guilty = _smallest(facts, domains, rules(facts))
    reasons = [reason for rule in guilty if _is_told(rule, guilty) for reason in _reasons(facts, rule, domains)]
    reasons += [_domain(facts, component, domains[component]) for component in _short(facts, guilty, domains)]
    return Conflict(asked=asked(facts.spec), rules=tuple(dict.fromkeys(reasons)), nearest=nearest(facts, guilty, ask))


def _is_told(rule: Rule, guilty: Sequence[Rule]) -> bool:
    """That modules and driver are one version is told only where it clashes itself, not as a link between others."""
    return rule.id != "lockstep" or len(guilty) <= len({"lockstep", "another"})


def _short(facts: Facts, guilty: Sequence[Rule], domains: Domains) -> list[Component]:
    """The components of which an archive has too little to choose from: no candidate, or none that was pinned."""
    pinned = {rule.components[0] for rule in guilty if rule.id in _PINS and _has_one(facts, rule, domains)}
    pinned |= {"modules"} if "driver" in pinned else set()
    empty = [component for component in _TOLD if not domains.get(component, (None,))]
    about = [component for component in _TOLD if any(component in rule.components for rule in guilty)]
    return [component for component in about or empty if component not in pinned]


def _has_one(facts: Facts, rule: Rule, domains: Domains) -> bool:
    return any(rule.holds(facts, candidate, candidate) for candidate in domains[rule.components[0]])


def asked(spec: NodeSpec) -> str:
    """A declaration in one phrase."""
    pins = {"gpu": spec.gpu, "driver": spec.driver, "cuda": spec.cuda, "kernel": spec.kernel, "doca": spec.doca}
    parts = [f"{name} {value}" for name, value in {**pins, "gcc": spec.gcc}.items() if value]
    parts += [f"features {', '.join(spec.features)}"] if spec.features else []
    parts += [f"cuda_compat {spec.cuda_compat}".lower()] if spec.cuda_compat is not None else []
    parts += [f"fabricmanager {spec.fabricmanager}".lower()] if spec.fabricmanager is not None else []
    return f"{', '.join(parts) or 'any driver and kernel'} on {spec.os} {spec.arch}"


def _smallest(facts: Facts, domains: Domains, all_rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Rules are dropped one by one as long as nothing fits without them either; what stays is the clash."""
    kept = list(all_rules)
    for rule in all_rules:
        without = [other for other in kept if other is not rule]
        if search(facts, domains, without) is None:
            kept = without
    return tuple(kept)


def _reasons(facts: Facts, rule: Rule, domains: Domains) -> Iterator[Reason]:
    yield from_rule(facts, rule.id)
    yield from rule.evidence(facts, domains)


_TOLD: tuple[Component, ...] = ("modules", "driver", "kernel")
"""Components of which an archive tells what there is; of the others the rules say it."""
_PINS = ("driver-pin", "kernel-pin")


def _domain(facts: Facts, component: Component, domain: Sequence[Candidate]) -> Reason:
    """What there is to choose from."""
    platform = facts.platform
    where = "the node's archive offers" if facts.offers is not None else f"{platform.os.name} is known to carry"
    versions = list(dict.fromkeys(_named(candidate) for candidate in domain))
    if component == "kernel":
        row = domain[0].row if domain and domain[0].row else platform.kernels[0]
        return archive(facts, f"{where} {_listed(versions, 'kernel with headers', 'kernels with headers')}", row)
    what = ("driver", "drivers") if component == "driver" else ("kernel modules", "kernel modules")
    return archive(facts, f"{where} {_listed(versions, *what)}", platform.drivers)


def _named(candidate: Candidate) -> str:
    return f"{candidate.version} {candidate.driver}" if candidate.component == "modules" else candidate.version


def _listed(versions: Sequence[str], one: str, many: str) -> str:
    if not versions:
        return f"no {one}"
    more = f" and {len(versions) - SEVERAL} more" if len(versions) > SEVERAL else ""
    return f"{one if len(versions) == 1 else many} {', '.join(versions[:SEVERAL])}{more}"


def unknown(spec: NodeSpec, error: LookupError, where: str) -> Conflict:
    """Something was declared that the catalog does not know; the error names what it does know."""
    reason = Reason(text=str(error.args[0]), source=where, verified=True)
    return Conflict(asked=asked(spec), rules=(reason,))


def foreign(facts: Facts) -> Conflict:
    """The declared GPU is in no machine of the declared architecture."""
    gpu, spec = facts.gpus[0], facts.spec
    archs = list(dict.fromkeys(arch for one in facts.gpus for arch in one.archs))
    text = f"{spec.gpu} shares memory with a Grace CPU, so it is in {' and '.join(archs)} machines only"
    others = [row.name for row in facts.catalog.gpus if spec.arch in row.archs and row.architecture == gpu.architecture]
    near = get_close_matches(gpu.name, dict.fromkeys(others), 1, 0)
    nearest = (*(f"arch={arch}" for arch in archs), *(f"gpu={name} on {spec.arch}" for name in near))
    rules = (from_rule(facts, "declared-os"), from_row(facts, text, gpu))
    return Conflict(asked=asked(spec), rules=rules, nearest=nearest)


def contradiction(facts: Facts, rule_id: str, seen: str, nearest: str) -> Conflict:
    """What was declared is not what was read on the node."""
    read = Reason(text=seen, source="the node's snapshot", verified=True)
    rules = (from_rule(facts, rule_id), read, from_rule(facts, "one-truth"))
    return Conflict(asked=asked(facts.spec), rules=rules, nearest=(nearest,))
