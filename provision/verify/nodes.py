"""The nodes to verify: what an inventory declares of them, how they are reached, and the plan of each."""

from __future__ import annotations

import os
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provision.inventory import WrongInventory, _members, read_inventory
from provision.model import Entry, Frozen, NodeSpec, Snapshot
from provision.planning import Planned, Room, assemble

STATE_VARIABLE = "PROVISION_STATE"


class Target(Frozen):
    """One node: its declaration, the `ssh_*` keys of its inventory, and how to become root there."""

    name: str
    spec: NodeSpec
    ssh: dict[str, str]
    sudo: bool = False
    sudo_user: str = ""


def targets(inventory: Path, wanted: Sequence[str] = ()) -> dict[str, Target]:
    """The wanted nodes of an inventory, all of them where none is named.

    Raises: WrongInventory.
    """
    specs = read_inventory(inventory)
    unknown = [name for name in wanted if name not in specs]
    if unknown:
        raise WrongInventory([f"it declares no {', '.join(unknown)}, but {', '.join(specs)}"], inventory)
    data = _data(inventory)
    return {name: _target(name, specs[name], data[name]) for name in (wanted or specs)}


def planned(target: Target, rooms: dict[str, Room], state: Path) -> Planned:
    """The plan that an engine would follow for this node: from the first reading that it kept, where it kept one.

    Raises: provision.stack.NoFit, LookupError, provision.planning.WrongVariables.
    """
    reading = _reading(state / "readings" / f"{target.name}.json")
    fits = reading is not None and (reading.os, reading.arch) == (target.spec.os, target.spec.arch)
    return assemble(target.spec, rooms, reading if fits else None)


def resources(plans: Sequence[Planned]) -> tuple[Entry, ...]:
    """Every entry of several plans, once for each name."""
    return tuple({entry.name: entry for one in plans for entry in one.plan.entries}.values())


def state() -> Path:
    """Where the engines keep what they know: the controller's `.provision`, or $PROVISION_STATE."""
    return Path(os.environ.get(STATE_VARIABLE) or Path.cwd() / ".provision")


def _reading(path: Path) -> Snapshot | None:
    try:
        return Snapshot.model_validate_json(path.read_text())
    except (OSError, ValueError):
        return None


def _data(inventory: Path) -> dict[str, dict[str, Any]]:
    """pyinfra's data of every host. The file was checked before."""
    namespace = runpy.run_path(str(inventory), run_name="inventory")
    groups = [v for k, v in namespace.items() if not k.startswith("_") and isinstance(v, (list, tuple))]
    return {name: data for group in groups for name, data in _members(group)}


def _target(name: str, spec: NodeSpec, data: dict[str, Any]) -> Target:
    return Target(
        name=name,
        spec=spec,
        ssh={key: str(value) for key, value in data.items() if key.startswith("ssh_") and value is not None},
        sudo=bool(data.get("_sudo", False)),
        sudo_user=str(data.get("_sudo_user") or ""),
    )
