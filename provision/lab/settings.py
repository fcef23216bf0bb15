"""Kernel settings of this machine that nodes need: raised by the first lab, put back by the last one to leave.

The record lies under /run, which a reboot empties together with the settings it tells of.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

RECORD = Path("/run/provision-lab")
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")

# A booted trixie node holds about 10 inotify instances; the kernel's default of 128 stops about 12 nodes.
INOTIFY_PER_NODE = 10
INOTIFY_OF_HOST = 64


def wanted(nodes: int) -> dict[Path, int]:
    """The least values under which so many nodes run."""
    return {FORWARD: 1, INOTIFY: INOTIFY_OF_HOST + INOTIFY_PER_NODE * nodes}


def join(lab: str, state: Path, wants: Mapping[Path, int]) -> None:
    with _record() as before:
        (RECORD / f"lab-{lab}").write_text(str(state), encoding="utf-8")
        for setting, value in wants.items():
            present = int(setting.read_text(encoding="ascii"))
            if present < value:
                before.setdefault(str(setting), present)
                setting.write_text(str(value), encoding="ascii")


def leave(lab: str) -> None:
    """Forgets this lab; puts the settings back when no lab with a living state folder is left."""
    if not RECORD.exists():
        return
    with _record() as before:
        (RECORD / f"lab-{lab}").unlink(missing_ok=True)
        for other in RECORD.glob("lab-*"):
            if Path(other.read_text(encoding="utf-8")).exists():
                return
            other.unlink()
        for setting, value in before.items():
            Path(setting).write_text(str(value), encoding="ascii")
        before.clear()


@contextmanager
def _record() -> Iterator[dict[str, int]]:
    RECORD.mkdir(mode=0o755, exist_ok=True)
    path = RECORD / "before.json"
    with (RECORD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        try:
            yield before
        finally:
            _keep(path, before)


def _keep(path: Path, before: Mapping[str, int]) -> None:
    if not before:
        path.unlink(missing_ok=True)
        return
    part = path.with_suffix(".part")
    part.write_text(json.dumps(before), encoding="utf-8")
    part.replace(path)
