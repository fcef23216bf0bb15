"""The remote commands of a run in either engine: each is told, and at one of them the run dies.

INTERRUPT_LOG    where to tell, as JSON lines: each connection, and each command when it is sent and when it returned
INTERRUPT_AT     the command to die at: its number, counted from 1 over all hosts, or what it is about
INTERRUPT_DELAY  seconds after it was sent; without it: right after it returned
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def watched(program: str, host: str, die: Callable[[], None], later: Callable[[float], None]) -> Iterator[None]:
    """Around one command. `die` ends the run at once, and `later` after so many seconds."""
    number, what = sent() + 1, title(program)
    tell(sent=number, host=host, what=what)
    last = os.environ.get("INTERRUPT_AT", "") in {str(number), what}
    delay = os.environ.get("INTERRUPT_DELAY")
    if last and delay:
        later(float(delay))
    try:
        yield
    finally:
        tell(returned=number)
        if last and not delay:
            die()


def tell(**fact: object) -> None:
    with log().open("a") as file:
        file.write(json.dumps({"at": time.time(), **fact}) + "\n")


def sent() -> int:
    """How many commands there were: a run of Ansible has a process for each task."""
    return log().read_text().count('"sent"')


def log() -> Path:
    return Path(os.environ["INTERRUPT_LOG"])


def title(program: str) -> str:
    """What a program is about: a resource, the reboot, or a question."""
    resource = re.search(r"printf '%s\\n' (\S+) >/run/provision/doing", program)
    if resource:
        return resource[1]
    if "systemctl reboot" in program:
        return "reboot"
    return "probe" if "say machine_id" in program else "boot-id"
