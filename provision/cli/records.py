"""What runs left in their folders, and which of it tells about a node."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from provision.cli.summary import Event
from provision.cli.summary import report as bring_up
from provision.engines.events import read
from provision.ledger import Reading, state
from provision.model import Snapshot
from provision.report import NodeEvidence
from provision.verify.run import SUMMARY
from provision.verify.summary import Summary


class Record:
    """One run's folder; each file of it is read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.resolve().name
        """Begins with the time of the run, so that names are in order."""

    @cached_property
    def events(self) -> dict[str, list[Event]]:
        """Each node's events, oldest first."""
        found: dict[str, list[Event]] = {}
        for event in read(self.folder):
            found.setdefault(event["node"], []).append(event)
        return found

    @cached_property
    def summary(self) -> Summary | None:
        """The verification, where this run has one."""
        try:
            return Summary.model_validate_json((self.folder / SUMMARY).read_text())
        except (OSError, ValueError):
            return None

    @property
    def verified(self) -> dict[str, str]:
        """Each verified node and the digest of the plan that it was verified against."""
        asked = {check.node: "" for check in self.summary.checks if check.node} if self.summary else {}
        return {**asked, **(self.summary.plans if self.summary else {})}

    def snapshot(self, node: str, label: str) -> Snapshot | None:
        """What was read of a node `before` or `after` the run."""
        try:
            return Snapshot.model_validate_json((self.folder / f"{node}.{label}.json").read_text())
        except (OSError, ValueError):
            return None

    def acted_on(self, node: str) -> bool:
        return any(event["event"] in {"ok", "failed", "booted"} for event in self.events.get(node, ()))

    def converged(self, node: str) -> bool:
        return bring_up(node, self.events.get(node, ())).outcome == "converged"


def all_records() -> tuple[Record, ...]:
    """Every run of this controller, oldest first."""
    return tuple(Record(path) for path in sorted((state() / "runs").glob("*")) if path.is_dir())


def evidence(run: Record, node: str, others: Sequence[Record]) -> NodeEvidence:
    """What is known about a node of a run: where the run itself did not bring it up or verify it, another one did."""
    brought = _brought_up(run, node, others)
    known = NodeEvidence(node=node).model_copy(update=_bring_up(brought, node) if brought else {})
    verified = _verified(run, known, others)
    return known.model_copy(update=_verification(verified, node) if verified else {})


def _brought_up(run: Record, node: str, others: Sequence[Record]) -> Record | None:
    """The run that tells how the node came to be as it is: the run itself, where it tells of the node.

    Otherwise the newest on this very machine that did something and converged, or the one after it that did not.
    """
    if node in run.events:
        return run
    told = [other for other in reversed(others) if _is_of_this_machine(other, node)]
    told = [other for other in told if other.acted_on(node) or other.converged(node)]
    if not told or not told[0].converged(node):
        return told[0] if told else None
    return next((other for other in told if other.acted_on(node) and other.converged(node)), told[0])


def _is_of_this_machine(run: Record, node: str) -> bool:
    """A node that was made anew under its old name has nothing to do with what was done to the old one."""
    before = run.snapshot(node, "before") if node in run.events else None
    reading = Reading(node).load()
    return before is not None and reading is not None and before.machine_id == reading.machine_id


def _verified(run: Record, known: NodeEvidence, others: Sequence[Record]) -> Record | None:
    """The run itself, where it verified the node; otherwise the first later one that verified the plan it followed."""
    if known.node in run.verified:
        return run
    later = (other for other in others if other.name > run.name and known.plan_followed)
    return next((other for other in later if other.verified.get(known.node) == known.plan_followed), None)


def _bring_up(run: Record, node: str) -> dict[str, object]:
    events = run.events[node]
    told = bring_up(node, events)
    return {
        "bring_up": told.outcome,
        "bring_up_run": run.name,
        "failed": told.failed,
        "evidence": told.evidence,
        "events": tuple(events),
        "plan_followed": next((event["plan"] for event in events if event["event"] == "done"), ""),
        "after": run.snapshot(node, "after"),
    }


def _verification(run: Record, node: str) -> dict[str, object]:
    checks = run.summary.checks if run.summary else ()
    return {
        "checks": tuple(check for check in checks if check.node == node),
        "verify_run": run.name,
        "plan_verified": run.verified[node],
        "verified_standins": run.summary.standins.get(node) if run.summary else None,
    }
