"""How far a change reaches: what has to take it up, once it is made. Pure.

A reboot interrupts everybody's work, so it is owed for what the running kernel has to take up, and for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from provision.model import Derived, Directory, Gate, Manual, Packages, Plan, Resource, Snapshot
from provision.platforms.settings import files_of
from provision.steps.resource import difference
from provision.steps.stamp import boot_scoped, desired

Reach = Literal["nothing", "daemons", "kernel"]
"""`nothing`: it is mended where it stands. `daemons`: what derives from it is due too. `kernel`: it takes a reboot."""

FARTHEST: tuple[Reach, ...] = ("kernel", "daemons", "nothing")


def change(plan: Plan, resource: Resource, snapshot: Snapshot, causes: Iterable[Reach] = ()) -> Reach:
    """How far what differs about a resource reaches, if what it reaches goes by it at all, see `within`.

    Args:
        plan: the plan it belongs to.
        resource: one that is due.
        snapshot: what was read.
        causes: how far the changes of its inputs reach, for a derived resource.
    """
    match resource:
        case Gate() | Manual():
            return "nothing"
        case Packages():
            return "kernel" if difference(plan, resource.without_holds, snapshot) else "nothing"
        case Derived():
            return _derived(plan, resource, snapshot, causes)
        case _:
            # What systemd has to read again is read where it stands: a file that a hand touched restarts nobody.
            read = snapshot.model_copy(update={"unread_units": frozenset()})
            if difference(plan, resource, _accessible(resource, read)):
                return "kernel"
            return "daemons" if difference(plan, resource, read) else "nothing"


def within(plan: Plan, name: str, reach: Reach) -> Reach:
    """A change as far as this resource carries it: the kernel is reached only by what is boot-scoped."""
    return "daemons" if reach == "kernel" and not boot_scoped(plan, name) else reach


def _derived(plan: Plan, derived: Derived, snapshot: Snapshot, causes: Iterable[Reach]) -> Reach:
    """One that is only made again, from the same as before, changes nothing of what runs."""
    made_of, _, made_from = snapshot.stamps.get(derived.name, "").partition("-")
    if made_of != desired(plan, derived) or made_from != snapshot.prints.get(derived.name):
        return "kernel"
    found = set(causes)
    if any(path not in snapshot.files for path in derived.outputs):
        found.add("daemons")
    # Without either a gate has refuted it: then nobody knows since when.
    return next((reach for reach in FARTHEST if reach in found), "kernel")


def _accessible(resource: Resource, snapshot: Snapshot) -> Snapshot:
    """The snapshot with the modes and owners that are declared. What else differs about a file is its content."""
    paths = {file.path: file.mode for file in files_of(resource)}
    if isinstance(resource, Directory):
        paths[resource.path] = resource.mode
    as_declared = {
        path: snapshot.files[path].model_copy(update={"mode": mode, "owner": "root"})
        for path, mode in paths.items()
        if path in snapshot.files
    }
    return snapshot.model_copy(update={"files": snapshot.files | as_declared})
