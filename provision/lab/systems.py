"""Which operating systems a lab node can be, and what it stands on then: a Debian root, or stand-ins over one."""

from __future__ import annotations

import os
from typing import NamedTuple

from provision.catalog import OperatingSystem, load
from provision.lab.archive import provide
from provision.lab.error import InputError
from provision.lab.lab import Lab, LabNode
from provision.lab.mirror import SUITE


class Ground(NamedTuple):
    """What new nodes stand on: a saved layer, or a bare root of a Debian release."""

    layer: str | None = None
    suite: str = SUITE


def known() -> dict[str, OperatingSystem]:
    """Every system that a node can be on this machine, by the name that its os-release makes."""
    here = os.uname().machine
    return {row.id: row for row in load().operating_systems if row.family in {"debian", "ubuntu"} and here in row.archs}


def check(os_id: str) -> OperatingSystem:
    """The system of that name. Raises: InputError."""
    systems = known()
    if os_id not in systems:
        raise InputError(f"The lab has no {os_id!r} for this machine; it has: {', '.join(systems)}.")
    return systems[os_id]


def ground(lab: Lab, system: OperatingSystem) -> Ground:
    """What nodes of a system stand on; for Ubuntu's names a layer with stand-ins, built if it is missing."""
    if system.family == "debian":
        return Ground(suite=system.codename)
    return Ground(layer=provide(lab, system.id))


def refuse_others(nodes: list[LabNode], names: list[str], system: OperatingSystem) -> None:
    """InputError when a node of these names exists as another system."""
    for node in nodes:
        if node.name in names and node.system != system.id:
            raise InputError(
                f"{node.name} exists already, as {node.system} and not as {system.id}: "
                f"`provision lab down {node.name}` first."
            )
