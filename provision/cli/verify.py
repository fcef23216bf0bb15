"""`provision verify`: checks that run on the nodes themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from provision.cli.arguments import InventoryFile, Limit, mistakes_told, near
from provision.cli.report import declared_now, write_report
from provision.engines.events import new_run
from provision.verify.run import SUMMARY
from provision.verify.run import verify as run_checks
from provision.verify.summary import Check, Outcome, Summary

app = typer.Typer(rich_markup_mode=None)

NOT_ASKED: frozenset[Outcome] = frozenset({"not applicable", "skipped"})


@app.command()
def verify(
    inventory: InventoryFile,
    limit: Limit = None,
    out: Annotated[Path | None, typer.Option(help="folder for the evidence; a new one by default")] = None,
) -> None:
    """Check on the nodes that what was declared works."""
    folder = out or new_run()
    with mistakes_told():
        code = run_checks(inventory, tuple(limit or ()), folder)
        declared = declared_now(inventory, limit or ())
    if (folder / SUMMARY).exists():
        found = Summary.model_validate_json((folder / SUMMARY).read_text())
        typer.echo("\n".join(line for node in found.plans for line in told(node, found)))
    declared.keep(folder)
    typer.echo(f"report: {near(write_report(folder, declared))}")
    typer.echo(f"evidence: {near(folder)}")
    raise typer.Exit(code)


def told(node: str, summary: Summary) -> Iterator[str]:
    """One node's result: counts, the names of what was not asked, and the evidence of what does not hold."""
    own: dict[Outcome, list[Check]] = {}
    for check in summary.checks:
        if check.node == node:
            own.setdefault(check.outcome, []).append(check)
    yield f"{node}: {', '.join(f'{len(found)} {outcome}' for outcome, found in own.items()) or 'nothing was asked'}"
    if node in summary.standins:
        yield from (f"  {line}" for line in summary.standins[node].sentences)
    for outcome, found in own.items():
        if outcome in NOT_ASKED:
            yield f"  {outcome}: {', '.join(check.resource for check in found)}"
        elif outcome == "unknown":
            yield f"  unknown: {len(found)} checks; the first, {found[0].resource}: {found[0].evidence}"
        elif outcome != "holds":
            yield from (f"  {outcome}: {check.role} {check.resource}: {check.evidence}" for check in found)
