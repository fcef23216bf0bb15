"""How a run ended, for people: one paragraph for each node that needs somebody, timings for the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from provision.cli.arguments import near
from provision.cli.summary import REBOOT, NodeReport, Operation, by_role

FEW = 4
"""So many nodes are told of one by one; of a bigger fleet only those that did not converge."""

WORTH_TELLING = 0.5
"""Seconds under which an operation is counted, not named."""

STYLES = {"converged": "green", "failed": "red", "unreachable": "red", "unfinished": "yellow"}


def conclude(console: Console, found: Sequence[NodeReport], run: Path, *, dry: bool, interrupted: bool) -> None:
    """Print the end of a run."""
    console.print()
    converged = [one for one in found if one.outcome == "converged"]
    others = [one for one in found if one.outcome != "converged"]
    if len(converged) > FEW:
        _print(console, Text(f"{len(converged)} nodes converged", "green"))
        if marked := [one.node for one in converged if one.standins]:
            _print(console, Text(f"  with stand-ins, not the real packages: {', '.join(marked)}", "yellow"))
    for one in [*(converged if len(converged) <= FEW else ()), *others]:
        for line in _dry(one) if dry and one.outcome == "unfinished" else told(one):
            _print(console, line)
    if interrupted:
        _print(console, Text("Interrupted. The same command again finishes the work.", "yellow"))
    _print(console, Text(f"evidence: {near(run)}", "dim"))


def told(one: NodeReport) -> Iterator[Text]:
    """How one node ended."""
    yield Text.assemble((one.node, "bold"), ": ", (one.outcome, STYLES[one.outcome]), _cost(one))
    yield from _standins(one)
    for role, seconds, done in by_role(one.operations):
        yield Text(f"  {role or 'node':<20} {seconds:8.1f} s  {_named(role, done)}".rstrip(), "dim")
    if one.not_applicable:
        names = ", ".join(f"{name} ({limit})" for name, limit in one.not_applicable.items())
        yield Text(f"  not applicable: {names}")
    if one.outcome != "converged":
        yield from _trouble(one)
    elif one.asked:
        yield Text(f"  {_count(one.asked, 'resource')} asked for one by one: nothing was found")


def _standins(one: NodeReport) -> Iterator[Text]:
    if one.standins:
        yield from (Text(f"  {told}", "yellow") for told in one.standins.sentences)


def _cost(one: NodeReport) -> str:
    if one.outcome == "unreachable":
        return ""
    if not one.operations:
        return ", nothing was due" if one.outcome == "converged" else ""
    return f" in {one.seconds:.1f} s: {_count(one.changes, 'operation')}, {_count(one.reboots, 'reboot')}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _trouble(one: NodeReport) -> Iterator[Text]:
    if one.failed:
        yield Text(f"  {one.failed} failed", "red")
    lines = one.evidence.splitlines() or ["no word from the node" if one.outcome == "unreachable" else ""]
    yield from (Text(f"    {line}") for line in lines if line)


def _dry(one: NodeReport) -> Iterator[Text]:
    yield Text.assemble((one.node, "bold"), f": {len(one.due)} due" if one.due else ": a reboot is due")
    yield from _standins(one)
    yield from (Text(f"  boot {boot}  {resource}: {why}") for boot, resource, why in one.due)


def _named(role: str, done: Iterable[Operation]) -> str:
    if role == REBOOT:
        return ""
    long = [f"{one.resource} {one.seconds:.1f}" for one in done if one.seconds >= WORTH_TELLING]
    short = sum(one.seconds < WORTH_TELLING for one in done)
    return ", ".join([*long, *([f"{short} shorter"] if short else [])])


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=not console.is_terminal)
