"""One node of a run: what was declared of it, how it is read, what its ledger says."""

from __future__ import annotations

import math
import time
from pathlib import Path

from pyinfra.api import Host

from provision.engines.events import Events
from provision.engines.pyinfra import connection
from provision.engines.render import Sender, reboot_program
from provision.ledger import Ledger, Reading, now
from provision.model import LedgerEntry, NodeSpec, Plan, Snapshot
from provision.model.ledger import Event
from provision.planning import Planned, Room, assemble
from provision.platforms import platform_for
from provision.probe import BOOT_ID, parse, probe_program, program
from provision.steps import Reboot, Step, admitted, contradictions, next_step

REBOOT_SECONDS = 1200
"""How long a node may take to come back: a big server's firmware alone can need ten minutes."""

STILL_UP_SECONDS = 15
"""A node that an earlier run meant to reboot, and that answers in its old boot for so long, was never told."""

SETTLE_SECONDS = 120
"""How long a new boot may take to start its units before it is taken as it is."""


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

    def __init__(self, host: Host, spec: NodeSpec, rooms: dict[str, Room], sender: Sender, events: Events) -> None:
        self.host = host
        self.name: str = host.name
        self.spec = spec
        self.sender = sender
        self.events = events
        self.ledger = Ledger(self.name)
        self._rooms = rooms
        self._platform = platform_for(spec.os, spec.arch)
        self._reading = Reading(self.name)
        self.planned: Planned | None = None

    def plan(self) -> Planned:
        """The plan, from the node's kept first reading. Raises: Refused, NoFit."""
        if self.planned is None:
            self.planned = assemble(self.spec, self._rooms, self._first_reading())
        return self.planned

    def read(self) -> Snapshot:
        """One probe: the snapshot of now. Raises: Refused."""
        snapshot = self._probe(self._questions(self.plan().plan))
        kept = self._reading.load()
        if kept is not None and kept.machine_id != snapshot.machine_id:
            # Another machine under the old name: its archive is asked anew.
            self._reading.forget()
            self.planned = None
            return self.read()
        self._note_boot(snapshot)
        return self._admitted(snapshot)

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
            connection.ask(self.host, reboot_program(self.sender, step.why, step.trial))
        except connection.Unanswered as error:
            raise Refused(f"{self.name}: the reboot could not be ordered: {error}") from error
        except connection.LOST:
            pass  # the connection went down with the node before the answer was out
        self._wait_until(Boot(step.boot_id, still_up=math.inf))

    def save(self, snapshot: Snapshot, label: str) -> Path:
        """Keep a snapshot as evidence in the run's folder."""
        path = self.events.folder / f"{self.name}.{label}.json"
        path.write_text(snapshot.model_dump_json(indent=1) + "\n")
        return path

    def _questions(self, plan: Plan) -> str:
        return probe_program(plan, default_kernel=self._platform.default_kernel())

    def _first_reading(self) -> Snapshot:
        kept = self._reading.fitting(self.spec)
        if kept is not None:
            return kept
        globs = self._platform.offered_names(self.spec)
        answer = self._admitted(self._probe(probe_program(globs=globs)))
        reading = answer.model_copy(update={"asked": globs})
        self._reading.save(reading)
        return reading

    def _admitted(self, snapshot: Snapshot) -> Snapshot:
        wrong = contradictions(self.spec, snapshot)
        if wrong:
            raise Refused(f"{self.name}: {'; '.join(wrong)}. Nothing was changed; correct the inventory or the machine")
        return admitted(self.spec, snapshot)

    def _probe(self, text: str) -> Snapshot:
        waiting = self.ledger.is_rebooting()
        try:
            answer = connection.ask(self.host, text) if waiting else self._ask(text)
            snapshot = parse(answer, self.name)
        except (*connection.LOST, connection.Unanswered) as error:
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
            return connection.ask(self.host, text)
        except connection.LOST:
            connection.reconnect(self.host)
            return connection.ask(self.host, text)

    def _after_reboot(self, text: str) -> Snapshot:
        """This run met the node in the middle of a reboot that an earlier run ordered."""
        self._wait_until(Boot(self.ledger.entries()[-1].boot_id, still_up=STILL_UP_SECONDS))
        return parse(connection.ask(self.host, text), self.name)

    def _wait_until(self, boot: Boot) -> None:
        try:
            connection.wait_until(self.host, program(BOOT_ID), boot.is_over, REBOOT_SECONDS)
        except TimeoutError:
            raise Refused(
                f"{self.name}: no new boot within {REBOOT_SECONDS // 60} minutes after the reboot was ordered. "
                "Look at its console; run again when it answers"
            ) from None

    def _note_boot(self, snapshot: Snapshot) -> None:
        entries = self.ledger.entries(snapshot.machine_id)
        if entries and entries[-1].step == "reboot" and entries[-1].boot_id != snapshot.boot_id:
            self.note(snapshot, "booted", f"from {entries[-1].boot_id}")
            self.events.write("booted", self.name, kernel=snapshot.kernel, boot_id=snapshot.boot_id)
