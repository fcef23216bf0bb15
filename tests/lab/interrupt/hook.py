"""A configuration of pyinfra (`--config`) for tests: tells of every remote command, and dies at one of them.

INTERRUPT_LOG    where to tell, as JSON lines: each connection, and each command when it is sent and when it returned
INTERRUPT_AT     the command to die at: its number, counted from 1 over all hosts, or what it is about
INTERRUPT_DELAY  seconds after it was sent; without it: right after it returned
"""

import json
import os
import re
import signal
import time

import gevent
from pyinfra.connectors.ssh import SSHConnector

from provision.engines.pyinfra.connection import without_delay

without_delay()

AT = os.environ.get("INTERRUPT_AT", "")
DELAY = os.environ.get("INTERRUPT_DELAY")


class Commands:
    """All remote commands of this process."""

    sent = 0

    def tell(self, **fact: object) -> None:
        with open(os.environ["INTERRUPT_LOG"], "a") as log:  # noqa: PTH123 - as plain as can be
            log.write(json.dumps({"at": time.time(), **fact}) + "\n")

    def run(self, connector: SSHConnector, *arguments: object, **options: object) -> object:
        self.sent += 1
        number, what = self.sent, title(str(options.get("_stdin", "")))
        self.tell(sent=number, host=connector.host.name, what=what)
        last = AT in {str(number), what}
        if last and DELAY:
            gevent.spawn_later(float(DELAY), die)
        try:
            return run_shell_command(connector, *arguments, **options)
        finally:
            self.tell(returned=number)
            if last and not DELAY:
                die()


def title(program: str) -> str:
    """What a program is about: a resource, the reboot, or a question."""
    resource = re.search(r"printf '%s\\n' (\S+) >/run/provision/doing", program)
    if resource:
        return resource[1]
    if "systemctl reboot" in program:
        return "reboot"
    return "probe" if "say machine_id" in program else "boot-id"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_tell(self: SSHConnector, *arguments: object, **options: object) -> object:
    return commands.run(self, *arguments, **options)


def connect_and_tell(self: SSHConnector) -> None:
    connect(self)
    commands.tell(connected=self.host.name)


# pyinfra may read this file more than once in a process.
if not hasattr(SSHConnector, "is_watched"):
    commands = Commands()
    run_shell_command, connect = SSHConnector.run_shell_command, SSHConnector.connect
    SSHConnector.is_watched = True
    SSHConnector.run_shell_command = run_and_tell
    SSHConnector.connect = connect_and_tell
