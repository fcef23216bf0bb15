"""Which layer holds a node's converged state: the one named by the digest of its plan."""

from __future__ import annotations

from pathlib import Path

from provision.inventory import read_inventory
from provision.ledger import Ledger, Reading
from provision.planning import assemble, rooms


def plan_digests(inventory: Path) -> dict[str, str]:
    """Node -> digest of the plan that its kept first reading leads to; a node that was never read has none.

    Raises: provision.inventory.WrongInventory.
    """
    found, digests = rooms(), {}
    for name, spec in read_inventory(inventory).items():
        reading = Reading(name).fitting(spec)
        if reading is not None:
            digests[name] = assemble(spec, found, reading).plan.digest
    return digests


def is_done(name: str, digest: str) -> bool:
    """Was the last thing that happened to the node the end of this plan?"""
    entries = Ledger(name).entries()
    return bool(entries) and (entries[-1].step, entries[-1].plan) == ("done", digest)
