"""pyinfra carries out the plan: one probe while it prepares, the first stretch as operations, the rest in one call.

pyinfra executes deploy.py once per host, in parallel. Operations are told apart by line and loop position only, so all
hosts loop over one order of names, and what runs later always stands at the same line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache

import click
from gevent.lock import RLock
from pyinfra.api import Host, Inventory, State, operation
from pyinfra.api.command import FunctionCommand
from pyinfra.api.output import set_echo
from pyinfra.context import ctx_host, ctx_state

from provision.engines.events import Events, run_folder
from provision.engines.pyinfra import classic
from provision.engines.pyinfra.connection import Denied, prepare, tune_open_socket
from provision.engines.pyinfra.node import Node, Refused
from provision.engines.pyinfra.operations import carry_out, positions, refuse, title, told_refused
from provision.engines.render import Sender
from provision.inventory import WrongInventory, host_spec
from provision.ledger import AtWork, NodeLocks, controller
from provision.model import NodeSpec, Plan, Snapshot
from provision.planning import (
    BrokenOrder,
    BrokenRole,
    NoPlan,
    Plans,
    Room,
    alike,
    assemble,
    check_order,
    names_in_order,
    rooms,
)
from provision.probe import Unreadable
from provision.stack import NoFit
from provision.steps import Done, Reboot, Step, Stop, Stretch, drift, transaction

MOST_STEPS = 12
"""More steps than any plan has: a node that needs more does not settle."""

EXPECTED = (Refused, Denied, Unreadable, NoFit, NoPlan, LookupError)


class Run:
    """What the hosts of one pyinfra process share."""

    def __init__(self, inventory: Inventory) -> None:
        self.hosts = {host.name: host for host in inventory.get_active_hosts()}
        for host in self.hosts.values():
            tune_open_socket(host)
        self.rooms: dict[str, Room] = rooms()
        self.specs: dict[str, NodeSpec] = {name: host_spec(name, host.data.dict()) for name, host in self.hosts.items()}
        self.events = Events(run_folder())
        self.order = names_in_order(self._from_the_catalog())
        self.plans = Plans(self.rooms)
        self._locks = NodeLocks(self.hosts)
        self._locking = RLock()
        self._locked = False

    def node(self, host: Host, roles: Sequence[str] | None) -> Node:
        """A host as this run knows it. Raises: LookupError for a role that is not found."""
        unknown = [name for name in roles or () if name not in self.rooms]
        if unknown:
            raise LookupError(f"{host.name}: there is no role {', '.join(unknown)} (found: {', '.join(self.rooms)})")
        spec = self.specs[host.name]
        spec = spec if roles is None else spec.model_copy(update={"roles": tuple(roles)})
        sender = Sender(controller=controller(), run=self.events.folder.name, node=host.name)
        return Node(host, spec, self.plans, sender, self.events)

    def insist_on_order(self, roles: Sequence[str]) -> None:
        """Where a deploy.py asks for roles in an order that a rule forbids, the run ends here, with exit code 2."""
        try:
            check_order({name: self.rooms[name].role for name in roles if name in self.rooms})
        except BrokenOrder as error:
            click.echo(f"{error}. No machine was touched.", err=True)
            raise SystemExit(2) from None

    def lock(self) -> None:
        """Keep other runs of this controller off all nodes of this one, until the process ends. Raises: AtWork."""
        with self._locking:
            if not self._locked:
                self._locks.__enter__()
                self._locked = True

    def _from_the_catalog(self) -> list[Plan]:
        plans: list[Plan] = []
        for spec, _nodes in alike(self.specs):
            try:
                plans.append(assemble(spec, self.rooms).plan)
            except EXPECTED:
                continue  # told for its own hosts when they are read
        return plans


@cache
def run_of(state: State) -> Run:
    """The one Run of this process; a wrong inventory ends it here, with exit code 2, before anything is changed."""
    prepare()
    set_echo(_echo)
    try:
        return Run(state.inventory)
    except (WrongInventory, BrokenRole) as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from None


def role(name: str) -> None:
    """One role alone, in anybody's deploy.py: bring this host to what this role wants of it."""
    converge(roles=(name,))


def converge(roles: Sequence[str] | None = None) -> None:
    """What deploy.py calls: bring this host to the state that its inventory declares.

    Args:
        roles: only these, in this order, whatever the inventory says; otherwise the roles that it asks for.
    """
    _refuse_free_running()
    run = run_of(ctx_state.get())
    run.insist_on_order(roles or ())
    host = ctx_host.get()
    in_full = classic.is_asked_for(host)
    try:
        run.lock()
        node = run.node(host, roles)
        snapshot = node.read()
        step = node.next(snapshot)
    except (*EXPECTED, AtWork) as error:
        refuse(name="provision | not begun", node=host.name, error=error, events=run.events)
        return
    _tell_drift(node, snapshot, step)
    if isinstance(step, Done):
        _done(node, snapshot, step)
    else:
        _bring_on(host, node, step, run.order)
    if in_full:
        classic.sweep(node, run.order)


def _bring_on(host: Host, node: Node, step: Step, order: Sequence[str]) -> None:
    if isinstance(step, Stretch):
        _carry_out_all(host, node, step, order)
    finish(name="provision | go on until nothing is due", node=node, order=order)


@operation(is_idempotent=False, _set_in_op=False)
def finish(node: Node, order: Sequence[str]):  # type: ignore[no-untyped-def]
    """Step by step until nothing is due; what is due comes from a new probe, never from this run.

    + node: the node, as this run knows it
    + order: names of all resources, in the order shared by all hosts
    """

    def go_on(state: State, host: Host) -> bool:  # noqa: ARG001 - pyinfra passes both by name
        try:
            return _go_on(host, node, order)
        except EXPECTED as error:
            return told_refused(host, node.name, str(error), node.events)

    yield FunctionCommand(go_on, (), {})


def _go_on(host: Host, node: Node, order: Sequence[str]) -> bool:
    for _ in range(MOST_STEPS):
        snapshot = node.read()
        step = node.next(snapshot)
        match step:
            case Stretch():
                _carry_out_all(host, node, step, order)
            case Reboot():
                node.reboot(snapshot, step)
            case Stop(reason=reason):
                node.note(snapshot, "stop", reason)
                raise Refused(f"{node.name}: {reason}")
            case Done():
                _done(node, snapshot, step)
                return True
    raise Refused(f"{node.name}: does not settle after {MOST_STEPS} steps; what is due again: {_due_again(node)}")


def _due_again(node: Node) -> str:
    snapshot = node.read()
    return "; ".join(f"{d.entry.name} ({d.why})" for due in drift(node.plan().plan, snapshot) for d in due) or "nothing"


def _carry_out_all(host: Host, node: Node, step: Stretch, order: Sequence[str]) -> None:
    due = {d.entry.name: d for d in step.due}
    together = transaction(step.due)
    first = together[0].entry.name if together else ""
    done_with_first = {one.entry.name for one in together[1:]}
    for name in host.loop(positions(order, due)):
        if name not in due or name in done_with_first:
            continue
        one = due[name]
        carry_out(name=title(one.entry), node=node, due=one, together=together if name == first else ())


def _done(node: Node, snapshot: Snapshot, step: Done) -> None:
    told = ", ".join(f"{name} ({limit})" for name, limit in node.close(snapshot, step).items())
    node.host.log_styled("converged" + (f"; not applicable: {told}" if told else ""), fg="green")
    for sentence in snapshot.standins.sentences if snapshot.standins else ():
        node.host.log_styled(sentence, fg="yellow")


def _tell_drift(node: Node, snapshot: Snapshot, step: Step) -> None:
    for number, due in enumerate(node.tell_drift(snapshot, step)):
        for one in due:
            node.host.log(f"boot {number}: {title(one.entry)}: {one.why}")


def _refuse_free_running() -> None:
    """`--no-wait` ends with exit code 0 although a host failed (pyinfra 3.10), so it cannot be trusted with a node."""
    if "--no-wait" in sys.argv:
        click.echo(
            "provision does not run with --no-wait: pyinfra would report success for a host that failed", err=True
        )
        raise SystemExit(2)


def _echo(message: object = "", err: bool = False, nl: bool = True) -> None:
    """pyinfra's output, with our programs' progress lines turned into events."""
    text = str(message)
    _before, mark, progress = text.partition("@progress\t")
    if not mark:
        click.echo(message, err=err, nl=nl)
        return
    node, resource, seconds, lines, line = (progress.split("\t") + [""] * 5)[:5]
    run_of(ctx_state.get()).events.write("progress", node, resource=resource, seconds=seconds, lines=lines, line=line)
    click.echo(f"    [{node}] {resource}: {seconds} s, {line.strip()}", err=True)
