"""Programs of another architecture on this machine, for as long as a root of that architecture is built.

QEMU's static user emulation is registered with the kernel (binfmt_misc) under a name of ours and with the flag F, under
which the kernel keeps the interpreter open, so that it is found inside any root.
"""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

from provision.lab import program
from provision.lab.error import LabError
from provision.model import digest

INTERPRETER_MAX = 127
"""Linux, Documentation/admin-guide/binfmt-misc.rst."""

_MOUNT = """
set -eu
dir=/proc/sys/fs/binfmt_misc
[ -e $dir/register ] || mount -t binfmt_misc binfmt_misc $dir
gone() { [ ! -e "$dir/$entry" ] || echo -1 >"$dir/$entry"; }
entry=$1
"""

_REGISTERED = (
    _MOUNT
    + """
line=$2
shift 2
gone
trap gone EXIT
trap 'exit 130' HUP INT TERM
printf %s "$line" >$dir/register
"$@"
"""
)

_FORGET = ("unshare", "--mount", "--propagation", "private", "--", "sh", "-c", f"{_MOUNT}gone", "sh")


def entry(folder: Path) -> str:
    return f"provision-lab-{digest(str(folder.absolute()))[:6]}"


def wrapper(folder: Path, tools: Path, arch: str) -> tuple[str, ...]:
    """Runs what follows with the interpreter registered, inside a mount name space of its own."""
    if not (_knows_binfmt() or program.succeeds("modprobe", "--quiet", "binfmt_misc")):
        raise LabError(f"A root of {arch} needs binfmt_misc, which this machine's kernel does not have.")
    return ("sh", "-c", _REGISTERED, "sh", entry(folder), rule(tools, entry(folder), arch))


def rule(tools: Path, name: str, arch: str) -> str:
    """binfmt.d(5): `:NAME:M:OFFSET:MAGIC:MASK:INTERPRETER:FLAGS`, as Debian's qemu-user words it."""
    path = tools / f"usr/share/qemu/binfmt.d/qemu-{arch}.conf"
    if not path.exists():
        raise LabError(f"The tools root has no emulation of {arch} programs ({path} is missing).")
    interpreter = str(tools / f"usr/bin/qemu-{arch}")
    if len(interpreter) > INTERPRETER_MAX or ":" in interpreter:
        raise LabError(
            f"The kernel takes no interpreter by the path {interpreter}: longer than {INTERPRETER_MAX} characters, "
            "or with a colon. Move the state folder (PROVISION_LAB)."
        )
    _, _, kind, offset, magic, mask, _, flags = path.read_text(encoding="ascii").strip().split(":")
    return ":".join(["", name, kind, offset, magic, mask, interpreter, flags])


def forget(folder: Path, lock: Path) -> None:
    """Takes away what a build that was killed left registered; a build that holds its lock is left alone."""
    if not lock.exists():
        return
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        subprocess.run([*_FORGET, entry(folder)], check=False, capture_output=True, env=program.environment())


def _knows_binfmt() -> bool:
    return "binfmt_misc" in Path("/proc/filesystems").read_text(encoding="ascii").split()
