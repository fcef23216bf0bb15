"""`provision probe`: read one machine whole, and keep what was read."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from time import monotonic
from typing import Annotated

import typer

from provision.cli.exits import Exit
from provision.model import Snapshot
from provision.probe import Unreadable, full_probe_program, parse

app = typer.Typer(rich_markup_mode=None)

CONNECT_SECONDS = 10
READ_SECONDS = 120
MOST_BYTES = 16 * 1024 * 1024
"""Of a whole answer; the program itself stops far below."""


class NotRead(Exception):
    """A machine could not be read, or what came back is no answer."""


@app.command()
def probe(  # noqa: PLR0913, PLR0917 - one for each option
    host: Annotated[str | None, typer.Argument(help="a host as ssh knows it")] = None,
    local: Annotated[bool, typer.Option("--local", help="read this machine")] = False,
    show: Annotated[bool, typer.Option("--print", help="print the program itself; it needs nothing but sh")] = False,
    answer: Annotated[
        Path | None, typer.Option("--parse", metavar="FILE", help="what the program printed elsewhere")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="where to write the snapshot")
    ] = None,
    ssh_config: Annotated[Path | None, typer.Option("--ssh-config", metavar="FILE", help="as `ssh -F`")] = None,
    sudo: Annotated[bool, typer.Option("--sudo", help="become root, without a password; root sees more")] = False,
) -> None:
    """Read a machine whole, and print what was read as JSON.

    One connection, one command; nothing is written on the machine. What could not be seen is told on stderr and
    kept in the snapshot.
    """
    if sum((host is not None, local, show, answer is not None)) != 1:
        typer.echo("name one of: HOST, --local, --print, --parse FILE", err=True)
        raise typer.Exit(Exit.WRONG_INPUT)
    if show:
        typer.echo(full_probe_program(), nl=False)
        return
    if host is not None and host.startswith("-"):
        typer.echo(f"{host!r} is not a host", err=True)
        raise typer.Exit(Exit.WRONG_INPUT)
    try:
        snapshot = _snapshot(host, answer, ssh_config, sudo)
    except OSError as error:
        typer.echo(f"{error.filename or host}: {error.strerror}", err=True)
        raise typer.Exit(Exit.WRONG_INPUT) from None
    except (NotRead, Unreadable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.UNKNOWN) from None
    _write(snapshot, output)


def _snapshot(host: str | None, answer: Path | None, ssh_config: Path | None, sudo: bool) -> Snapshot:
    if answer is not None:
        return parse(answer.read_text(errors="replace"), answer.name)
    shell = ["sudo", "-n", "sh", "-s"] if sudo else ["sh", "-s"]
    if host is None:
        return parse(read(shell, "this machine"), "localhost")
    return parse(read([*_ssh(ssh_config), "--", host, *shell], host), host)


def _ssh(config: Path | None) -> list[str]:
    options = ["-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}", "-o", "LogLevel=ERROR"]
    return ["ssh", *options, *(["-F", str(config)] if config else [])]


def read(command: Sequence[str], name: str, seconds: float = READ_SECONDS) -> str:
    """What the probe answers to a shell that `command` starts. Raises: NotRead."""
    with TemporaryFile() as sent, TemporaryFile() as said:
        sent.write(full_probe_program().encode())
        sent.seek(0)
        with subprocess.Popen(command, stdin=sent, stdout=subprocess.PIPE, stderr=said) as child:
            assert child.stdout is not None
            began = monotonic()
            patience = Timer(seconds, child.kill)
            patience.start()
            answer = child.stdout.read(MOST_BYTES + 1)
            patience.cancel()
            if len(answer) > MOST_BYTES:
                child.kill()
        said.seek(0)
        words = " ".join(said.read(MOST_BYTES).decode(errors="replace").split())[-500:]
    if len(answer) > MOST_BYTES:
        raise NotRead(f"{name} answers without end")
    if child.returncode == 0:
        return answer.decode(errors="replace")
    if monotonic() - began >= seconds:
        raise NotRead(f"{name}: no whole answer after {seconds:.0f} s")
    raise NotRead(f"{name} could not be read: {words or f'exit code {child.returncode}'}")


def _write(snapshot: Snapshot, output: Path | None) -> None:
    text = snapshot.model_dump_json(indent=1)
    if output is None:
        typer.echo(text)
    else:
        output.write_text(f"{text}\n")
    for what, why in sorted(snapshot.hidden.items()):
        typer.echo(f"hidden: {what}: {why}", err=True)
