"""Keeps one node booted: starts systemd-nspawn, and again when the node asked for a reboot. A program of its own.

Only the standard library, because it runs isolated from the environment that started it and outlives it.
Called as: supervisor.py NODE_FOLDER MACHINE HOSTNAME NETWORK_NAMESPACE GROUP...
"""

from __future__ import annotations

import contextlib
import datetime
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

# systemd-nspawn --keep-unit ends with this code when the node rebooted; observed with systemd 252 (2026-11-21).
REBOOT = 133


def main() -> int:
    folder, machine, hostname, space = Path(sys.argv[1]), *sys.argv[2:5]
    groups = [Path(group) for group in sys.argv[5:]]
    _join([group / "supervisor" for group in groups])
    boot = 0
    while True:
        boot += 1
        # One group per boot: nspawn makes groups with controllers below its own, after which v2 takes no process in.
        boot_groups = [group / f"boot-{os.getpid()}-{boot}" for group in groups]
        _note(folder, "boot")
        code = subprocess.run(
            _command(folder, machine, hostname, space),
            stdin=subprocess.DEVNULL,
            check=False,
            preexec_fn=partial(_join, boot_groups),
            # The node brings its own cgroup name space; a systemd that is asked for v1 (hybrid host) refuses to boot.
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        ).returncode
        _note(folder, f"exit {code}")
        for group in boot_groups:
            _remove(group)
        if code != REBOOT:
            return code


def _command(folder: Path, machine: str, hostname: str, space: str) -> list[str]:
    # A time name space per boot, so that uptime starts at 0. The two clocks differ on a machine that has slept.
    monotonic = int(time.clock_gettime(time.CLOCK_MONOTONIC))
    boottime = int(time.clock_gettime(time.CLOCK_BOOTTIME))
    return [
        *("unshare", "--time", f"--monotonic=-{monotonic}", f"--boottime=-{boottime}", "--"),
        *("systemd-nspawn", "--quiet", "--boot", f"--directory={folder / 'root'}", "--settings=no"),
        *("--register=no", "--keep-unit", f"--machine={machine}", f"--hostname={hostname}"),
        *(f"--network-namespace-path=/run/netns/{space}", "--resolv-conf=off", "--timezone=off"),
        *("--link-journal=no", "--console=pipe"),
    ]


def _join(groups: list[Path]) -> None:
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.procs").write_text("0", encoding="ascii")


def _remove(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def _note(folder: Path, event: str) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    with (folder / "boots.log").open("a", encoding="ascii") as log:
        log.write(f"{now} {event}\n")


if __name__ == "__main__":
    sys.exit(main())
