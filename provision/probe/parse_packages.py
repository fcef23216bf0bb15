"""sections/packages.sh: packages of interest, in dpkg's own abbreviations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.model.snapshot import PackageState
from provision.probe.rows import table


def packages(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    rows = table(lines, {"package": 3})["package"]
    return {"packages": {name: PackageState(status=status.strip(), version=version) for name, status, version in rows}}
