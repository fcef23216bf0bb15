"""Keeps one QEMU: writes its console with time stamps, and what happens to the machine. A program of its own.

Only the standard library, because it runs isolated from the environment that started it and outlives it.
Called as: supervisor.py FOLDER CGROUP_FOLDER... -- PROGRAM ARGUMENT...
"""

from __future__ import annotations

import datetime
import json
import os
import re
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ESCAPES = re.compile(rb"\x1b(\[[0-9;?=!]*[A-Za-z]|\][^\x07]*\x07)")
"""What UEFI and GRUB move the cursor with (ECMA-48 control sequences)."""

PROMPT_SECONDS = 1.0
"""A line without an end that stays so long is a prompt, and is written down."""

TOLD = ("RESET", "SHUTDOWN", "POWERDOWN", "WATCHDOG", "GUEST_PANICKED", "STOP", "RESUME")


def main() -> int:
    split = sys.argv.index("--")
    folder, groups, command = Path(sys.argv[1]), sys.argv[2:split], sys.argv[split + 1 :]
    for group in groups:
        Path(group, "cgroup.procs").write_text("0", encoding="ascii")
    # The name has to fit a unix socket's path; the folder's may be longer.
    os.chdir(folder)
    Path("events").unlink(missing_ok=True)
    note("boot")
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    ) as qemu:
        assert qemu.stdout is not None
        watch(qemu.stdout.fileno())
        code = qemu.wait()
    note(f"exit {code}")
    return code


def watch(console: int) -> None:
    """Until QEMU closes its console."""
    events, told, line = None, b"", b""
    while True:
        events = events or subscribe()
        sources = [console] if events is None else [console, events.fileno()]
        ready, _, _ = select.select(sources, [], [], PROMPT_SECONDS if events else 0.1)
        if console in ready:
            more = os.read(console, 65536)
            if not more:
                write(line)
                return
            *whole, line = (line + more).split(b"\n")
            for one in whole:
                write(one)
        elif line and not ready:
            write(line)
            line = b""
        if events and events.fileno() in ready:
            more = heard(events)
            if not more:
                events = None
            *documents, told = (told + more).split(b"\n")
            for document in documents:
                tell(json.loads(document))


def subscribe() -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect("events")
        connection.sendall(b'{"execute":"qmp_capabilities"}\n')
    except OSError:
        connection.close()
        return None
    return connection


def heard(events: socket.socket) -> bytes:
    """Nothing when QEMU ended, which may also look like a broken connection."""
    try:
        return events.recv(65536)
    except ConnectionError:
        return b""


def tell(document: dict[str, Any]) -> None:
    event = document.get("event")
    if event not in TOLD:
        return
    data = document.get("data", {})
    note(" ".join([event.lower(), *(f"{key}={data[key]}" for key in sorted(data))]))
    if event == "RESET":
        note("boot")


def write(line: bytes) -> None:
    text = ESCAPES.sub(b"", line).decode(errors="replace").strip("\r")
    if text:
        print(f"{now()} {text}", flush=True)


def note(event: str) -> None:
    with Path("boots.log").open("a", encoding="utf-8") as log:
        log.write(f"{now()} {event}\n")


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    sys.exit(main())
