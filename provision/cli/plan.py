"""`provision plan`: what would be brought to the nodes, computed here; no node is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from provision.cli.arguments import Json, Limit, limited, mistakes_told, read_snapshot
from provision.cli.console import put, standard
from provision.cli.exits import Exit
from provision.cli.plan_data import as_data
from provision.cli.plan_view import Clash, Group, declared, show
from provision.cli.settings import declared_by, settings
from provision.inventory import WrongInventory, read_declared
from provision.ledger import Reading
from provision.model import Conflict, Frozen, NodeSpec, Reason, Snapshot, canonical
from provision.planning import NoPlan, Room, assemble, rooms
from provision.stack import NoFit
from provision.steps import contradictions

app = typer.Typer(rich_markup_mode=None)

NAMELESS = ""
"""The name of a node that stands in no inventory."""


class Outcome(Frozen):
    """The plans of all nodes: those that get the very same together, and those that get none."""

    groups: tuple[Group, ...] = ()
    clashes: tuple[Clash, ...] = ()


@app.command()
def plan(  # noqa: PLR0913, PLR0917 - one for each option
    inventory: Annotated[
        Path | None, typer.Argument(metavar="[INVENTORY]", help="inventory file, as pyinfra reads it")
    ] = None,
    limit: Limit = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="declare this instead, of every node; may be repeated"),
    ] = None,
    snapshot: Annotated[
        Path | None,
        typer.Option("--snapshot", metavar="FILE", help="a node's snapshot, instead of what was kept of it"),
    ] = None,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="COMPONENT", help="why this version, and what lost against it")
    ] = None,
    graph: Annotated[
        Path | None, typer.Option("--graph", metavar="FILE", help="draw the plan, with its boots, as an SVG file")
    ] = None,
    solve: Annotated[
        bool, typer.Option("--solve", help="ask the package manager's own solver, over the archive's signed indices")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what would be brought to the nodes, and why in these versions.

    Nothing is connected to and no privilege is needed. Versions come from what a node's archive offered when it was
    first read; before that, from the catalog alone. A snapshot of `provision probe` tells which GPUs are there and what
    the node cannot hold. Without an inventory `--set` declares a node of no name: `--set os=OS --set arch=ARCH`. Where
    nothing fits, the rules that clash are told, and the exit code is 2.
    """
    with mistakes_told():
        found = rooms()
        specs = _declared(inventory, limit, settings(changes or ()), found)
        outcome = planned(specs, found, {} if snapshot is None else read_of_one(specs, snapshot))
    if graph is not None:
        _draw(outcome.groups, graph)
    code = Exit.DONE
    if explain is not None:
        _explain(outcome.groups, explain, as_json)
    elif solve:
        code = _solve(outcome, as_json)
    elif as_json:
        typer.echo(json.dumps(as_data(outcome.groups, outcome.clashes), indent=1))
    elif graph is None:
        show(outcome.groups)
    for clash in outcome.clashes:
        typer.echo(str(clash), err=True)
    raise typer.Exit(Exit.WRONG_INPUT if outcome.clashes else code)


def planned(
    specs: Mapping[str, NodeSpec], found: dict[str, Room], given: Mapping[str, Snapshot] | None = None
) -> Outcome:
    """The plan of every node; identical nodes are resolved once.

    Args:
        specs: what is declared of every node.
        found: the roles that can be found.
        given: readings of nodes, instead of those that were kept.
    """
    kinds: dict[str, tuple[NodeSpec, Snapshot | None, list[str]]] = {}
    for node, spec in specs.items():
        reading = (given or {}).get(node) or (Reading(node).fitting(spec) if node else None)
        key = f"{canonical(spec)} {_offered(reading)}"
        kinds.setdefault(key, (spec, reading, []))[2].append(node)
    each = [_planned(spec, reading, nodes, found) for spec, reading, nodes in kinds.values()]
    return Outcome(
        groups=tuple(one for one in each if isinstance(one, Group)),
        clashes=tuple(one for one in each if isinstance(one, Clash)),
    )


def read_of_one(specs: Mapping[str, NodeSpec], path: Path) -> dict[str, Snapshot]:
    """The snapshot in a file as the reading of the only node that is asked about. Raises: WrongInventory."""
    if len(specs) != 1:
        raise WrongInventory(
            [f"--snapshot is of one machine, and {len(specs)} nodes are asked about: add --limit NODE"]
        )
    ((node, spec),) = specs.items()
    snapshot = read_snapshot(path)
    if wrong := contradictions(spec, snapshot):
        raise WrongInventory([f"{node}: {text}" if node else text for text in wrong], path)
    return {node: snapshot}


def _declared(
    inventory: Path | None, limit: Sequence[str] | None, changes: Mapping[str, str], found: dict[str, Room]
) -> dict[str, NodeSpec]:
    """What is declared of every node, in the inventory and on the command line. Raises: WrongInventory."""
    if inventory is None:
        if limit or not changes:
            raise WrongInventory(["name an INVENTORY, or declare a node: --set os=OS --set arch=ARCH"])
        return {NAMELESS: declared_by(changes, found)}
    specs = limited(read_declared(inventory), limit, inventory)
    if not changes:
        return specs
    changed: dict[str, NodeSpec] = {}
    mistakes: list[str] = []
    for node, spec in specs.items():
        try:
            changed[node] = declared_by(changes, found, spec)
        except WrongInventory as error:
            mistakes += [text for text in error.mistakes if text not in mistakes]
    if mistakes:
        raise WrongInventory(mistakes)
    return changed


def _planned(spec: NodeSpec, reading: Snapshot | None, nodes: Sequence[str], found: dict[str, Room]) -> Group | Clash:
    names = tuple(node for node in nodes if node)
    try:
        return Group(nodes=names, planned=assemble(spec, found, reading), reading=reading)
    except NoFit as error:
        return Clash(nodes=names, conflict=error.conflict)
    except NoPlan as error:
        reason = Reason(text=str(error), source="the roles", verified=True)
        return Clash(nodes=names, conflict=Conflict(asked=declared(spec), rules=(reason,)))


def _offered(reading: Snapshot | None) -> str:
    """What of a reading tells one kind of node from another."""
    return reading.model_dump_json(include={"offers", "limits", "standins"}) if reading else ""


def _explain(groups: Sequence[Group], component: str, as_json: bool) -> None:
    from provision.cli import explain

    # Nodes of one inventory need not all have a CUDA or a fabric manager.
    having = [group for group in groups if component in group.planned.stack.choices] or groups
    try:
        found = [explain.explained(group, component) for group in having]
    except LookupError as error:
        typer.echo(f"{error.args[0]}.", err=True)
        raise typer.Exit(Exit.WRONG_INPUT) from None
    if as_json:
        typer.echo(json.dumps({"schema": 1, "explained": [explain.as_data(one) for one in found]}, indent=1))
        return
    for one in found:
        put(standard(), explain.told(one))


def _solve(outcome: Outcome, as_json: bool) -> Exit:
    from provision.cli import solve

    verdicts = solve.solve(outcome.groups)
    if as_json:
        data = as_data(outcome.groups, outcome.clashes)
        typer.echo(json.dumps(data | {"solve": [solve.as_data(one) for one in verdicts]}, indent=1))
    else:
        solve.show(verdicts)
    return solve.exit_code(verdicts)


def _draw(groups: Sequence[Group], path: Path) -> None:
    from provision.cli.plan_graph import picture

    try:
        path.write_text(picture(groups), encoding="utf-8")
    except OSError as error:
        typer.echo(f"{path}: {error.strerror}", err=True)
        raise typer.Exit(Exit.WRONG_INPUT) from None
