"""What would work, close to what was asked and does not: found by asking for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from provision.catalog import branch_of
from provision.model import NodeSpec
from provision.stack.facts import Candidate, Component, Facts, Found
from provision.stack.rule import Rule

Ask = Callable[[NodeSpec], Found | None]
PINS: tuple[Component, ...] = ("driver", "kernel", "cuda", "doca", "gcc")


def nearest(facts: Facts, guilty: Sequence[Rule], ask: Ask) -> tuple[str, ...]:
    """Sets that fit: one pin or feature less; else two pins less, a pair known to build, or another system."""
    spec = facts.spec
    branches = [*_other_branches(facts, ask)] if _branches_matter(facts, guilty) else []
    near = [*_tell_each(spec, _one_less(spec, but="driver" if branches else ""), ask), *branches]
    near = near or _tell_each(spec, _two_less(spec), ask)
    if near:
        return tuple(dict.fromkeys(near))
    builds = _known_builds(facts) if any(rule.id == "modules-build" for rule in guilty) else ()
    return tuple(dict.fromkeys((*builds, *_elsewhere(facts, ask))))


def _tell_each(spec: NodeSpec, changes: Iterator[NodeSpec], ask: Ask) -> list[str]:
    answers = [(changed, ask(changed)) for changed in changes]
    return [_difference(spec, changed, found) for changed, found in answers if found is not None]


def _one_less(spec: NodeSpec, but: str) -> Iterator[NodeSpec]:
    """The declaration without one of its pins (`but` one) or features; of a toolkit first another of the same major."""
    if spec.cuda is not None and branch_of(spec.cuda) != spec.cuda:
        yield spec.model_copy(update={"cuda": branch_of(spec.cuda)})
    yield from (spec.model_copy(update={pin: None}) for pin in PINS if pin != but and getattr(spec, pin) is not None)
    yield from (
        spec.model_copy(update={name: None})
        for name in ("cuda_compat", "fabricmanager")
        if getattr(spec, name) is not None
    )
    for feature in spec.features:
        yield spec.model_copy(update={"features": tuple(f for f in spec.features if f != feature)})


def _two_less(spec: NodeSpec) -> Iterator[NodeSpec]:
    pins = [pin for pin in PINS if getattr(spec, pin) is not None]
    for position, first in enumerate(pins):
        yield from (spec.model_copy(update={first: None, second: None}) for second in pins[position + 1 :])


def _difference(spec: NodeSpec, changed: NodeSpec, found: Found) -> str:
    pins = [pin for pin in PINS if getattr(spec, pin) != getattr(changed, pin)]
    parts = [f"{_named(found[pin])} instead of {getattr(spec, pin)}" for pin in pins if pin in found]
    parts += [_without(feature, found) for feature in spec.features if feature not in changed.features]
    if spec.fabricmanager != changed.fabricmanager:
        parts.append(f"fabricmanager not set, which makes it {found['fabric'].version}")
    if spec.cuda_compat != changed.cuda_compat:
        parts.append(_compat(spec, found))
    return " and ".join(parts)


def _named(chosen: Candidate) -> str:
    if chosen.component != "cuda" or not chosen.how:
        return f"{chosen.component} {chosen.version}"
    return f"cuda {branch_of(chosen.version)}.x ({chosen.version}: {_how(chosen)})"


def _how(cuda: Candidate) -> str:
    if cuda.how != "forward":
        return f"{cuda.how}"
    return f"cuda-compat-{'-'.join(cuda.version.split('.')[:2])}, which this GPU allows"


def _without(feature: str, found: Found) -> str:
    if feature in ("open", "proprietary"):
        return f"{found['modules'].version} modules, without the feature {feature}"
    return f"without the feature {feature}"


def _compat(spec: NodeSpec, found: Found) -> str:
    cuda = found.get("cuda")
    if cuda is not None and cuda.how == "forward":
        return _how(cuda)
    return "without cuda_compat" + (f", which makes CUDA {cuda.version} {cuda.how}" if cuda and spec.cuda else "")


def _branches_matter(facts: Facts, guilty: Sequence[Rule]) -> bool:
    """Is the driver part of the clash, and is another branch to be had where this archive may not have it?"""
    open_ended = facts.offers is None and not facts.platform.drivers.complete
    return open_ended and any({"driver", "modules"} & set(rule.components) for rule in guilty)


def _other_branches(facts: Facts, ask: Ask) -> Iterator[str]:
    """The nearest branches of the catalog that fit, newer and older."""
    pin = branch_of(facts.spec.driver or "")
    branches = sorted(int(row.id) for row in facts.catalog.driver_branches)
    # A version's own branch is asked as well: its newest may do what the version does not.
    first = int(pin) + (pin == facts.spec.driver) if pin.isdigit() else len(branches) * branches[-1]
    newer = [branch for branch in branches if branch >= first]
    older = [branch for branch in reversed(branches) if not pin.isdigit() or branch < int(pin)]
    fitting = {branch: found for branch in newer if (found := _with_branch(facts, branch, ask)) is not None}
    plain = [branch for branch, found in fitting.items() if not _is_forward(found)]
    if fitting and next(iter(fitting)) not in plain[:1]:
        yield _branch(*next(iter(fitting.items())))
    if plain:
        every = len(plain) > 1 and newer[newer.index(plain[0]) :] == plain
        yield f"driver {plain[0]}.x" + (" or newer" if every else "")
    for branch in older:
        found = _with_branch(facts, branch, ask)
        if found is not None:
            yield _branch(branch, found)
            return


def _branch(branch: int, found: Found) -> str:
    return f"driver {branch}.x" + (f" with {_how(found['cuda'])}" if _is_forward(found) else "")


def _is_forward(found: Found) -> bool:
    return "cuda" in found and found["cuda"].how == "forward"


def _with_branch(facts: Facts, branch: int, ask: Ask) -> Found | None:
    return ask(facts.spec.model_copy(update={"driver": str(branch)}))


def _elsewhere(facts: Facts, ask: Ask) -> Iterator[str]:
    """The same node with another operating system."""
    for system in facts.catalog.operating_systems:
        if system.id == facts.spec.os or facts.spec.arch not in system.archs:
            continue
        found = ask(facts.spec.model_copy(update={"os": system.id, "kernel": None}))
        if found is not None:
            what = next(component for component in ("driver", "kernel", *found) if component in found)
            yield f"{system.id} with {what} {found[what].version}"


def _known_builds(facts: Facts) -> Iterator[str]:
    rows = {row.id for row in facts.platform.kernels}
    for pair in facts.catalog.kernel_driver_pairs:
        if pair.builds and pair.kernel in rows:
            yield f"kernel {pair.last} with driver {pair.driver}, seen to build, where an archive still offers it"
