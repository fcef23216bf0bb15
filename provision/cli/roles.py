"""`provision roles`: which roles can be found, and where; and what Ansible reads of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from pydantic.fields import FieldInfo

from provision.cli.arguments import mistakes_told
from provision.cli.exits import Exit
from provision.engines.ansible.role_files import files, stale
from provision.planning import Room, rooms

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def roles() -> None:
    """Show which roles can be found, and where; write what Ansible reads of them."""


@app.command("list")
def list_() -> None:
    """Every role: what it brings, its folder, the folders it shadows, its variables as an inventory writes them."""
    with mistakes_told():
        found = rooms()
    for room in found.values():
        typer.echo("\n".join(told(room)))


@app.command()
def render(
    check: Annotated[bool, typer.Option("--check", help="write nothing; exit code 3 if anything is stale")] = False,
) -> None:
    """Write what Ansible reads of each role of the working directory, from the role's spec.py."""
    here = Path.cwd() / "roles"
    with mistakes_told():
        found = rooms([here])
    wrong = [(room, path) for room in found.values() for path in stale(room)]
    for room, path in wrong:
        if not check:
            target = room.path / path
            target.parent.mkdir(exist_ok=True)
            target.write_text(files(room)[path])
        typer.echo(f"{room.path / path}{' is stale' if check else ''}")
    if check and wrong:
        raise typer.Exit(Exit.DRIFT)


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
