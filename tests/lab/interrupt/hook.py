"""A configuration of pyinfra (`--config`) for tests: tells of every remote command, and dies at one of them."""

import os
import signal

import gevent
from pyinfra.connectors.ssh import SSHConnector

from interrupt.commands import tell, watched
from provision.engines.pyinfra.connection import without_delay

without_delay()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_tell(self: SSHConnector, *arguments: object, **options: object) -> object:
    program = str(options.get("_stdin", ""))
    with watched(program, self.host.name, die, lambda delay: gevent.spawn_later(delay, die)):
        return run_shell_command(self, *arguments, **options)


def connect_and_tell(self: SSHConnector) -> None:
    connect(self)
    tell(connected=self.host.name)


# pyinfra may read this file more than once in a process.
if not hasattr(SSHConnector, "is_watched"):
    run_shell_command, connect = SSHConnector.run_shell_command, SSHConnector.connect
    SSHConnector.is_watched = True
    SSHConnector.run_shell_command = run_and_tell
    SSHConnector.connect = connect_and_tell
