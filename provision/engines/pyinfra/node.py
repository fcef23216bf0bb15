"""A node of a pyinfra run: the engine's node, reached through pyinfra's host."""

from __future__ import annotations

from pyinfra.api import Host

from provision.engines import node
from provision.engines.events import Events
from provision.engines.link import Lost
from provision.engines.node import Refused
from provision.engines.pyinfra import connection
from provision.engines.render import Sender
from provision.model import NodeSpec
from provision.planning import Plans

__all__ = ["Node", "Refused"]


class HostLink:
    """pyinfra's connection to a host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def ask(self, program: str, timeout: float | None = None) -> str:
        try:
            return connection.ask(self._host, program, timeout)
        except connection.LOST as error:
            raise Lost(str(error)) from error

    def reconnect(self) -> None:
        try:
            connection.reconnect(self._host)
        except connection.LOST as error:
            raise Lost(str(error)) from error


class Node(node.Node):
    """A node while pyinfra is at work on it."""

    def __init__(self, host: Host, spec: NodeSpec, plans: Plans, sender: Sender, events: Events) -> None:
        super().__init__(HostLink(host), spec, plans, sender, events)
        self.host = host
