"""One run of Ansible: its tasks run in processes of their own, so what they share lies in files and in the parent."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

from provision.engines.events import RUN_VARIABLE
from provision.ledger import NodeLocks, state

HOLD = """
import os, select, sys
try:
    select.select([os.pidfd_open(int(sys.argv[1]))], [], [])
except ProcessLookupError:
    pass
"""


def playbook() -> int:
    """The process of ansible-playbook: of a task the one that forked it, whether or not that is still there."""
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid


def leave_with_playbook() -> None:
    """End this task's process where its playbook's has ended.

    A task outlives a playbook that was killed, and would go on with the rest of its loop, unheard, beside the next run:
    the node's lock on this controller went with the playbook. What it waits for on the node goes on there anyway.
    """
    if playbook() not in {os.getpid(), os.getppid()}:
        os._exit(1)


def folder() -> Path:
    """The folder of this run: the one that `provision apply` made, or one named for the ansible-playbook process."""
    given = os.environ.get(RUN_VARIABLE)
    if given:
        return Path(given)
    begun = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(_started(playbook())))
    made = state() / "runs" / f"{begun}-{playbook()}"
    made.mkdir(parents=True, exist_ok=True)
    return made


def hold(node: str) -> None:
    """Keep other runs of this controller off a node until the ansible-playbook process ends. Raises: AtWork.

    A task's process ends with the task. So the lock is left to a process that does nothing but outlive it.
    """
    with NodeLocks([node]) as locks:
        subprocess.Popen(
            [sys.executable, "-IS", "-c", HOLD, str(playbook())],
            pass_fds=locks.descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def _started(process: int) -> float:
    """When a process began, in seconds since the epoch (proc(5), field 22 of stat)."""
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    return int(boot.split()[1]) + int(ticks) / os.sysconf("SC_CLK_TCK")
