"""sections/units.sh: units of interest, and whether what runs is what is on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.model.snapshot import UnitState
from provision.probe.rows import number, table


def units(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    return {"units": {name: _unit(fields) for name, *fields in table(lines, {"unit": 11})["unit"]}}


def _unit(fields: Sequence[str]) -> UnitState:
    enabled, active, sub, result, restarts, reload, started, changed, changed_file, replaced = fields
    return UnitState(
        enabled=enabled,
        active=active,
        sub=sub,
        result=result,
        restarts=number(restarts) or 0,
        reload_needed=reload == "yes",
        started=number(started),
        changed=number(changed),
        changed_file=changed_file,
        replaced=replaced == "yes",
    )
