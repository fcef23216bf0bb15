"""sections/system.sh and firmware.sh: the operating system's own description, failed units, Secure Boot."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import split
from typing import Any

from provision.model.machine import Firmware
from provision.probe.rows import last, number, table


def system(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    rows = table(lines, {"os_release": 1, "tainted": 1, "failed_unit": 1})
    return {
        "os_release": dict(_assignment(line) for (line,) in rows["os_release"] if "=" in line and line[:1] != "#"),
        "tainted": number(last(rows, "tainted")),
        "failed_units": tuple(unit for (unit,) in rows["failed_unit"]),
    }


def firmware(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    rows = table(lines, {"firmware": 2, "lockdown": 1})
    ((kind, secure_boot),) = rows["firmware"]
    values = {"kind": kind, "secure_boot": secure_boot, "lockdown": last(rows, "lockdown")}
    return {"firmware": Firmware.model_validate(values)}


def _assignment(line: str) -> tuple[str, str]:
    """os-release(5) quotes as a shell does."""
    key, _, value = line.partition("=")
    try:
        words = split(value)
    except ValueError:
        words = [value]
    return key.strip(), " ".join(words)
