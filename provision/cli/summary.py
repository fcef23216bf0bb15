"""What a run did, from its events alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, TypeAlias

from pydantic import Field

from provision.model import Frozen, StandIns

Event: TypeAlias = Mapping[str, Any]
Outcome = Literal["converged", "failed", "unreachable", "unfinished"]

REBOOT = "reboot"
"""Name under which a reboot stands among the operations."""


class Operation(Frozen):
    """Something that was carried out on a node; a reboot counts from the order to the first reading of the new boot."""

    role: str
    resource: str
    seconds: float


class NodeReport(Frozen):
    """How a run ended for one node."""

    node: str
    outcome: Outcome
    seconds: float = 0
    """From the first to the last event of the node."""
    operations: tuple[Operation, ...] = ()
    failed: str = ""
    """The resource that failed; empty where the node was refused as a whole."""
    evidence: str = ""
    """What was seen; for a gate also what it expected and what to do."""
    wrong_input: bool = False
    """Refused because of what was declared of it."""
    not_applicable: dict[str, str] = Field(default_factory=dict)
    due: tuple[tuple[int, str, str], ...] = ()
    """Boot, resource and reason of what was due when the run began."""
    standins: StandIns | None = None
    """What the node is known to have instead of real packages."""
    asked: int = 0
    """Resources that were asked for one by one (`--full`), and can be: neither preconditions nor not applicable."""

    @property
    def reboots(self) -> int:
        return sum(operation.resource == REBOOT for operation in self.operations)

    @property
    def changes(self) -> int:
        return len(self.operations) - self.reboots


def reports(events: Iterable[Event], nodes: Sequence[str]) -> tuple[NodeReport, ...]:
    """One report for each node, in the order given; a node that no event tells of was never reached."""
    by_node: dict[str, list[Event]] = {node: [] for node in nodes}
    for event in events:
        by_node.setdefault(event["node"], []).append(event)
    return tuple(report(node, told) for node, told in by_node.items())


def report(node: str, events: Sequence[Event]) -> NodeReport:
    """How a run ended for the node of which these events tell, oldest first."""
    if not events:
        return NodeReport(node=node, outcome="unreachable")
    ends = [event for event in events if event["event"] in {"done", "failed", "refused", "lost"}]
    common = NodeReport(
        node=node,
        outcome="unfinished",
        seconds=round(events[-1]["at"] - events[0]["at"], 2),
        operations=operations(events),
        due=_due(events),
        asked=len({event["resource"] for event in events if event["event"] == "asked" and not event["limit"]}),
    )
    if not ends:
        return common
    end = ends[-1]
    if end["event"] == "done":
        return common.model_copy(update={"outcome": "converged", "not_applicable": dict(end["not_applicable"])})
    told = {
        "outcome": "failed",
        "failed": end.get("resource", ""),
        "evidence": str(end.get("evidence") or end.get("reason") or "").strip(),
        "wrong_input": bool(end.get("input")),
    }
    return common.model_copy(update=told)


def operations(events: Iterable[Event]) -> tuple[Operation, ...]:
    """What was carried out to its end on one node, successfully or not, in order."""
    found: list[Operation] = []
    begun: Event = {}
    for event in events:
        match event["event"]:
            case "begin" | "reboot":
                begun = event
            case "ok" | "failed":
                found.append(
                    Operation(role=begun.get("role", ""), resource=event["resource"], seconds=event["seconds"])
                )
            case "booted":
                seconds = round(event["at"] - begun["at"], 2) if begun.get("event") == "reboot" else 0
                found.append(Operation(role=REBOOT, resource=REBOOT, seconds=seconds))
    return tuple(found)


def by_role(done: Iterable[Operation]) -> tuple[tuple[str, float, tuple[Operation, ...]], ...]:
    """Operations in order, those of one role that follow each other together with their sum of seconds."""
    runs = [(role, tuple(group)) for role, group in groupby(done, key=lambda operation: operation.role)]
    return tuple((role, round(sum(one.seconds for one in group), 2), group) for role, group in runs)


def _due(events: Iterable[Event]) -> tuple[tuple[int, str, str], ...]:
    drift = next((event for event in events if event["event"] == "drift"), None)
    if drift is None:
        return ()
    return tuple((boot, one["resource"], one["why"]) for boot, due in enumerate(drift["boots"], 1) for one in due)
