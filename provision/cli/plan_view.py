"""A plan for people: versions with reasons, then the resources in order, boot by boot."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from provision.model import (
    BootEntry,
    Choice,
    Derived,
    Directory,
    Entry,
    File,
    Frozen,
    Gate,
    Limit,
    NodeSpec,
    Packages,
    Reason,
    Resource,
    Snapshot,
    Unit,
)
from provision.planning import Planned

PIPED_WIDTH = 10_000
"""Lines that go into a file or another program are not broken."""


class Group(Frozen):
    """Nodes that get the very same; `reading` is what was read of the first of them, if anything was."""

    nodes: tuple[str, ...]
    planned: Planned
    reading: Snapshot | None = None

    @property
    def limits(self) -> frozenset[Limit]:
        """What is known before the node is asked of what it cannot hold."""
        read: frozenset[Limit] = self.reading.limits if self.reading else frozenset()
        return read | {"hardware"} if self.planned.spec.hardware == "absent" else read


def show(groups: Iterable[Group], console: Console | None = None) -> None:
    """Print plans: broken to the terminal's width, or one line for each item where there is no terminal."""
    console = console or _console()
    for number, group in enumerate(groups):
        with console.capture() as capture:
            for part in [*([Text()] if number else []), *_parts(group)]:
                console.print(part)
        console.file.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def what(resource: Resource) -> str:
    """A resource in one line, without its name."""
    match resource:
        case Packages(packages=packages, hold=hold):
            names = ", ".join(p.name if p.version == "*" else f"{p.name}={p.version}" for p in packages)
            return f"{names}; held" if hold else names
        case File(path=path, mode=mode) | Directory(path=path, mode=mode):
            return f"{path} ({mode})"
        case Unit(unit=unit, enabled=enabled, running=running):
            return f"{unit} {'enabled' if enabled else 'disabled'}, {'running' if running else 'stopped'}"
        case BootEntry(release=release):
            return f"{release} starts by default"
        case Derived(inputs=inputs):
            return f"from {', '.join(inputs)}"
        case Gate(expect=expect):
            return expect


def marks(resource: Resource, limits: frozenset[Limit]) -> str:
    """What is special about a resource on this node: it cannot hold it, or only a reboot makes it effective."""
    lacking = [limit for limit in resource.needs if limit in limits]
    if lacking:
        return f"not applicable: {', '.join(lacking)}"
    scoped = resource.boot_scoped and not isinstance(resource, Gate)
    return "takes a reboot" if scoped else ""


def _console() -> Console:
    broken = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if broken else PIPED_WIDTH)


def _parts(group: Group) -> Iterator[RenderableType]:
    planned, boots = group.planned, group.planned.plan.boots
    yield Text(", ".join(group.nodes), style="bold")
    yield _indented(_declared(planned.spec))
    yield Text()
    yield _heading("Versions", _asked(group))
    sources = _sources(planned.stack.choices.values())
    yield _indented(_versions(planned.stack.choices.values(), sources))
    yield from (_indented(Text(f"warning: {warning}", style="yellow")) for warning in planned.stack.warnings)
    for number, boot in enumerate(boots, start=1):
        yield Text()
        yield _heading(f"Boot {number} of {len(boots)}", "" if number == 1 else "after a reboot")
        for role, entries in groupby(boot, key=lambda entry: entry.role):
            yield _indented(Text(role, style="cyan"))
            yield _indented(_resources(entries, group.limits), by=4)
    yield Text()
    yield _heading("Sources", "")
    yield _indented(_table(((f"[{number}]", source) for source, number in sources.items()), columns=2))


def _indented(part: RenderableType, by: int = 2) -> RenderableType:
    return Padding(part, (0, 0, 0, by), expand=False)


def _heading(title: str, remark: str) -> Text:
    return Text.assemble((title, "bold"), (f"  ({remark})" if remark else "", "dim"))


def _declared(spec: NodeSpec) -> str:
    """What was declared and is not a default, as the inventory's keys."""
    declared = spec.model_dump(exclude_defaults=True, exclude={"os", "arch"})
    return ", ".join([spec.os, spec.arch, *(f"{key}={_plain(value)}" for key, value in declared.items())])


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _asked(group: Group) -> str:
    nodes = "these nodes" if len(group.nodes) > 1 else "this node"
    if group.reading is None or group.reading.offers is None:
        return f"from the catalog alone: the archive of {nodes} was not asked yet"
    return f"from what the archive of {nodes} offered when first read"


def _sources(choices: Iterable[Choice]) -> dict[str, int]:
    """Every source once, with the number under which reasons cite it."""
    sources = dict.fromkeys(reason.source for choice in choices for reason in choice.reasons)
    return {source: number for number, source in enumerate(sources, start=1)}


def _versions(choices: Iterable[Choice], sources: Mapping[str, int]) -> Table:
    return _table(
        (choice.component, Text(choice.version, "green"), Text("\n").join(_reason(r, sources) for r in choice.reasons))
        for choice in choices
    )


def _reason(reason: Reason, sources: Mapping[str, int]) -> Text:
    doubt = "" if reason.verified else " unverified"
    return Text.assemble(reason.text, (f" [{sources[reason.source]}]", "dim"), (doubt, "yellow"))


def _resources(entries: Iterable[Entry], limits: frozenset[Limit]) -> Table:
    resources = [entry.resource for entry in entries]
    return _table((r.name, Text(r.kind, "dim"), _told(r, limits)) for r in resources)


def _told(resource: Resource, limits: frozenset[Limit]) -> Text:
    marked = marks(resource, limits)
    return Text.assemble(what(resource), (f" ({marked})" if marked else "", "yellow"))


def _table(rows: Iterable[tuple[str | Text, ...]], columns: int = 3) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid
