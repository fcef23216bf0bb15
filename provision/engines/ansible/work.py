"""One node in one task of a play: the way to it, what is declared of it, what the tasks before this one left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from provision.engines.ansible import run
from provision.engines.ansible.kept import Kept, kept
from provision.engines.events import Events, read
from provision.engines.link import Lost, Unanswered
from provision.engines.node import DECLARED, Node
from provision.engines.render import Sender
from provision.ledger import controller
from provision.model import NodeSpec, Plan
from provision.planning import Plans, Room

Tell = Callable[[str], None]
"""Shows a person one line, at once."""


class Answer(NamedTuple):
    """What a program did on a node."""

    code: int
    output: str
    errors: str


class ActionLink:
    """Ansible's connection to a host, as its action plugins have it. `send` and `reset` raise Lost.

    `peek` is a second word with the host while `send` has not returned; its answer is empty where there is none.
    """

    def __init__(
        self, send: Callable[[str], Answer], reset: Callable[[], None], peek: Callable[[str], str], tell: Tell
    ) -> None:
        self.send, self.peek, self.tell, self._reset = send, peek, tell, reset

    def ask(self, program: str, timeout: float | None = None) -> str:  # noqa: ARG002 - Ansible has a timeout of its own
        answer = self.send(program)
        if answer.code != 0:
            raise Unanswered(answer.errors.strip() or answer.output.strip()[-300:] or "no word from the node")
        return answer.output

    def reconnect(self) -> None:
        self._reset()


class Task(NamedTuple):
    """What Ansible says about a task and its host. `roles`: those that the run is limited to, or None."""

    host: str
    spec: NodeSpec
    rooms: dict[str, Room]
    roles: frozenset[str] | None
    facts: Mapping[str, Any]


class Work:
    """A node while one task is at work on it."""

    def __init__(self, link: ActionLink, task: Task) -> None:
        folder = run.folder()
        self.run = folder.name
        self.roles = task.roles
        self.link = link
        self.events = Events(folder)
        sender = Sender(controller=controller(), run=self.run, node=task.host)
        self.node = Node(link, task.spec, Plans(task.rooms), sender, self.events)
        self._left = kept(task.facts, self.run)

    @property
    def plan(self) -> Plan:
        """Raises: as `Node.plan`."""
        return self.node.plan().plan

    def begin(self) -> None:
        """Once in a run: keep other runs off the node. Raises: AtWork."""
        if self._left is None:
            run.hold(self.node.name)

    def kept(self) -> Kept | None:
        """What the last reading for this plan said; None when there was none in this run."""
        return self._left if self._left is not None and self._left.plan == self.plan.digest else None

    def refused(self, error: Exception) -> None:
        """Tell the run's events why the node is not brought on.

        But for a node that the run did not reach: that no event tells of it is how it is known.
        """
        node = self.node.name
        if isinstance(error.__cause__, Lost) and not any(event["node"] == node for event in read(self.events.folder)):
            return
        self.events.write("refused", node, reason=str(error), input=isinstance(error, DECLARED))
