"""sections/boot.sh: the boot menu, links that point nowhere, the release that starts by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.model.machine import MenuEntry
from provision.probe.rows import last, table


def boot(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    rows = table(lines, {"menu": 2, "dangling": 2, "default_kernel": 1})
    return {
        "boot_entries": tuple(MenuEntry(title=title, release=release) for title, release in rows["menu"]),
        "dangling": dict(rows["dangling"]),
        "default_kernel": last(rows, "default_kernel"),
    }
