"""Where the minutes of a run went on one node, from its events alone. Pure.

All times are seconds. Every second between a node's first and last event belongs to exactly one group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from provision.model import Frozen
from provision.report.kinds import REBOOT, WAITING, Naming

Event: TypeAlias = Mapping[str, Any]
Ending = Literal["ok", "failed", "lost", "unfinished"]

TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
MOST_TICKS = 6

PHASES = {
    "Get:": "download",
    "Selecting previously": "unpack",
    "Preparing to unpack": "unpack",
    "Unpacking": "unpack",
    "Setting up": "configure",
    "Processing triggers": "configure",
}
"""How lines of apt and dpkg begin (apt 3.0 and dpkg 1.22 of Debian 13, a recorded run of 2026-11-21)."""
RESOLVE = "resolve"

STAND_IN = "stand-in"


class Share(Frozen):
    """Seconds that went into one thing."""

    name: str
    seconds: float


class Bar(Frozen):
    """Something that was carried out; `begin` counts from the first event of the node."""

    name: str
    role: str = ""
    group: str
    why: str = ""
    begin: float
    seconds: float
    ending: Ending = "ok"
    evidence: str = ""
    phases: tuple[Share, ...] = ()
    """What the log said while it ran, sampled as often as the node reported: about every two seconds."""
    stand_in: bool = False
    """The events speak of a stand-in: what was installed is not the real thing."""


class Timeline(Frozen):
    """`boots`: the bars of each boot of the node; a reboot is the last bar of the boot that it ended."""

    begun: float = 0.0
    seconds: float = 0.0
    boots: tuple[tuple[Bar, ...], ...] = ()

    @property
    def bars(self) -> tuple[Bar, ...]:
        return tuple(bar for boot in self.boots for bar in boot)

    @property
    def groups(self) -> tuple[Share, ...]:
        """All seconds of the run, most first."""
        spent: dict[str, float] = defaultdict(float)
        for bar in self.bars:
            spent[bar.group] += bar.seconds
        waited = self.seconds - sum(spent.values())
        if waited > 0:
            spent[WAITING] += waited
        return tuple(Share(name=name, seconds=s) for name, s in sorted(spent.items(), key=lambda item: -item[1]))


def timeline(events: Sequence[Event], spent_on: Naming) -> Timeline:
    """The timeline of one node.

    Args:
        events: this node's, oldest first.
        spent_on: what the time of a resource was spent on.
    """
    if not events:
        return Timeline()
    first, last = events[0]["at"], events[-1]["at"]
    boots: list[list[Bar]] = [[]]
    open_bar: list[Event] = []
    for event in events:
        kind = event["event"]
        if kind in {"begin", "reboot"}:
            _close(boots[-1], open_bar, event["at"], first, spent_on)
            open_bar = [event]
        elif kind == "progress" and open_bar:
            open_bar.append(event)
        elif kind in {"ok", "failed", "lost", "refused", "booted"}:
            _close(boots[-1], [*open_bar, event] if open_bar else [], event["at"], first, spent_on)
            open_bar = []
            if kind == "booted":
                boots.append([])
    _close(boots[-1], open_bar, last, first, spent_on)
    return Timeline(begun=first, seconds=last - first, boots=tuple(tuple(boot) for boot in boots))


def _close(bars: list[Bar], told: Sequence[Event], at: float, first: float, spent_on: Naming) -> None:
    """Add the bar that these events tell of, from the first of them until `at`."""
    if not told:
        return
    begin, end = told[0], told[-1]
    progress = [event for event in told if event["event"] == "progress"]
    name = REBOOT if begin["event"] == "reboot" else begin["resource"]
    bars.append(
        Bar(
            name=name,
            role=begin.get("role", ""),
            group=REBOOT if begin["event"] == "reboot" else spent_on(name),
            why=begin.get("why", ""),
            begin=begin["at"] - first,
            seconds=at - begin["at"],
            ending=ending(end),
            evidence=str(end.get("evidence") or end.get("reason") or "").strip() if ending(end) != "ok" else "",
            phases=phases(begin["at"], progress, at),
            stand_in=any(STAND_IN in str(value) for event in told for value in event.values()),
        )
    )


def ending(event: Event) -> Ending:
    """How something ended whose last event is this one."""
    match event["event"]:
        case "ok" | "booted":
            return "ok"
        case "failed" | "refused":
            return "failed"
        case "lost":
            return "lost"
        case _:
            return "unfinished"


def phases(begin: float, progress: Iterable[Event], end: float) -> tuple[Share, ...]:
    """How long apt and dpkg resolved, downloaded, unpacked and configured, in the order in which they began to.

    The time between two samples belongs to what the later one saw. Empty where no line of theirs was seen.
    """
    spent: dict[str, float] = {}
    phase, since = "", begin
    for event in progress:
        phase = next((name for start, name in PHASES.items() if str(event["line"]).startswith(start)), phase)
        spent[phase or RESOLVE] = spent.get(phase or RESOLVE, 0.0) + event["at"] - since
        since = event["at"]
    if not phase:
        return ()
    spent[phase] += end - since
    return tuple(Share(name=name, seconds=seconds) for name, seconds in spent.items())


def ticks(seconds: float) -> tuple[int, ...]:
    """Round times for an axis of this length: 0 and at most MOST_TICKS more."""
    step = next((step for step in TICK_STEPS if seconds / step <= MOST_TICKS), 0)
    if not step:
        step = int(seconds / MOST_TICKS) + 1
    return tuple(range(0, int(seconds) + 1, step))


def clock(seconds: float) -> str:
    """A length of time for people: `0.05 s`, `13.5 s`, `6 min 15 s`, `1 h 02 min`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def tick(seconds: int) -> str:
    """A round time on an axis: `30 s`, `5 min`, `1:30 min`, `2 h`."""
    if seconds < 60:
        return f"{seconds} s"
    if seconds >= 3600 and not seconds % 3600:
        return f"{seconds // 3600} h"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}:{rest:02} min" if rest else f"{minutes} min"
