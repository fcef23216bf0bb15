"""ansible-playbook for tests: tells of every remote command, and dies at one of them.

Only the playbook's own process dies, as by `kill -9`: the task at work is left behind, which is the worse case.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from threading import Timer
from typing import Any

from ansible.cli.playbook import main

from interrupt.commands import watched
from provision.engines.ansible.run import playbook
from provision.engines.ansible.work import ActionLink, Answer


def die() -> None:
    os.kill(playbook(), signal.SIGKILL)


def later(delay: float) -> None:
    timer = Timer(delay, die)
    timer.daemon = True
    timer.start()


def initialise(self: ActionLink, send: Callable[[str], Answer], *more: Any) -> None:
    def send_and_tell(program: str) -> Answer:
        with watched(program, "", die, later):
            return send(program)

    begin(self, send_and_tell, *more)


begin, ActionLink.__init__ = ActionLink.__init__, initialise

if __name__ == "__main__":
    sys.exit(main(["ansible-playbook", *sys.argv[1:]]))
