"""How we talk to a node through pyinfra's ssh connector, and the defects of pyinfra 3.10 that this covers.

Each function names the defect it covers, so that it can go when upstream has mended it.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

import paramiko
from pyinfra.api import Host, StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.util import CommandOutput, clear_askpass_cache

SHELL = StringCommand("sh", "-s")
"""Programs travel on standard input: an argument ends at 128 KiB, and would be seen in the process list."""

LOST = (OSError, EOFError, paramiko.SSHException, ConnectError, TimeoutError)
"""What a connection that went away looks like."""


class Unanswered(RuntimeError):
    """A program did not run to its end on the node."""


def without_delay() -> None:
    """Set TCP_NODELAY: paramiko 4 leaves Nagle's algorithm on, which costs some 43 ms per command."""
    connect: Callable[..., None] = paramiko.Transport.__init__
    if getattr(connect, "without_delay", False):
        return

    def initialise(self: paramiko.Transport, sock: Any, *args: Any, **kwargs: Any) -> None:
        connect(self, sock, *args, **kwargs)
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    initialise.without_delay = True  # type: ignore[attr-defined]
    paramiko.Transport.__init__ = initialise  # type: ignore[method-assign]


def speed_up(host: Host) -> None:
    """The same for a connection that is open already: pyinfra connects before it executes a deploy.py."""
    transport = host.connector.client.get_transport() if getattr(host.connector, "client", None) else None
    if transport is not None:
        with contextlib.suppress(OSError, AttributeError):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def ask(host: Host, program: str, timeout: float | None = None) -> str:
    """Run a program and return its standard output. Raises: Unanswered, or one of LOST."""
    ok, output = run(host, program, timeout)
    if not ok:
        raise Unanswered(output.stderr.strip() or output.stdout.strip()[-300:] or "no word from the node")
    return str(output.stdout)


def run(host: Host, program: str, timeout: float | None = None) -> tuple[bool, CommandOutput]:
    """Run a program with the privileges of the inventory: `host.run_shell_command` does not take `_sudo` from it."""
    ok, output = host.run_shell_command(SHELL, _stdin=program, _timeout=timeout, **privileges(host))
    return bool(ok), output


def privileges(host: Host) -> dict[str, Any]:
    """Host data first, then the command line's `--sudo`."""
    return {
        "_sudo": host.data.get("_sudo", host.state.config.SUDO),
        "_sudo_user": host.data.get("_sudo_user", host.state.config.SUDO_USER),
    }


def reconnect(host: Host) -> None:
    """A new connection to the node: `disconnect` leaves the paramiko client open. Raises: one of LOST."""
    clear_askpass_cache(host)
    client = host.connector.client
    if client is not None:
        client.close()
    host.connector.disconnect()
    host.connector.connect()


def wait_until(host: Host, program: str, accept: Callable[[str], bool], timeout: float, pause: float = 0.3) -> str:
    """Ask again over new connections until an answer is accepted; wall-clock, not a count of tries.

    Raises: TimeoutError.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        time.sleep(pause)
        try:
            reconnect(host)
            answer = ask(host, program, timeout=10)
        except (*LOST, Unanswered):
            continue
        if accept(answer):
            return answer
    raise TimeoutError
