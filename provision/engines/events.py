"""Events of a run as JSON lines: an engine writes them, one renderer shows them, the run's folder keeps them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provision.ledger import state

RUN_VARIABLE = "PROVISION_RUN"
"""Folder of the run, set by `provision apply` for the engine it starts."""


def new_run() -> Path:
    """A new folder for a run: `.provision/runs/UTC-PID`."""
    folder = state() / "runs" / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    folder.mkdir(parents=True)
    return folder


def run_folder() -> Path:
    """The folder of this run: the one `provision apply` made, or a new one when the engine was started directly."""
    given = os.environ.get(RUN_VARIABLE)
    return Path(given) if given else new_run()


class Events:
    """The event file of one run. Every event has a time (seconds since the epoch) and a kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = (folder / "events.jsonl").open("a", buffering=1)

    def write(self, kind: str, node: str, **data: Any) -> None:
        self._file.write(json.dumps({"at": round(time.time(), 3), "event": kind, "node": node, **data}) + "\n")


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """The events of a run, oldest first; a half-written last line is passed over."""
    path = folder / "events.jsonl"
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
