"""`--full`, the classic way: every resource of the plan is one operation that asks the node itself when it is its turn.

It comes after the usual way and is a check of it, not a second way to converge. The state machine stays one: what is
due, in which order, and when to reboot, is decided from one reading of the whole node. So once that reading says that
nothing is due, asking for each resource alone must find nothing either, and pyinfra's own summary says so: as many
operations as the plan has resources, none of them a change.

What it finds all the same fails the node, and is not repaired here. Either somebody changed the node meanwhile, and the
next run mends it the usual way, with what derives from it; or the reading of the whole node missed something, and a
quiet repair would hide just the defect that this is there to find.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import click
from pyinfra.api import Host, operation
from pyinfra.api.command import PyinfraCommand
from pyinfra.context import ctx_host

from provision.engines.pyinfra.connection import Denied
from provision.engines.pyinfra.node import Node, Refused
from provision.engines.pyinfra.operations import positions, refusal, title
from provision.model import Derived, Entry, Gate, Plan
from provision.probe import Unreadable
from provision.steps import difference, limit_of

KEY = "full"
"""`pyinfra INVENTORY deploy.py --data full=true`."""


def is_asked_for(host: Host) -> bool:
    """Does this run ask for it? A value that is neither true nor false ends the run here, with exit code 2."""
    value = host.data.get(KEY, False)
    if isinstance(value, bool):
        return value
    click.echo(f"--data {KEY}={value}: it is either true or false", err=True)
    raise SystemExit(2)


def sweep(node: Node, order: Sequence[str]) -> None:
    """Put one operation for each resource of this node's plan, in plan order.

    Args:
        node: the node, as this run knows it.
        order: names of all resources, in the order shared by all hosts.
    """
    entries = node.plan().plan.by_name
    for name in node.host.loop(positions(order, entries)):
        if name in entries:
            ask_alone(name=title(entries[name]), node=node, entry=entries[name])


@operation()
def ask_alone(node: Node, entry: Entry) -> Generator[PyinfraCommand]:
    """Read one resource from the node, by itself; nothing is to be done when it is as declared.

    + node: the node, as this run knows it
    + entry: the resource and its role
    """
    host = ctx_host.get()
    try:
        limit, why = _found(node, entry)
    except (Refused, Denied, Unreadable) as error:
        yield refusal(node.name, str(error), node.events)
        return
    node.events.write("asked", node.name, resource=entry.name, role=entry.role, limit=limit, why=why)
    if not why:
        host.noop(f"{entry.name}: {limit or 'as declared'}")
        return
    told = (
        f"{node.name}: {entry.name}, asked for alone, is not as declared ({why}), and the reading of the whole node "
        "found nothing due. If somebody changed it meanwhile, run again; if it stays so, `provision` reads this node "
        "wrongly: report it with this run's folder"
    )
    yield refusal(node.name, told, node.events)


def alone(plan: Plan, name: str) -> Plan:
    """A plan cut down to one resource and what it derives from, each in its boot, without which it says nothing."""
    wanted = {name}
    for entry in reversed(plan.entries):
        if entry.name in wanted and isinstance(entry.resource, Derived):
            wanted.update(entry.resource.inputs)
    return Plan(boots=tuple(tuple(entry for entry in boot if entry.name in wanted) for boot in plan.boots))


def _found(node: Node, entry: Entry) -> tuple[str, str]:
    """Why a resource is not looked at, and what differs about one that is; both empty when it is as declared."""
    plan, resource = node.plan().plan, entry.resource
    if isinstance(resource, Gate) and resource.precondition:
        return "asked only before a change", ""
    snapshot = node.look(alone(plan, entry.name))
    limit = limit_of(resource, snapshot)
    if limit is not None:
        return f"not applicable: {limit}", ""
    return "", difference(plan, resource, snapshot)
