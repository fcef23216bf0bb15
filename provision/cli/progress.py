"""A run while it goes on: its events in words, live in a terminal, line by line anywhere else."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from provision.cli.summary import Event
from provision.model import Frozen

QUIET_SECONDS = 15
"""In a log, what is still at work says so this often."""

MOST_ROWS = 20
"""Nodes shown at once in a terminal; what all nodes did is in the run's folder."""


LINE_WIDTH = 100

ONE_BY_ONE = "asking one by one"
"""What a node is at in a run with `--full`, once nothing is due."""

OBJECT = re.compile(r"-MMD,\S*/\.(\S+\.o)\.d\b")
"""kbuild names the dependency file of every object like this (scripts/Makefile.lib, `depfile`)."""


class AtWork(Frozen):
    """What a node is doing."""

    node: str
    what: str
    since: float
    detail: str = ""


class View(Protocol):
    def show(self, events: Sequence[Event]) -> None:
        """Show what is new; called several times a second, also when nothing is."""


@contextmanager
def view(console: Console, nodes: Sequence[str]) -> Iterator[View]:
    """A view that suits where the output goes."""
    if not console.is_terminal:
        yield PlainView(console)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveView(live, nodes)


class PlainView:
    """One line for each thing that begins or ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._doing: dict[str, AtWork] = {}
        self._told: dict[str, float] = {}

    def show(self, events: Sequence[Event]) -> None:
        for event in events:
            line = sentence(event, self._doing.get(event["node"]))
            self._doing[event["node"]] = at_work(event, self._doing.get(event["node"]))
            if line:
                self._tell(event["node"], event["at"], line)
            elif event["event"] == "progress" and event["at"] - self._told[event["node"]] >= QUIET_SECONDS:
                self._tell(event["node"], event["at"], f"{event['resource']}: {progress_words(event)}")

    def _tell(self, node: str, at: float, line: str) -> None:
        self._told[node] = at
        clock = time.strftime("%H:%M:%S", time.localtime(at))
        self._console.print(f"{clock} {node}: {line}", markup=False, highlight=False, soft_wrap=True)


class LiveView:
    """A row for each node that is at work, and above them a line for each thing that ended."""

    def __init__(self, live: Live, nodes: Sequence[str]) -> None:
        self._live = live
        self._doing = {node: AtWork(node=node, what="connecting", since=time.time()) for node in nodes}
        live.update(self._table(), refresh=True)

    def show(self, events: Sequence[Event]) -> None:
        for event in events:
            line = sentence(event, self._doing.get(event["node"]))
            self._doing[event["node"]] = at_work(event, self._doing.get(event["node"]))
            if line and event["event"] != "begin":
                styled = Text.assemble((f"{event['node']}: ", "bold"), (line, STYLES.get(event["event"], "")))
                self._live.console.print(styled)
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, justify="right")
        grid.add_column(no_wrap=True, ratio=1)
        busy = [row for row in self._doing.values() if row.what]
        for row in busy[:MOST_ROWS]:
            seconds = f"{time.time() - row.since:.0f} s"
            grid.add_row(Text(row.node, "bold"), row.what, seconds, Text(row.detail, "dim", overflow="ellipsis"))
        if len(busy) > MOST_ROWS:
            grid.add_row("", f"and {len(busy) - MOST_ROWS} more")
        return grid


STYLES = {"ok": "green", "done": "bold green", "failed": "red", "refused": "red", "lost": "red"}


def sentence(event: Event, doing: AtWork | None) -> str:
    """What an event says to a person; empty where it is only progress."""
    match event["event"]:
        case "drift":
            count = sum(len(boot) for boot in event["boots"])
            return f"{count} due" if count else "nothing is due"
        case "begin":
            return f"{event['resource']} begins: {event['why']}"
        case "ok":
            return f"{event['resource']} done in {event['seconds']:.1f} s"
        case "failed":
            return f"{event['resource']} FAILED after {event['seconds']:.1f} s"
        case "lost":
            return f"the connection was lost during {event['resource']}"
        case "refused":
            return str(event["reason"])
        case "reboot":
            return f"reboots: {event['why']}"
        case "booted":
            seconds = f" after {event['at'] - doing.since:.1f} s" if doing and doing.what == "rebooting" else ""
            return f"is up again with kernel {event['kernel']}{seconds}"
        case "done":
            return "converged"
        case _:
            return ""


def at_work(event: Event, before: AtWork | None) -> AtWork:
    """What the node of an event is doing after it."""
    node, at = event["node"], event["at"]
    match event["event"]:
        case "begin":
            return AtWork(node=node, what=event["resource"], since=at, detail=event["why"])
        case "progress":
            since = before.since if before and before.what == event["resource"] else at
            return AtWork(node=node, what=event["resource"], since=since, detail=progress_words(event))
        case "reboot":
            return AtWork(node=node, what="rebooting", since=at, detail=event["why"])
        case "ok" | "booted" | "drift":
            return AtWork(node=node, what="reading", since=at)
        case "asked":
            since = before.since if before and before.what == ONE_BY_ONE else at
            return AtWork(node=node, what=ONE_BY_ONE, since=since, detail=event["resource"])
        case _:
            return AtWork(node=node, what="", since=at)


def progress_words(event: Event) -> str:
    """How far something is that takes long: seconds, lines of its log, and the last of them."""
    line = str(event["line"]).strip()
    # A compiler's command line, as make's log of a module build holds it, says less than the object it makes.
    made = OBJECT.search(line)
    told = f"compiling {made[1]}" if made else line[:LINE_WIDTH]
    return f"{event['seconds']} s, {event['lines']} lines, {told}".rstrip(", ")
