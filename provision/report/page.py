"""The page: everything that is known about a run, as one HTML file that needs nothing else.

What nodes say is not trusted: all of it is escaped, and the page's policy forbids scripts and whatever lies elsewhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from provision.model import Frozen, Stack, canonical
from provision.report.claims import Describe
from provision.report.timeline import clock, tick, ticks
from provision.report.view import NodeEvidence, NodeView, view

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "report.html.j2"

FEW = 3
"""So many nodes are shown open; of a bigger fleet only those that need somebody."""

KEPT = frozenset("\n\t")
REFUSED = frozenset({"Cc", "Cf", "Cs"})
"""Unicode categories: control characters, invisible ones that turn the direction of text around, half characters."""


class Header(Frozen):
    """Times: UTC, ISO 8601, to the second."""

    run: str
    when: str
    written: str
    version: str
    inventory: str = ""
    controller: str = ""


class StackGroup(Frozen):
    """Nodes that got the very same versions for the very same reasons."""

    nodes: tuple[str, ...]
    declared: str
    stack: Stack

    @property
    def unverified(self) -> int:
        return sum(not reason.verified for choice in self.stack.choices.values() for reason in choice.reasons)


def page(header: Header, nodes: Sequence[NodeEvidence], describe: Describe) -> str:
    """The whole page.

    Args:
        header: what the run was.
        nodes: what is known about each of its nodes.
        describe: a resource in words.
    """
    views = [view(node, describe) for node in nodes]
    told = environment().get_template(TEMPLATE)
    return told.render(header=header, nodes=views, stacks=stacks(views), few=len(views) <= FEW)


def stacks(views: Iterable[NodeView]) -> tuple[StackGroup, ...]:
    groups: dict[str, StackGroup] = {}
    for one in views:
        planned = one.given.planned
        if planned is None:
            continue
        key = f"{canonical(planned.spec)} {canonical(planned.stack)}"
        before = groups[key].nodes if key in groups else ()
        declared = planned.spec.model_dump(mode="json", exclude_defaults=True, exclude={"variables"})
        words = ", ".join(f"{name} {_plain(value)}" for name, value in declared.items())
        groups[key] = StackGroup(nodes=(*before, one.given.node), declared=words, stack=planned.stack)
    return tuple(groups.values())


def environment() -> Environment:
    """Escapes whatever it prints, and knows no name that it was not given."""
    # Not above: every `provision apply` imports this module, and writes no page.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(clock=clock, percent=percent, tick=tick, ticks=ticks, slug=slug)
    return found


def visible(value: Any) -> Any:
    """Text without characters that a page cannot hold or a reader cannot see."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "".join("\N{REPLACEMENT CHARACTER}" if _refused(character) else character for character in value)


def percent(part: float, whole: float) -> str:
    """A part as a CSS percentage."""
    return f"{100 * part / whole:.3f}%" if whole else "0%"


def slug(words: str) -> str:
    """Words of ours as the name of a CSS class."""
    return "".join(character if character.isalnum() else "-" for character in words.lower())


def _refused(character: str) -> bool:
    return character not in KEPT and unicodedata.category(character) in REFUSED


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
