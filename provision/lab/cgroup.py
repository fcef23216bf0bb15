"""One control group per node: who is alive in it is asked of the kernel, never of a file with a process number.

Run on a hybrid machine (v2 beside v1) and on a mounted pure v2 tree; not yet under a systemd that owns that tree.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from provision.lab import mounts
from provision.lab.error import LabError


def usable() -> bool:
    """True when a cgroup v2 tree is mounted and this kernel can kill a whole group at once (cgroup.kill)."""
    unified = _unified()
    # The root group has no cgroup.kill; any child has it where the kernel does.
    return unified is not None and (any(unified.glob("*/cgroup.kill")) or _can_make(unified))


class Group:
    """A group of the same name in every tree systemd uses: pure v2, or v2 beside v1's name=systemd (hybrid)."""

    def __init__(self, name: str) -> None:
        unified = _unified()
        if unified is None:
            raise LabError("No cgroup v2 tree is mounted on this machine, and lab nodes are kept in one.")
        self.paths = tuple(tree / name for tree in (unified, *_named_v1()))

    def create(self) -> None:
        for path in self.paths:
            path.mkdir(parents=True, exist_ok=True)

    def processes(self) -> tuple[int, ...]:
        """Living processes in the group and below it; a zombie is not listed by the kernel."""
        found: list[int] = []
        # Groups vanish while they are read, as those of a node that stops do: os.walk passes over them, rglob raises.
        for folder, _, _ in os.walk(self.paths[0]):
            with contextlib.suppress(OSError):
                members = Path(folder, "cgroup.procs").read_text(encoding="ascii")
                found += [int(line) for line in members.split()]
        return tuple(found)

    @property
    def populated(self) -> bool:
        try:
            return "populated 1" in (self.paths[0] / "cgroup.events").read_text(encoding="ascii")
        except FileNotFoundError:
            return False

    def kill(self, seconds: float = 20) -> None:
        """SIGKILL to everything in the group at once, and back when nothing of it lives."""
        with contextlib.suppress(FileNotFoundError):
            (self.paths[0] / "cgroup.kill").write_text("1", encoding="ascii")
        if not self.empties_within(seconds):
            raise LabError(
                f"Processes {self.processes()} in {self.paths[0]} survive SIGKILL, probably inside a system call; "
                "look at `cat /proc/PID/stack`, then run the command again."
            )

    def empties_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.populated:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def remove(self) -> None:
        for path in self.paths:
            _remove_empty(path)
            with contextlib.suppress(OSError):
                path.parent.rmdir()


def groups_below(name: str) -> tuple[str, ...]:
    """Names of the groups directly below `name`, whoever made them."""
    unified = _unified()
    if unified is None or not (unified / name).is_dir():
        return ()
    return tuple(sorted(child.name for child in (unified / name).iterdir() if child.is_dir()))


def _remove_empty(path: Path) -> None:
    for folder, _, _ in os.walk(path, topdown=False):
        # The kernel lets go of a group some time after its last process; a later command removes what stays now.
        for _attempt in range(50):
            try:
                Path(folder).rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.01)


def _unified() -> Path | None:
    trees = [mount.target for mount in mounts.table() if mount.kind == "cgroup2"]
    return next((tree for tree in trees if tree.is_relative_to("/sys/fs/cgroup")), None)


def _named_v1() -> tuple[Path, ...]:
    named = [m.target for m in mounts.table() if m.kind == "cgroup" and "name=systemd" in m.options.split(",")]
    return tuple(tree for tree in named if tree.is_relative_to("/sys/fs/cgroup"))[:1]


def _can_make(unified: Path) -> bool:
    trial = unified / f"provision-lab-trial-{os.getpid()}"
    try:
        trial.mkdir()
    except OSError:
        return False
    found = (trial / "cgroup.kill").exists()
    trial.rmdir()
    return found
