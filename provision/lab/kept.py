"""What is built once and kept in the store: a folder that is there whole or not at all."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

from provision.lab import mounts

PART = ".part"


def provide(folder: Path, lock_name: str, build: Callable[[Path, int], None]) -> Path:
    """The folder, built where it is missing: `build` gets a folder to make, and a lock for the programs it starts.

    Programs that inherit the lock keep the next build out when their controller was killed. An interrupted build
    leaves only a `.part` folder, which the next build deletes.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / lock_name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        part = folder.with_name(folder.name + PART)
        mounts.unmount_below(part)
        mounts.remove_tree(part)
        build(part, lock.fileno())
        part.rename(folder)
    return folder
