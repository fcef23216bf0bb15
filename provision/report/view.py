"""What is known about one node, and what the page shows of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from provision.model import Derived, Frozen, Gate, Manual, Resource, Snapshot, StandIns
from provision.planning import Planned
from provision.report.changes import Change, changes
from provision.report.claims import Claim, Describe, claims, counted, own_checks
from provision.report.kinds import spent_on
from provision.report.timeline import Timeline, timeline
from provision.verify.summary import Check

BringUp = Literal["converged", "failed", "unreachable", "unfinished", "not run"]
Verification = Literal["verified", "differs", "unknown", "not verified"]


class NodeEvidence(Frozen):
    """What is known about one node. What comes from another run than the page's own names that run.

    `failed` and `evidence` tell how a bring-up ended that did not converge; the `plan_*` are digests of plans.
    """

    node: str
    bring_up: BringUp = "not run"
    bring_up_run: str = ""
    failed: str = ""
    evidence: str = ""
    events: tuple[dict[str, Any], ...] = ()
    plan_followed: str = ""
    planned: Planned | None = None
    after: Snapshot | None = None
    checks: tuple[Check, ...] = ()
    verify_run: str = ""
    plan_verified: str = ""
    verified_standins: StandIns | None = None
    """What the verification found the node to have instead of real packages."""

    @property
    def standins(self) -> StandIns | None:
        """The same, by the newer of verification and reading."""
        return self.verified_standins or (self.after.standins if self.after else None)


class Trouble(Frozen):
    """Something that a person has to look at."""

    what: str
    evidence: str
    remedy: str = ""


class NodeView(Frozen):
    """One node as the page shows it."""

    given: NodeEvidence
    line: Timeline
    changes: tuple[Change, ...]
    claims: tuple[Claim, ...]
    own_checks: tuple[Check, ...]
    verification: Verification
    troubles: tuple[Trouble, ...]
    remarks: tuple[str, ...]

    @property
    def anchor(self) -> str:
        return f"node-{self.given.node}"

    @property
    def verified(self) -> dict[str, int]:
        """How many checks came out how, those of roles among them."""
        return counted(check.outcome for check in self.given.checks)

    @property
    def readings(self) -> dict[str, int]:
        return counted(claim.reading for claim in self.claims)

    @property
    def not_applicable(self) -> tuple[Claim, ...]:
        return tuple(claim for claim in self.claims if claim.limit)


def view(given: NodeEvidence, describe: Describe) -> NodeView:
    """One node's view.

    Args:
        given: what is known.
        describe: a resource in words.
    """
    plan = given.planned.plan if given.planned else None
    line = timeline(given.events, spent_on(plan))
    return NodeView(
        given=given,
        line=line,
        changes=changes(line, given.events, plan),
        claims=claims(given.planned, given.after, given.checks, describe) if given.planned else (),
        own_checks=own_checks(given.planned, given.checks),
        verification=verification(given),
        troubles=tuple(_troubles(given)),
        remarks=tuple(_remarks(given)),
    )


def verification(given: NodeEvidence) -> Verification:
    """Verified only where something was asked, and all of it holds."""
    outcomes = {check.outcome for check in given.checks}
    if "fails" in outcomes:
        return "differs"
    if "unknown" in outcomes:
        return "unknown"
    return "verified" if "holds" in outcomes else "not verified"


def _troubles(given: NodeEvidence) -> Iterator[Trouble]:
    if given.bring_up not in {"converged", "not run"}:
        what = f"{given.failed} failed" if given.failed else f"the bring-up is {given.bring_up}"
        yield _trouble(given, what, given.evidence or "no word from the node", given.failed)
    for check in given.checks:
        if check.outcome in {"fails", "unknown"}:
            what = f"{check.resource} does not hold" if check.outcome == "fails" else f"{check.resource} is unknown"
            yield _trouble(given, what, check.evidence, check.resource)


def _planned(given: NodeEvidence, name: str) -> Resource | None:
    entry = given.planned.plan.by_name.get(name) if given.planned else None
    return entry.resource if entry else None


def _trouble(given: NodeEvidence, what: str, evidence: str, name: str) -> Trouble:
    remedy = _remedy(_planned(given, name))
    return Trouble(what=what, evidence=evidence, remedy="" if remedy in evidence else remedy)


def _remedy(resource: Resource | None) -> str:
    match resource:
        case None:
            return ""
        case Gate(remedy=remedy):
            return remedy
        case Manual(instruction=instruction):
            return instruction
        case Derived(log=log) if log:
            return f"read its log on the node, {log}; then `provision apply` takes it up again"
        case _:
            return "`provision apply` brings it to what is declared"


def _remarks(given: NodeEvidence) -> Iterator[str]:
    """What a reader must know before believing the page."""
    if given.standins:
        yield from given.standins.sentences
    if given.planned is None:
        yield "What was declared is not known here, so nothing can be told of versions and of what should be so."
        return
    digest = given.planned.plan.digest
    if given.plan_followed not in {"", digest}:
        yield f"The bring-up followed plan {given.plan_followed}; what is declared here is plan {digest}."
    if given.plan_verified not in {"", digest}:
        yield f"The verification was of plan {given.plan_verified}; what is declared here is plan {digest}."
    if given.after is not None and given.after.lab:
        yield "A lab node: it bears the lab's mark, and what it cannot hold is listed as not applicable."
    if given.after is not None and not given.after.root:
        yield "It was read without root, so part of it was hidden."
