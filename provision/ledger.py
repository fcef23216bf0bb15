"""The ledger on the controller: one JSON line per step and node; and the lock that keeps two runs apart.

It lies under `.provision/` of the working directory: `ledger/NODE.jsonl`, `readings/NODE.json`, `runs/RUN/`.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from provision.model import LedgerEntry, NodeSpec, Snapshot, digest
from provision.platforms import platform_for

STATE_VARIABLE = "PROVISION_STATE"


class AtWork(RuntimeError):
    """Another run of this controller is at work on a node."""


def state() -> Path:
    """The controller's own folder: `.provision` beside the inventory's project, or $PROVISION_STATE."""
    return Path(os.environ.get(STATE_VARIABLE) or Path.cwd() / ".provision")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Ledger:
    """One node's entries, oldest first."""

    def __init__(self, node: str, folder: Path | None = None) -> None:
        self.node = node
        self.path = (folder or state()) / "ledger" / f"{node}.jsonl"

    def entries(self, machine_id: str = "") -> tuple[LedgerEntry, ...]:
        """All entries, or those of one machine: a node that was made anew under its old name starts anew.

        A last line that a power cut left half written is passed over.
        """
        if not self.path.exists():
            return ()
        entries = [e for line in self.path.read_bytes().split(b"\n") if (e := _entry(line)) is not None]
        return tuple(e for e in entries if not machine_id or e.machine_id == machine_id)

    def add(self, entry: LedgerEntry) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = entry.model_dump_json().encode() + b"\n"
        with self.path.open("a+b") as file:
            file.write(line if _ends_whole(file) else b"\n" + line)
            file.flush()
            os.fsync(file.fileno())

    def is_rebooting(self) -> bool:
        """Was the last thing done to the node a reboot that nobody has seen the end of?"""
        entries = self.entries()
        return bool(entries) and entries[-1].step == "reboot"


def _ends_whole(file: BinaryIO) -> bool:
    """Is the last line whole? Behind a torn one a new entry would be lost with it."""
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _entry(line: bytes) -> LedgerEntry | None:
    try:
        return LedgerEntry.model_validate_json(line)
    except ValueError:
        return None


class Reading:
    """A node's first reading: versions are chosen once, from what its archive offered then, and kept."""

    def __init__(self, node: str, folder: Path | None = None) -> None:
        self.path = (folder or state()) / "readings" / f"{node}.json"

    def load(self) -> Snapshot | None:
        try:
            return Snapshot.model_validate_json(self.path.read_text())
        except (OSError, ValueError):
            return None

    def fitting(self, spec: NodeSpec) -> Snapshot | None:
        """The kept reading, unless it is of another system, or was asked for less, than is declared now.

        One of a node that had no package lists yet says nothing of what its archive offers.
        """
        kept = self.load()
        if kept is None or (kept.os, kept.arch) != (spec.os, spec.arch) or "offers" in kept.hidden:
            return None
        return kept if set(platform_for(spec.os, spec.arch).offered_names(spec)) <= set(kept.asked) else None

    def save(self, snapshot: Snapshot) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}")
        temporary.write_text(snapshot.model_dump_json(indent=1) + "\n")
        temporary.replace(self.path)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)


class NodeLocks(AbstractContextManager["NodeLocks"]):
    """Locks of several nodes, taken in one order so that two runs cannot wait for each other.

    The kernel frees them with the process, so a killed run blocks nobody.
    """

    def __init__(self, nodes: Iterable[str], folder: Path | None = None, wait: float = 600.0) -> None:
        self._nodes = sorted(set(nodes))
        self._folder = (folder or state()) / "locks"
        self._wait = wait
        self._open = ExitStack()
        self._descriptors: list[int] = []

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Of the locks that are held: a process that inherits them holds the locks too."""
        return tuple(self._descriptors)

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self._wait
        for node in self._nodes:
            file = self._open.enter_context((self._folder / node).open("a+"))
            while not _locked(file.fileno()):
                if time.monotonic() > deadline:
                    file.seek(0)
                    other = file.read().strip() or "unknown"
                    self._open.close()
                    raise AtWork(f"{node}: another run ({other}) is at work; run again later")
                time.sleep(0.2)
            file.truncate(0)
            file.write(f"process {os.getpid()} since {now()}")
            file.flush()
            self._descriptors.append(file.fileno())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def controller() -> str:
    """Who this controller is, in a node's lease: this machine and this state folder."""
    machine = Path("/etc/machine-id")
    name = machine.read_text().strip() if machine.exists() else ""
    return digest(f"{name or os.uname().nodename} {state().resolve()}")
