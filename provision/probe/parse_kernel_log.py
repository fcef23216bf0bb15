"""sections/kernel_log.sh: what the driver wrote to the kernel's log since this boot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.probe.rows import table


def kernel_log(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    rows = table(lines, {"xid": 1, "driver_log": 1})
    return {key: tuple(text for (text,) in rows[row]) for key, row in (("xids", "xid"), ("driver_log", "driver_log"))}
