"""Runs a program of this machine to its end."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

from provision.lab.error import LabError

# `su` without a dash leaves a root shell without the sbin directories, where ip, nft and chroot live on Debian.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def find(name: str) -> str | None:
    return shutil.which(name, path=PATH)


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8"}


def run(*argv: str, stdin: str = "") -> str:
    """Standard output of the program; LabError with its last words when it is missing or fails."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, env=environment())
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed on this machine; `provision lab requirements` names it") from error
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or "nothing was printed"
        raise LabError(f"`{shlex.join(argv)}` on this machine ended with exit code {done.returncode}: {said[-800:]}")
    return done.stdout


def succeeds(*argv: str) -> bool:
    """True when the program ran and exited 0; what it prints is dropped."""
    try:
        return subprocess.run(argv, capture_output=True, check=False, env=environment()).returncode == 0
    except FileNotFoundError:
        return False
