"""Arguments that several commands share, and how a person's mistake in them is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from provision.cli.exits import Exit
from provision.inventory import WrongInventory
from provision.model import Snapshot
from provision.planning import NoPlan
from provision.stack import NoFit
from provision.stack.match import NoMatch

InventoryFile = Annotated[Path, typer.Argument(metavar="INVENTORY", help="inventory file, as pyinfra reads it")]
Limit = Annotated[list[str] | None, typer.Option("--limit", metavar="NODE", help="only this node; may be repeated")]
Json = Annotated[bool, typer.Option("--json", help="print data instead of text (docs/json.md)")]

T = TypeVar("T")


@contextmanager
def mistakes_told() -> Iterator[None]:
    """A mistake of whoever wrote inventory or role is one paragraph and exit code 2, never a traceback."""
    try:
        yield
    except (WrongInventory, NoPlan, NoFit, NoMatch) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.WRONG_INPUT) from None


def limited(hosts: Mapping[str, T], limit: Sequence[str] | None, inventory: Path) -> dict[str, T]:
    """The hosts that were asked for; all of them when none was. Raises: WrongInventory for a host it does not have."""
    unknown = [name for name in limit or () if name not in hosts]
    if unknown:
        raise WrongInventory([_unknown(name, list(hosts)) for name in unknown], inventory)
    return {name: host for name, host in hosts.items() if not limit or name in limit}


def read_snapshot(path: Path) -> Snapshot:
    """The snapshot in a file. Raises: WrongInventory."""
    try:
        return Snapshot.model_validate_json(path.read_bytes())
    except OSError as error:
        raise WrongInventory([f"it cannot be read: {error.strerror}"], path) from error
    except ValueError as error:
        raise WrongInventory(["it is not a snapshot, as `provision probe` writes it"], path) from error


def near(path: Path) -> Path:
    """A path as seen from the working directory, where it lies under it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _unknown(name: str, hosts: Sequence[str]) -> str:
    near = get_close_matches(name, hosts, 1)
    return f"it declares no host {name!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
