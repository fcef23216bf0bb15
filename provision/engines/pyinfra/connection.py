"""How we talk to a node through pyinfra's ssh connector, and the defects of pyinfra 3.10 that this covers.

Each function names the defect it covers, so that it can go when upstream has mended it.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable
from typing import Any

import paramiko
from pyinfra.api import Host, StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors import util
from pyinfra.connectors.util import CommandOutput, clear_askpass_cache

from provision.engines.link import Unanswered

SHELL = StringCommand("sh", "-s")
"""Programs travel on standard input: an argument ends at 128 KiB, and would be seen in the process list."""

LOST = (OSError, EOFError, paramiko.SSHException, ConnectError, TimeoutError)
"""What a connection that went away looks like."""


SILENCE_SECONDS = 20
"""A node whose kernel answers nothing for so long is gone: the network was cut, or its power."""


class Denied(RuntimeError):
    """The node lets us in, and not become root."""


def prepare() -> None:
    """What has to be so before anything is sent; may be called again."""
    prompt_at_terminals_only()
    without_delay()


def prompt_at_terminals_only() -> None:
    """Without a terminal pyinfra asks for sudo's password all the same, and ends with an EOFError without a word."""
    ask_person: Callable[[str], str] = util.getpass
    if getattr(ask_person, "at_terminals_only", False):
        return

    def getpass(prompt: str) -> str:
        if sys.stdin.isatty():
            return ask_person(prompt)
        raise Denied(
            "sudo asks for a password on this node, and there is no terminal to type it at. "
            "Let this user become root without one (NOPASSWD in sudoers), or log in as root; then run again"
        )

    getpass.at_terminals_only = True  # type: ignore[attr-defined]
    util.getpass = getpass


def without_delay() -> None:
    """Tune every connection that is made from now on, see `_tune`: reboots and lost connections make new ones."""
    connect: Callable[..., None] = paramiko.Transport.__init__
    if getattr(connect, "tuned", False):
        return

    def initialise(self: paramiko.Transport, sock: Any, *args: Any, **kwargs: Any) -> None:
        connect(self, sock, *args, **kwargs)
        _tune(sock)

    initialise.tuned = True  # type: ignore[attr-defined]
    paramiko.Transport.__init__ = initialise  # type: ignore[method-assign]


def tune_open_socket(host: Host) -> None:
    """The same for a connection that is open already: pyinfra connects before it executes a deploy.py."""
    transport = _transport(host)
    if transport is not None:
        _tune(transport.sock)


def _tune(sock: Any) -> None:
    """No delay: paramiko 4 leaves Nagle's algorithm on, which costs some 43 ms per command.

    An end: whoever waits for a command's output sends nothing, and would wait forever for a node that went away.
    """
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENCE_SECONDS // 3)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, SILENCE_SECONDS // 6)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_SECONDS * 1000)


def _transport(host: Host) -> paramiko.Transport | None:
    client = getattr(host.connector, "client", None)
    return client.get_transport() if client else None


def insist_on_end(host: Host) -> None:
    """pyinfra takes a command whose connection went away for one that failed. Raises: ConnectionError."""
    transport = _transport(host)
    if transport is None or not transport.is_active():
        raise ConnectionError("the node went silent, or closed the connection")


def ask(host: Host, program: str, timeout: float | None = None) -> str:
    """Run a program and return its standard output. Raises: Unanswered, or one of LOST."""
    ok, output = run(host, program, timeout)
    if not ok:
        raise Unanswered(output.stderr.strip() or output.stdout.strip()[-300:] or "no word from the node")
    return str(output.stdout)


def run(host: Host, program: str, timeout: float | None = None) -> tuple[bool, CommandOutput]:
    """Run a program with the privileges of the inventory: `host.run_shell_command` does not take `_sudo` from it."""
    ok, output = host.run_shell_command(SHELL, _stdin=program, _timeout=timeout, **privileges(host))
    if not ok:
        insist_on_end(host)
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
