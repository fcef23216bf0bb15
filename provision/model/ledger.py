"""What was done, and when: one line of the ledger."""

from __future__ import annotations

from typing import Literal

from provision.model.base import Frozen

Event = Literal["stretch", "reboot", "booted", "stop", "failed", "done", "retry"]


class LedgerEntry(Frozen):
    """`step` is what was begun (`stretch`, `reboot`) or how it ended (`booted`, `stop`, `failed`, `done`)."""

    at: str
    """UTC, ISO 8601, to the second."""
    run: str
    node: str
    machine_id: str
    boot_id: str
    plan: str
    step: Event
    detail: str = ""
