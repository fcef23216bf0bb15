"""`provision plan`: what would be brought to the nodes, computed here; no node is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from provision.cli.arguments import InventoryFile, Limit, limited, mistakes_told
from provision.cli.plan_view import Group, show
from provision.inventory import WrongInventory, read_inventory
from provision.ledger import Reading
from provision.model import NodeSpec, Snapshot, canonical
from provision.planning import Room, assemble, rooms
from provision.steps import contradictions

app = typer.Typer(rich_markup_mode=None)


@app.command()
def plan(
    inventory: InventoryFile,
    limit: Limit = None,
    snapshot: Annotated[
        Path | None,
        typer.Option("--snapshot", metavar="FILE", help="a node's snapshot, instead of what was kept of it"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print data instead of text")] = False,
) -> None:
    """Show what would be brought to the nodes, and why in these versions.

    Nothing is connected to and no privilege is needed. Versions come from what a node's archive offered when it was
    first read; before that, from the catalog alone. A snapshot of `provision probe` tells which GPUs are there and what
    the node cannot hold.
    """
    with mistakes_told():
        specs = limited(read_inventory(inventory), limit, inventory)
        found = groups(specs, rooms(), {} if snapshot is None else read_of_one(specs, snapshot))
    if as_json:
        typer.echo(json.dumps([as_data(group) for group in found], indent=1))
        return
    show(found)


def groups(
    specs: Mapping[str, NodeSpec], found: dict[str, Room], given: Mapping[str, Snapshot] | None = None
) -> list[Group]:
    """Nodes that get the very same, each group with what it gets.

    Args:
        specs: what is declared of every node.
        found: the roles that can be found.
        given: readings of nodes, instead of those that were kept.

    Raises: NoFit, WrongVariables.
    """
    result: dict[str, Group] = {}
    for node, spec in specs.items():
        reading = (given or {}).get(node) or Reading(node).fitting(spec)
        offers = reading.model_dump_json(include={"offers", "limits"}) if reading else ""
        key = f"{canonical(spec)} {offers}"
        if key not in result:
            result[key] = Group(nodes=(), planned=assemble(spec, found, reading), reading=reading)
        result[key] = result[key].model_copy(update={"nodes": (*result[key].nodes, node)})
    return list(result.values())


def read_of_one(specs: Mapping[str, NodeSpec], path: Path) -> dict[str, Snapshot]:
    """The snapshot in a file as the reading of the only node that is asked about. Raises: WrongInventory."""
    if len(specs) != 1:
        raise WrongInventory(
            [f"--snapshot is of one machine, and {len(specs)} nodes are asked about: add --limit NODE"]
        )
    ((node, spec),) = specs.items()
    try:
        snapshot = Snapshot.model_validate_json(path.read_bytes())
    except OSError as error:
        raise WrongInventory([f"it cannot be read: {error.strerror}"], path) from error
    except ValueError as error:
        raise WrongInventory(["it is not a snapshot, as `provision probe` writes it"], path) from error
    wrong = contradictions(spec, snapshot)
    if wrong:
        raise WrongInventory([f"{node}: {text}" for text in wrong], path)
    return {node: snapshot}


def as_data(group: Group) -> dict[str, object]:
    return {
        "nodes": group.nodes,
        "versions_from": "archive" if group.reading and group.reading.offers is not None else "catalog",
        "plan_digest": group.planned.plan.digest,
        **group.planned.model_dump(mode="json"),
    }
