"""`provision roles`: which roles can be found, and where."""

from __future__ import annotations

from collections.abc import Iterable

import typer
from pydantic.fields import FieldInfo

from provision.cli.arguments import mistakes_told
from provision.planning import Room, rooms

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def roles() -> None:
    """Show which roles can be found, and where."""


@app.command("list")
def list_() -> None:
    """Every role: what it brings, its folder, the folders it shadows, its variables as an inventory writes them."""
    with mistakes_told():
        found = rooms()
    for room in found.values():
        typer.echo("\n".join(told(room)))


def told(room: Room) -> Iterable[str]:
    """One role in lines of text."""
    summary = (room.role.__doc__ or "").strip().partition("\n")[0]
    yield f"{room.name}: {summary}"
    yield f"  {room.path}"
    yield from (f"  shadows {path}" for path in room.shadows)
    yield from (
        f"  {room.name}_{name} = {_default(field)}  {field.description or ''}".rstrip()
        for name, field in room.role.model_fields.items()
    )


def _default(field: FieldInfo) -> str:
    return "(must be given)" if field.is_required() else repr(field.get_default(call_default_factory=True))
