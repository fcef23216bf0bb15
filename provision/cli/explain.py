"""`plan --explain COMPONENT`: the chain of reasons of one choice, and what lost against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import JsonValue
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from provision.catalog import Catalog, DriverBranch, branch_of, driver_key, load
from provision.cli.console import grid
from provision.cli.plan_data import reason_as_data
from provision.cli.plan_view import Group, declared, title
from provision.model import Choice, Frozen, NodeSpec, Reason, Snapshot
from provision.platforms import platform_for
from provision.stack import NoFit, resolve

FLAVOURS = ("open", "proprietary")


class Alternative(Frozen):
    """Something else that could have been chosen: it fits as well, or a rule is against it."""

    version: str
    fits: bool
    why: tuple[Reason, ...] = ()
    """The rules against it; where it fits, what it ranks by."""


class Explanation(Frozen):
    """One choice of one group of nodes."""

    nodes: tuple[str, ...]
    asked: str
    choice: Choice
    alternatives: tuple[Alternative, ...]
    warnings: tuple[str, ...]


def explained(group: Group, component: str) -> Explanation:
    """Why this version: what was asked, the reasons with their sources, and what lost.

    Raises: LookupError when the stack has no such component, with what is close.
    """
    spec, stack = group.planned.spec, group.planned.stack
    if component not in stack.choices:
        near = get_close_matches(component, stack.choices, 1)
        raise LookupError(
            f"the plan of {title(group.nodes)} has no component {component!r}"
            + (f"; did you mean {near[0]!r}?" if near else f" (it has {', '.join(stack.choices)})")
        )
    choice = stack.choices[component]
    return Explanation(
        nodes=group.nodes,
        asked=_asked(spec, component),
        choice=choice,
        alternatives=tuple(alternatives(load(), spec, group.reading, choice)),
        warnings=tuple(text for text in stack.warnings if component in text or choice.version in text),
    )


def alternatives(catalog: Catalog, spec: NodeSpec, reading: Snapshot | None, choice: Choice) -> Iterator[Alternative]:
    """What else could be declared in the place of this choice, each asked of the resolver itself."""
    for version, changed in _others(catalog, spec, choice):
        try:
            found = resolve(changed, catalog, reading).choices
        except NoFit as error:
            yield Alternative(version=version, fits=False, why=_against(error.conflict.rules))
            continue
        if found[choice.component].version != choice.version:
            whole = found[choice.component].version
            yield Alternative(version=whole, fits=True, why=tuple(_rank(catalog, choice.component, whole)))


def as_data(explanation: Explanation) -> dict[str, JsonValue]:
    choice = explanation.choice
    return {
        "nodes": list(explanation.nodes),
        "component": choice.component,
        "version": choice.version,
        "asked": explanation.asked,
        "why": [reason_as_data(reason) for reason in choice.reasons],
        "alternatives": [
            {"version": other.version, "fits": other.fits, "why": [reason_as_data(reason) for reason in other.why]}
            for other in explanation.alternatives
        ],
        "warnings": list(explanation.warnings),
    }


def told(explanation: Explanation) -> Iterator[RenderableType]:
    """The same for people."""
    choice = explanation.choice
    yield Text(title(explanation.nodes), style="bold")
    yield _indented(Text.assemble((choice.component, "bold"), " ", (choice.version, "green")))
    yield Text()
    yield Text("Asked", style="bold")
    yield _indented(Text(explanation.asked))
    yield Text()
    yield Text("Because", style="bold")
    yield _indented(grid([row for reason in choice.reasons for row in _reason(reason)], columns=2))
    yield from _warned(explanation.warnings)
    fitting = [(other.version, _words(other.why)) for other in explanation.alternatives if other.fits]
    yield from _lost("Would fit too, and lost", fitting)
    others = [other for other in explanation.alternatives if not other.fits]
    yield from _lost("Does not fit", _together((other.version, _words(_decisive(other))) for other in others))


def _asked(spec: NodeSpec, component: str) -> str:
    pin = getattr(spec, component, None)
    named = f"{component} {pin}, and with it: " if pin else f"nothing about {component}; what was asked for: "
    return f"{named}{declared(spec)}"


def _others(catalog: Catalog, spec: NodeSpec, choice: Choice) -> Iterator[tuple[str, NodeSpec]]:
    """Every other declaration of this component, the newest first."""
    component = choice.component
    if component == "modules":
        for flavour in FLAVOURS:
            if flavour != choice.version:
                features = tuple(feature for feature in spec.features if feature not in FLAVOURS)
                yield flavour, spec.model_copy(update={"features": (*features, flavour)})
        return
    for pin in _pins(catalog, spec, component):
        if not _covers(component, pin, choice.version):
            yield pin, _pinned(spec, component, pin)


def _pinned(spec: NodeSpec, component: str, pin: str) -> NodeSpec:
    change: dict[str, Any] = {component: pin}
    return spec.model_copy(update=change)


def _pins(catalog: Catalog, spec: NodeSpec, component: str) -> Sequence[str]:
    match component:
        case "driver":
            return sorted(catalog.branch, key=int, reverse=True)
        case "cuda":
            minors = {row.minor for row in catalog.cuda_toolkits if not row.preview}
            return sorted(minors, key=driver_key, reverse=True)
        case "doca":
            return sorted((row.id for row in catalog.doca_releases), reverse=True)
        case "gcc":
            return sorted({row.gcc for row in catalog.host_compilers}, key=int, reverse=True)
        case "kernel":
            platform = platform_for(spec.os, spec.arch)
            return platform.newest_first([release for row in platform.kernels for release in row.releases])
        case _:
            return ()


def _covers(component: str, pin: str, version: str) -> bool:
    return version == pin or (component in {"driver", "cuda"} and version.startswith(f"{pin}."))


def _against(rules: Sequence[Reason]) -> tuple[Reason, ...]:
    """The rules against an alternative, without those that only repeat that it was put in the place of the choice."""
    return tuple(rule for rule in rules if not rule.source.startswith("the inventory")) or tuple(rules)


def _rank(catalog: Catalog, component: str, version: str) -> Iterator[Reason]:
    """What decides among those that fit: long-term, read in its source, newest."""
    branch = catalog.branch.get(branch_of(version)) if component == "driver" else None
    if branch is not None:
        text = f"branch {branch.id} is {_kind(branch)}" + (f", end of life {branch.eol}" if branch.eol else "")
        source = catalog.cite(branch.source)
        yield Reason(text=text, source=source, verified=branch.verified, fact=catalog.ref(branch))


def _kind(branch: DriverBranch) -> str:
    kinds = {"LTSB": "long-term", "PB": "a production branch", "NFB": "a new feature branch"}
    return kinds.get(branch.type, "of no published type")


def _reason(reason: Reason) -> Iterator[tuple[str | Text, ...]]:
    doubt = "" if reason.verified else " unverified"
    yield "-", Text.assemble(reason.text, (doubt, "yellow"))
    yield "", Text(f"{reason.source}{f' ({reason.fact})' if reason.fact else ''}", "dim")


def _warned(warnings: Iterable[str]) -> Iterator[RenderableType]:
    yield from (_indented(Text(f"warning: {text}", style="yellow")) for text in warnings)


def _words(reasons: Iterable[Reason]) -> str:
    return "; ".join(reason.text for reason in reasons)


def _decisive(other: Alternative) -> tuple[Reason, ...]:
    """Without those that list what there is to choose from, which the alternative itself is among."""
    return tuple(reason for reason in other.why if other.version not in reason.text) or other.why


def _together(rows: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Versions that lost for the very same reasons in one row."""
    versions: dict[str, list[str]] = {}
    for version, words in rows:
        versions.setdefault(words, []).append(version)
    return [(", ".join(each), words) for words, each in versions.items()]


def _lost(heading: str, rows: Sequence[tuple[str, str]]) -> Iterator[RenderableType]:
    if not rows:
        return
    yield Text()
    yield Text(heading, style="bold")
    yield _indented(grid(rows, columns=2))


def _indented(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, 2), expand=False)
