"""Mounts of this machine: read from the kernel, and never deleted through."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from provision.lab import program
from provision.lab.error import LabError
from provision.model import Frozen

NSPAWN_RUN = Path("/run/systemd/nspawn")


class Mount(Frozen):
    target: Path
    kind: str
    options: str
    """The file system's own options, e.g. `rw,xattr,name=systemd`."""


def parse(mountinfo: str) -> tuple[Mount, ...]:
    """Lines of /proc/PID/mountinfo (proc_pid_mountinfo(5)), in the order they were mounted."""
    return tuple(_parse_line(line) for line in mountinfo.splitlines())


def table() -> tuple[Mount, ...]:
    return parse(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))


def below(path: Path) -> tuple[Path, ...]:
    """Mount points at and below the path, last mounted first: the order in which they come off."""
    top = path.resolve()
    return tuple(mount.target for mount in reversed(table()) if mount.target.is_relative_to(top))


def mount_overlay(root: Path, lower: tuple[Path, ...], upper: Path, work: Path) -> None:
    """Mounts at `root`; the first of `lower` is the topmost read-only layer."""
    layers = ":".join(str(path) for path in lower)
    if any(character in str(path) for path in (*lower, upper, work) for character in ":,\\"):
        raise LabError(
            f"overlayfs cannot take a path with a colon, comma or backslash ({upper}); move the state folder."
        )
    options = f"lowerdir={layers},upperdir={upper},workdir={work}"
    try:
        program.run("mount", "-t", "overlay", "overlay", "-o", options, str(root))
    except LabError as error:
        raise LabError(
            f"{error} The state folder must lie on a local file system such as ext4, xfs or btrfs, not on NFS and not "
            "on another overlay: point PROVISION_LAB to one."
        ) from error


def unmount_below(path: Path) -> None:
    for target in below(path):
        _unmount(target)


def unmount_nspawn(machine: str) -> None:
    """What a killed systemd-nspawn leaves mounted under /run; from systemd 254 on it refuses to start over it."""
    for mount in reversed(table()):
        if mount.target.is_relative_to(NSPAWN_RUN) and mount.target.name == machine:
            _unmount(mount.target)


def remove_tree(path: Path) -> None:
    """Deletes a folder, after checking that nothing is mounted in it."""
    if mounted := below(path):
        raise LabError(
            f"{mounted[0]} is still mounted, so {path} is not deleted; unmount it and run the command again."
        )
    if path.exists():
        shutil.rmtree(path)


def _unmount(target: Path) -> None:
    # A name space that a killed node leaves behind goes away some milliseconds after its last process.
    for _attempt in range(100):
        if program.succeeds("umount", str(target)):
            return
        time.sleep(0.02)
    program.run("umount", "--lazy", str(target))


def _parse_line(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    target = before.split(" ")[4].encode(errors="surrogateescape").decode("unicode_escape")
    kind, _source, options = after.split(" ", 2)
    return Mount(target=Path(os.fsdecode(target.encode("latin-1"))), kind=kind, options=options)
