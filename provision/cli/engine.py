"""An engine as a subprocess: started for a run, followed by its events, interrupted with us."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

import provision
from provision.cli.exits import Exit
from provision.cli.summary import Event
from provision.engines.events import RUN_VARIABLE

LOG = "engine.log"

INTERRUPTED = 130
"""What `follow` returns when a person ended the run; pyinfra itself says 0 then."""

SITE = "site.yml"
COLLECTION_SITE = "provision.core.site"
FLEET_PLUGIN = "provision.core.fleet"
PACKAGED_DEPLOY = Path(provision.__file__).parent / "engines" / "pyinfra" / "deploy_entry.py"
QUIET = {
    "PYINFRA_PROGRESS": "off",
    "PYTHONUNBUFFERED": "1",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
    "ANSIBLE_INVENTORY_ENABLED": FLEET_PLUGIN,
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
}
"""What the engines are told by environment: a log is written, and inventories are ours."""

LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 3
"""How long an interrupted engine may take to leave before it is killed; a run may be killed anywhere."""

FULL = ("--data", "full=true")
"""What `provision.engines.pyinfra.classic` goes by."""


def pyinfra_command(inventory: Path, nodes: Sequence[str], dry: bool, more: Sequence[str] = ()) -> list[str]:
    """pyinfra with the deploy.py of the working directory, or with ours where it has none; `more`: arguments of it."""
    own = Path("deploy.py")
    deploy = own if own.is_file() else PACKAGED_DEPLOY
    limits = [argument for node in nodes for argument in ("--limit", node)]
    # -P: a file of the working directory that happens to be called pyinfra.py must not be taken for pyinfra.
    return [
        sys.executable,
        "-P",
        "-m",
        "pyinfra",
        str(inventory),
        str(deploy),
        "-y",
        *limits,
        *(["--dry"] if dry else []),
        *more,
    ]


def ansible_command(inventory: Path, nodes: Sequence[str], dry: bool) -> list[str]:
    """Ansible with the site.yml of the working directory, or with the collection's where it has none."""
    own = Path(SITE)
    return [
        sys.executable,
        "-P",
        "-m",
        "ansible",
        "playbook",
        "-i",
        str(inventory),
        str(own) if own.is_file() else COLLECTION_SITE,
        *(["--limit", ",".join(nodes)] if nodes else []),
        *(["--check"] if dry else []),
    ]


def has_ansible() -> bool:
    """Is ansible-core installed beside us?"""
    return find_spec("ansible") is not None


def ansible_code(code: int) -> int:
    """Ansible's exit code as one of ours: its 2 and 4 tell of nodes (a wrong inventory was refused before)."""
    return code if code in {Exit.DONE, INTERRUPTED} else Exit.FAILED


def follow(command: Sequence[str], run: Path, show: Callable[[Sequence[Event]], None]) -> int:
    """Run an engine to its end.

    Args:
        command: the engine and its arguments.
        run: the run's folder; the engine's output is kept in it.
        show: gets the events as they come, several times a second, also when there are none.

    Returns: the engine's exit code, or INTERRUPTED.
    """
    events = _lines(run / "events.jsonl")
    with _started(command, run) as (child, interrupted):
        while True:
            ended = child.poll() is not None
            show(next(events))
            if ended:
                return INTERRUPTED if interrupted() else child.returncode
            time.sleep(LOOK_SECONDS)


def _lines(path: Path) -> Iterator[list[Event]]:
    """Again and again the events that were written since the last time; a half-written line waits for its end."""
    offset = 0
    while True:
        new: list[Event] = []
        if path.exists():
            with path.open("rb") as file:
                file.seek(offset)
                whole, newline, _ = file.read().rpartition(b"\n")
            offset += len(whole) + len(newline)
            new = [json.loads(line) for line in whole.splitlines()]
        yield new


@contextmanager
def _started(command: Sequence[str], run: Path) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], bool]]]:
    """An engine that a wish to end is passed on to; killed when it does not leave in time, or when it is wished again.

    We listen before it starts: what we ignore, as a job in the background does, it would ignore for good.
    """
    wishes: list[int] = []
    children: list[subprocess.Popen[bytes]] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        wishes.append(number)
        for child in children:
            if number == signal.SIGALRM or len(wishes) > 1:
                child.kill()
            else:
                _ask_to_end(child)

    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.signal(number, forward) for number in watched}
    try:
        children.append(_start(command, run))
        if wishes:
            _ask_to_end(children[0])
        yield children[0], lambda: bool(wishes)
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(command: Sequence[str], run: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **QUIET, RUN_VARIABLE: str(run.resolve())}
    with (run / LOG).open("wb") as log:
        # In a session of its own, so that Ctrl-C reaches the engine once, from us.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _ask_to_end(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGINT)
    signal.alarm(PATIENCE_SECONDS)
