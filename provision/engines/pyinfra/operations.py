"""pyinfra operations of ours: one resource each, one remote command each.

Our own where pyinfra 3.10 has none or where its own is wrong for us: `apt.packages` dies with the controller and knows
no holds, `files.put` is not atomic, `server.reboot` compares uptimes.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Sequence
from typing import Any

from pyinfra.api import Host, State, StringCommand, operation
from pyinfra.api.command import FunctionCommand, PyinfraCommand
from pyinfra.connectors.util import CommandOutput, OutputLine

from provision.engines.events import Events
from provision.engines.node import DECLARED
from provision.engines.pyinfra.connection import LOST, SHELL, Denied, insist_on_end
from provision.engines.pyinfra.node import Node
from provision.engines.render import apply_program
from provision.model import Entry
from provision.steps import Due


def title(entry: Entry) -> str:
    """What an operation on a resource is called."""
    return f"{entry.role} | {entry.name}"


def positions(order: Sequence[str], own: Collection[str]) -> tuple[str, ...]:
    """What a host with these resources loops over: the order that all hosts share, then what only it has."""
    return (*order, *(name for name in own if name not in order))


class Program(StringCommand):
    """A program on standard input whose progress lines are shown while it runs."""

    def __init__(self, node: Node, due: Due, text: str, together: Sequence[str]) -> None:
        super().__init__(*SHELL.bits)
        self.node, self.due, self.text, self.together = node, due, text, list(together)

    def execute(self, state: State, host: Host, connector_arguments: Any) -> Any:  # noqa: ARG002 - pyinfra calls it so
        name, events = self.due.entry.name, self.node.events
        events.write(
            "begin", host.name, resource=name, role=self.due.entry.role, why=self.due.why, together=self.together
        )
        begun = time.monotonic()
        arguments = {**connector_arguments, "_stdin": self.text}
        try:
            ok, output = host.run_shell_command(self, print_output=True, print_input=False, **arguments)
            if not ok:
                insist_on_end(host)
        except Denied as error:
            ok, output = False, CommandOutput([OutputLine("stderr", str(error))])
        except LOST as error:
            told = (
                f"{host.name}: the connection was lost during {name}: {str(error) or type(error).__name__}. "
                f"Unless it is down, what was begun goes on there by itself; run again when {host.name} answers"
            )
            events.write("lost", host.name, resource=name, evidence=told)
            raise OSError(told) from error
        seconds = round(time.monotonic() - begun, 2)
        if ok:
            events.write("ok", host.name, resource=name, seconds=seconds)
        else:
            events.write("failed", host.name, resource=name, seconds=seconds, evidence=output.stderr)
        return ok, CommandOutput([])  # it was shown while it came; pyinfra would show it once more


@operation(is_idempotent=False)
def carry_out(node: Node, due: Due, together: Sequence[Due] = ()) -> Generator[PyinfraCommand]:
    """Bring one resource to its desired state.

    + node: the node, as this run knows it
    + due: the entry and what differs
    + together: for packages: all of this boot's that are due, for its one transaction
    """
    text = apply_program(node.plan().plan, due, node.sender, together)
    yield Program(node, due, text, [one.entry.name for one in together])


@operation(is_idempotent=False)
def refuse(node: str, error: Exception, events: Events) -> Generator[PyinfraCommand]:
    """Fail one host with a sentence, and leave the others alone: an exception in deploy.py would stop them all.

    + node: the host
    + error: what happened, the evidence, what to do next
    + events: the run's events
    """
    yield refusal(node, str(error), events, is_input=isinstance(error, DECLARED))


def refusal(node: str, reason: str, events: Events, is_input: bool = False) -> FunctionCommand:
    """The command that fails one host with a sentence; `is_input`: what was declared of it is at fault."""

    def tell(state: State, host: Host) -> bool:  # noqa: ARG001 - pyinfra passes both by name
        return told_refused(host, node, reason, events, is_input)

    return FunctionCommand(tell, (), {})


def told_refused(host: Host, node: str, reason: str, events: Events, is_input: bool = False) -> bool:
    """Tell the run's events and whoever looks on why a node is not brought on. False: pyinfra's word for a failure."""
    events.write("refused", node, reason=reason, input=is_input)
    host.log_styled(reason, fg="red")
    return False
