"""The nodes to verify: what an inventory declares of them, how they are reached, and the plan of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provision.inventory import Declared, WrongInventory, read_hosts
from provision.ledger import Reading
from provision.model import Entry, Frozen, NodeSpec
from provision.planning import Planned, Plans


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
    hosts = read_hosts(inventory)
    unknown = [name for name in wanted if name not in hosts]
    if unknown:
        raise WrongInventory([f"it declares no {', '.join(unknown)}, but {', '.join(hosts)}"], inventory)
    return {name: _target(name, hosts[name]) for name in (wanted or hosts)}


def planned(target: Target, plans: Plans, state: Path) -> Planned:
    """The plan that an engine would follow for this node: from the first reading that it kept, where it kept one.

    Raises: provision.stack.NoFit, LookupError, provision.planning.WrongVariables.
    """
    return plans.of(target.spec, Reading(target.name, state).fitting(target.spec))


def resources(plans: Sequence[Planned]) -> tuple[Entry, ...]:
    """Every entry of several plans, once for each name."""
    return tuple({entry.name: entry for one in plans for entry in one.plan.entries}.values())


def _target(name: str, host: Declared) -> Target:
    spec, data = host.spec, host.data
    return Target(
        name=name,
        spec=spec,
        ssh={key: str(value) for key, value in data.items() if key.startswith("ssh_") and value is not None},
        sudo=bool(data.get("_sudo", False)),
        sudo_user=str(data.get("_sudo_user") or ""),
    )
