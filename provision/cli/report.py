"""`provision report`: one HTML page about a run, from what it left in its folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from provision.cli.arguments import mistakes_told, near
from provision.cli.exits import Exit
from provision.cli.plan_view import what
from provision.cli.records import Record, all_records, evidence
from provision.ledger import controller, now, state
from provision.planning import Plans, rooms
from provision.report import Declared, Header, page
from provision.stack import NoFit
from provision.verify.nodes import planned, targets
from provision.verify.run import SUMMARY

app = typer.Typer(rich_markup_mode=None)

FILE = "report.html"

Known = Annotated[
    Path | None, typer.Option("--inventory", metavar="FILE", help="what was declared, where the run did not keep it")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="by default in the run's folder")]


@app.command()
def report(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="a run's id, or its folder")] = None,
    last: Annotated[bool, typer.Option("--last", help="the newest run")] = False,
    inventory: Known = None,
    out: Out = None,
) -> None:
    """Write one HTML page about a run: where the time went, versions with reasons, evidence for every claim."""
    folder = _folder(run, last)
    if folder is None:
        typer.echo(_not_found(run), err=True)
        raise typer.Exit(Exit.WRONG_INPUT)
    with mistakes_told():
        declared = declared_now(inventory) if inventory else Declared.of(folder) or Declared()
    typer.echo(near(write_report(folder, declared, out)))


def declared_now(inventory: Path, nodes: Sequence[str] = ()) -> Declared:
    """What an inventory declares of these nodes (default: all), with the versions that follow from kept readings.

    A node for which nothing fits is left out. Raises: WrongInventory, NoPlan.
    """
    shared, plans = Plans(rooms()), {}
    for name, target in targets(inventory, nodes).items():
        with suppress(NoFit, LookupError):
            plans[name] = planned(target, shared, state())
    return Declared(
        inventory=str(near(inventory.absolute())),
        controller=f"{os.uname().nodename} ({controller()})",
        nodes=plans,
    )


def write_report(folder: Path, declared: Declared, out: Path | None = None) -> Path:
    """Write the page of a run. Returns: where it is."""
    run, others = Record(folder), all_records()
    nodes = dict.fromkeys([*run.events, *run.verified, *declared.nodes])
    known = [evidence(run, node, others) for node in nodes]
    header = Header(
        run=run.name,
        when=_when(run),
        written=now(),
        version=version("provision"),
        inventory=declared.inventory,
        controller=declared.controller,
    )
    told = page(header, [one.model_copy(update={"planned": declared.nodes.get(one.node)}) for one in known], what)
    path = out or folder / FILE
    path.write_text(told, encoding="utf-8")
    return path


def _when(run: Record) -> str:
    """When a run was at work: by its events, or by when its verification ended."""
    times = [event["at"] for events in run.events.values() for event in events]
    if times:
        return f"{_utc(min(times))} to {_utc(max(times))}"
    file = run.folder / SUMMARY
    return f"verified {_utc(file.stat().st_mtime)}" if file.exists() else "unknown"


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _folder(run: str | None, last: bool) -> Path | None:
    """The folder of the run that was asked for, if it is there."""
    if run is not None:
        return next((path for path in (Path(run), state() / "runs" / run) if path.is_dir()), None)
    records = all_records() if last else ()
    return records[-1].folder if records else None


def _not_found(run: str | None) -> str:
    told = f"there is no run {run}" if run else "name a run, or ask for the newest one with --last"
    known = ", ".join(record.name for record in all_records()[-5:])
    return f"{told}; the newest under {near(state())}: {known or 'none'}"
