"""`provision catalog`: what is known, row by row, each with its source."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.console import RenderableType

from provision.catalog import Catalog, Row, check, kinds, load
from provision.catalog.lookup import fact, facts
from provision.cli.arguments import Json
from provision.cli.console import grid, put, standard
from provision.cli.exits import Exit
from provision.model import Frozen

app = typer.Typer(rich_markup_mode=None)

APART = ("id", "verified", "source", "note")
"""Fields that every row has; they are told at its end."""


class Share(Frozen):
    """How many rows there are, and how many of them were read in their source."""

    rows: int
    verified: int

    @property
    def percent(self) -> int:
        """Rounded down: 100 means all."""
        return 100 * self.verified // self.rows if self.rows else 0


@app.callback()
def catalog() -> None:
    """Show and check what is known: versions, GPUs, kernels and what fits what, each with its source."""


@app.command("show")
def show_(
    kind: Annotated[str, typer.Argument(help="a kind of row (cuda, driver, gpu, ...), or a fact's id: KIND/ID")],
    name: Annotated[str | None, typer.Argument(metavar="ID", help="an id, its beginning, or a name")] = None,
    as_json: Json = False,
) -> None:
    """Print rows with their source: `show cuda 12.8`, `show gpu GH200`, `show KIND/ID` as reasons cite it."""
    known = load()
    try:
        found = _asked(known, kind, name)
    except LookupError as error:
        typer.echo(f"{error.args[0]}.", err=True)
        raise typer.Exit(Exit.WRONG_INPUT) from None
    if as_json:
        typer.echo(json.dumps({"schema": 1, "rows": [as_data(known, row) for row in found]}, indent=1))
        return
    put(standard(), _blocks(known, found))


@app.command("stats")
def stats_(as_json: Json = False) -> None:
    """Count the rows of every kind, and the share that was read in its source."""
    shares = stats(load())
    total = summed(shares.values())
    if as_json:
        told = {kind: share.model_dump() for kind, share in shares.items()}
        data = {"schema": 1, "as_of": load().as_of, "kinds": told, "all": total.model_dump()}
        typer.echo(json.dumps(data, indent=1))
        return
    lines = [(kind, share) for kind, share in shares.items()] + [("all", total)]
    table = grid(((kind, str(s.rows), f"{s.verified} verified", f"{s.percent} %") for kind, s in lines), columns=4)
    for column in table.columns[1:]:
        column.justify = "right"
    put(standard(), [table, f"driver branches as of {load().as_of}"])


@app.command("check")
def check_(as_json: Json = False) -> None:
    """Tell every defect: sources, references, versions, ranges. Exit code 1 if there is one."""
    defects = check(load())
    if as_json:
        typer.echo(json.dumps({"schema": 1, "rows": summed(stats(load()).values()).rows, "defects": defects}, indent=1))
    else:
        typer.echo("\n".join(defects) or f"{summed(stats(load()).values()).rows} rows, no defect")
    raise typer.Exit(Exit.FAILED if defects else Exit.DONE)


def stats(known: Catalog) -> dict[str, Share]:
    """Rows and verified rows of every kind."""
    return {
        kind: Share(rows=len(rows), verified=sum(row.verified for row in rows)) for kind, rows in kinds(known).items()
    }


def summed(shares: Iterable[Share]) -> Share:
    each = tuple(shares)
    return Share(rows=sum(share.rows for share in each), verified=sum(share.verified for share in each))


def as_data(known: Catalog, row: Row) -> dict[str, JsonValue]:
    """A row whole, with its fact id, and its source spelled out beside the keys."""
    return {"fact": known.ref(row), **row.model_dump(mode="json"), "cited": known.cite(row.source)}


def _asked(known: Catalog, kind: str, name: str | None) -> tuple[Row, ...]:
    if name is not None:
        return facts(known, kind, name)
    if "/" not in kind:
        facts(known, kind, kind)  # names what there is, for a kind that is known and for one that is not
    group, _, row_id = kind.partition("/")
    try:
        return (fact(known, kind),)
    except LookupError:
        return facts(known, group, row_id)


def _blocks(known: Catalog, rows: Iterable[Row]) -> Iterator[RenderableType]:
    for number, row in enumerate(rows):
        yield from [""] if number else []
        yield known.ref(row)
        yield grid(((f"  {name}", text) for name, text in _lines(known, row)), columns=2)


def _lines(known: Catalog, row: Row) -> Iterator[tuple[str, str]]:
    for name in type(row).model_fields:
        if name not in APART and (text := plain(getattr(row, name))):
            yield name, text
    yield "verified", "yes" if row.verified else "no"
    if row.note:
        yield "note", row.note
    for number, key in enumerate(row.source.split("+")):
        yield ("" if number else "source"), known.cite(key)


def plain(value: object) -> str:
    """A field's value as a person writes it; empty where it holds nothing."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case dict():
            return "; ".join(f"{key}: {plain(item)}" for key, item in value.items())
        case tuple() | list() | frozenset():
            return ", ".join(plain(item) for item in value)
        case _:
            return str(value)
