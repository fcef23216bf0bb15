"""What was declared against what was read: declared facts win, and a contradiction is told before anything changes."""

from __future__ import annotations

from provision.model import NodeSpec, Snapshot


def contradictions(spec: NodeSpec, snapshot: Snapshot) -> tuple[str, ...]:
    """Every declared fact that the node contradicts, in words."""
    told = []
    if spec.os != snapshot.os:
        told.append(f"declared os {spec.os}, the node runs {snapshot.os}")
    if spec.arch != snapshot.arch:
        told.append(f"declared arch {spec.arch}, the node is {snapshot.arch}")
    if spec.hardware == "absent" and not snapshot.lab:
        told.append(
            'declared hardware="absent", which only a lab node may be, and the node does not bear the lab\'s mark'
        )
    return tuple(told)


def admitted(spec: NodeSpec, snapshot: Snapshot) -> Snapshot:
    """The snapshot with the limits that a lab node's declaration adds."""
    if spec.hardware == "absent" and snapshot.lab:
        return snapshot.model_copy(update={"limits": snapshot.limits | {"hardware"}})
    return snapshot
