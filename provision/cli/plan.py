"""`provision plan`: what would be brought to the nodes, computed here; no node is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

import typer

from provision.cli.arguments import InventoryFile, Limit, limited, mistakes_told
from provision.cli.plan_view import Group, show
from provision.inventory import read_inventory
from provision.ledger import Reading
from provision.model import NodeSpec, Snapshot, canonical
from provision.planning import Room, assemble, rooms

app = typer.Typer(rich_markup_mode=None)


@app.command()
def plan(
    inventory: InventoryFile,
    limit: Limit = None,
    as_json: Annotated[bool, typer.Option("--json", help="print data instead of text")] = False,
) -> None:
    """Show what would be brought to the nodes, and why in these versions.

    Nothing is connected to and no privilege is needed. Versions come from what a node's archive offered when it was
    first read; before that, from the catalog alone.
    """
    with mistakes_told():
        found = groups(limited(read_inventory(inventory), limit, inventory), rooms())
    if as_json:
        typer.echo(json.dumps([as_data(group) for group in found], indent=1))
        return
    show(found)


def groups(specs: Mapping[str, NodeSpec], found: dict[str, Room]) -> list[Group]:
    """Nodes that get the very same, each group with what it gets. Raises: NoFit, WrongVariables."""
    result: dict[str, Group] = {}
    for node, spec in specs.items():
        reading = kept_reading(node, spec)
        offers = reading.model_dump_json(include={"offers", "limits"}) if reading else ""
        key = f"{canonical(spec)} {offers}"
        if key not in result:
            result[key] = Group(nodes=(), planned=assemble(spec, found, reading), reading=reading)
        result[key] = result[key].model_copy(update={"nodes": (*result[key].nodes, node)})
    return list(result.values())


def kept_reading(node: str, spec: NodeSpec) -> Snapshot | None:
    """The node's first reading, where there is one and it is of a machine like the one that is declared."""
    reading = Reading(node).load()
    return reading if reading and (reading.os, reading.arch) == (spec.os, spec.arch) else None


def as_data(group: Group) -> dict[str, object]:
    return {
        "nodes": group.nodes,
        "versions_from": "archive" if group.reading else "catalog",
        "plan_digest": group.planned.plan.digest,
        **group.planned.model_dump(mode="json"),
    }
