"""One node of a run: what was declared of it, how it is read, what its ledger says."""

from __future__ import annotations

import math
import time
from pathlib import Path

from provision.engines.events import Events
from provision.engines.link import Link, Lost, Unanswered
from provision.engines.render import Sender, reboot_program
from provision.ledger import Ledger, Reading, now
from provision.model import LedgerEntry, NodeSpec, Plan, Snapshot
from provision.model.ledger import Event
from provision.planning import NoPlan, NoRepository, Planned, Plans
from provision.platforms import platform_for
from provision.probe import BOOT_ID, LOCK, parse, probe_program, program
from provision.stack import NoFit
from provision.steps import Done, Due, Reboot, Step, admitted, contradictions, drift, next_step

REBOOT_SECONDS = 1200
"""How long a node may take to come back: a big server's firmware alone can need ten minutes."""

STILL_UP_SECONDS = 15
"""A node that an earlier run meant to reboot, and that answers in its old boot for so long, was never told."""

SETTLE_SECONDS = 120
"""How long a new boot may take to start its units before it is taken as it is."""

PAUSE_SECONDS, ANSWER_SECONDS = 0.3, 10
"""Between two questions to a node that reboots, and how long it may take to answer one."""


DECLARED = (NoFit, NoPlan)
"""What is at fault is what was declared: nothing was done to the node yet."""


class Refused(RuntimeError):
    """This node cannot be brought on; the text says what happened, the evidence, and what to do next."""


class Boot:
    """A boot whose end is waited for: judged from a node's answers to `BOOT_ID`.

    Args:
        boot_id: the boot that should end.
        still_up: seconds after which a node that answers in it, at rest, is taken to have never been told to reboot.
    """

    def __init__(self, boot_id: str, still_up: float) -> None:
        self._boot_id, self._still_up = boot_id, still_up
        self._since: dict[str, float] = {}

    def is_over(self, answer: str) -> bool:
        fields = dict(line.split("\t", 1) for line in answer.splitlines() if "\t" in line)
        boot_id, state = fields.get("boot_id", ""), fields.get("state", "")
        waited = time.monotonic() - self._since.setdefault(f"{boot_id} {state}", time.monotonic())
        if not boot_id or state == "stopping":
            return False
        if boot_id == self._boot_id:
            return waited >= self._still_up
        return state not in {"starting", "initializing"} or waited >= SETTLE_SECONDS


class Node:
    """A node while a run is at work on it. The only place that remembers anything about it during the run."""

    def __init__(self, link: Link, spec: NodeSpec, plans: Plans, sender: Sender, events: Events) -> None:
        self.link = link
        self.name = sender.node
        self.spec = spec
        self.sender = sender
        self.events = events
        self.ledger = Ledger(self.name)
        self._plans = plans
        self._platform = platform_for(spec.os, spec.arch)
        self._reading = Reading(self.name)
        self.planned: Planned | None = None

    def plan(self) -> Planned:
        """The plan: versions from its kept first reading, hardware from its last. Raises: Refused, NoFit, NoPlan."""
        if self.planned is None:
            self.planned = self._kept_plan() or self._fresh_plan()
        return self.planned

    def read(self) -> Snapshot:
        """The snapshot of now, and the plan put together anew where its hardware is another. Raises: Refused, NoFit."""
        snapshot = self._probe(self._questions(self.plan().plan))
        kept = self._reading.load()
        if kept is not None and kept.machine_id != snapshot.machine_id:
            # Another machine under the old name: its archive is asked anew.
            self._reading.forget()
            self.planned = None
            return self.read()
        self._note_boot(snapshot)
        snapshot = self._admitted(snapshot)
        return self._admitted(self._probe(self._questions(self.plan().plan))) if self._renew(snapshot) else snapshot

    def look(self, plan: Plan) -> Snapshot:
        """What the node says about this plan, whichever it follows; nothing is noted. Raises: Refused."""
        return self._admitted(self._probe(self._questions(plan)))

    def next(self, snapshot: Snapshot) -> Step:
        return next_step(self.plan().plan, snapshot, self.ledger.entries(snapshot.machine_id))

    def note(self, snapshot: Snapshot, step: Event, detail: str = "") -> None:
        """One entry in the controller's ledger."""
        self.ledger.add(
            LedgerEntry(
                at=now(),
                run=self.sender.run,
                node=self.name,
                machine_id=snapshot.machine_id,
                boot_id=snapshot.boot_id,
                plan=self.plan().plan.digest,
                step=step,
                detail=detail,
            )
        )

    def reboot(self, snapshot: Snapshot, step: Reboot) -> None:
        """Order a reboot and wait for another boot_id. Raises: Refused."""
        self.note(snapshot, "reboot", step.why)
        self.events.write("reboot", self.name, why=step.why, trial=step.trial)
        try:
            self.link.ask(reboot_program(self.sender, step.why, step.trial, step.words))
        except Unanswered as error:
            raise Refused(f"{self.name}: the reboot could not be ordered: {error}") from error
        except Lost:
            pass  # the connection went down with the node before the answer was out
        self._wait_until(Boot(step.boot_id, still_up=math.inf))

    def tell_drift(self, snapshot: Snapshot, step: Step) -> tuple[tuple[Due, ...], ...]:
        """What is due in each boot, which the run's events and folder now know too."""
        boots = drift(self.plan().plan, snapshot)
        self.save(snapshot, "before")
        self.events.write(
            "drift",
            self.name,
            next=type(step).__name__.lower(),
            boots=[[{"resource": d.entry.name, "role": d.entry.role, "why": d.why} for d in due] for due in boots],
        )
        return boots

    def close(self, snapshot: Snapshot, step: Done) -> dict[str, str]:
        """The node is as declared: note it, and return what this node cannot hold, with the limit that says so."""
        entries = self.ledger.entries(snapshot.machine_id)
        digest = self.plan().plan.digest
        if not entries or entries[-1].step != "done" or entries[-1].plan != digest:
            self.note(snapshot, "done")
        self.save(snapshot, "after")
        limits: dict[str, str] = {entry.entry.name: entry.limit for entry in step.not_applicable}
        self.events.write("done", self.name, plan=digest, not_applicable=limits)
        return limits

    def save(self, snapshot: Snapshot, label: str) -> Path:
        """Keep a snapshot as evidence in the run's folder."""
        path = self.events.folder / f"{self.name}.{label}.json"
        path.write_text(snapshot.model_dump_json(indent=1) + "\n")
        return path

    def _questions(self, plan: Plan) -> str:
        return probe_program(plan, default_kernel=self._platform.default_kernel())

    def _kept_plan(self) -> Planned | None:
        """From the reading that was kept; None where there is none, or a repository was not there then."""
        kept = self._reading.fitting(self.spec)
        try:
            return None if kept is None else self._plans.of(self.spec, kept)
        except NoRepository:
            return None  # somebody may have added it since

    def _fresh_plan(self) -> Planned:
        self._reading.forget()
        reading = self._first_reading()
        try:
            return self._plans.of(self.spec, reading)
        except NoRepository:
            self._reading.forget()
            raise

    def _first_reading(self) -> Snapshot:
        kept = self._reading.fitting(self.spec)
        if kept is not None:
            return kept
        globs = self._platform.offered_names(self.spec)
        answer = self._admitted(self._probe(probe_program(globs=globs)))
        if "offers" in answer.hidden:
            self._fetch_offers()
            answer = self._admitted(self._probe(probe_program(globs=globs)))
        reading = answer.model_copy(update={"asked": globs})
        self._reading.save(reading)
        return reading

    def _renew(self, snapshot: Snapshot) -> bool:
        """Put the plan together from what is read now, the versions' choice apart. Is it another plan?

        A bus on which no GPU is seen tells nothing: it must not make another machine of this one.
        """
        if not snapshot.pci:
            return False
        reading = self._first_reading().model_copy(update={"pci": snapshot.pci})
        planned = self._plans.of(self.spec, reading)
        if planned.plan.digest == self.plan().plan.digest:
            return False
        self._reading.save(reading)
        self.planned = planned
        self.events.write("planned-anew", self.name, plan=planned.plan.digest)
        return True

    def _fetch_offers(self) -> None:
        """A node that was just installed knows no package yet, and versions are chosen once. Raises: Refused."""
        try:
            self.link.ask(program(f"{LOCK}\n{self._platform.fetch_offers()}"))
        except (Lost, Unanswered) as error:
            raise Refused(
                f"{self.name}: versions are chosen from what its archive offers, and it has no package lists; they "
                f"cannot be fetched: {error}. Run again when its archive can be reached"
            ) from error

    def _admitted(self, snapshot: Snapshot) -> Snapshot:
        wrong = contradictions(self.spec, snapshot)
        if wrong:
            raise Refused(f"{self.name}: {'; '.join(wrong)}. Nothing was changed; correct the inventory or the machine")
        return admitted(self.spec, snapshot)

    def _probe(self, text: str) -> Snapshot:
        waiting = self.ledger.is_rebooting()
        try:
            answer = self.link.ask(text) if waiting else self._ask(text)
            snapshot = parse(answer, self.name)
        except (Lost, Unanswered) as error:
            if not waiting:
                raise Refused(f"{self.name}: the node could not be read: {error}") from error
            return self._after_reboot(text)
        if waiting and snapshot.state == "stopping":
            return self._after_reboot(text)
        return snapshot

    def _ask(self, text: str) -> str:
        """Ask, and where the connection is gone, once more over a new one.

        pyinfra connects before a run waits for another run's lock, and that run may reboot the node.
        """
        try:
            return self.link.ask(text)
        except Lost:
            self.link.reconnect()
            return self.link.ask(text)

    def _after_reboot(self, text: str) -> Snapshot:
        """This run met the node in the middle of a reboot that an earlier run ordered."""
        self._wait_until(Boot(self.ledger.entries()[-1].boot_id, still_up=STILL_UP_SECONDS))
        return parse(self.link.ask(text), self.name)

    def _wait_until(self, boot: Boot) -> None:
        """Ask again over new connections until the boot is over; wall-clock, not a count of tries."""
        deadline = time.monotonic() + REBOOT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)
            try:
                self.link.reconnect()
                answer = self.link.ask(program(BOOT_ID), timeout=ANSWER_SECONDS)
            except (Lost, Unanswered):
                continue
            if boot.is_over(answer):
                return
        raise Refused(
            f"{self.name}: no new boot within {REBOOT_SECONDS // 60} minutes after the reboot was ordered. "
            "Look at its console; run again when it answers"
        )

    def _note_boot(self, snapshot: Snapshot) -> None:
        entries = self.ledger.entries(snapshot.machine_id)
        if entries and entries[-1].step == "reboot" and entries[-1].boot_id != snapshot.boot_id:
            self.note(snapshot, "booted", f"from {entries[-1].boot_id}")
            self.events.write("booted", self.name, kernel=snapshot.kernel, boot_id=snapshot.boot_id)
