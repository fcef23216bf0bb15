"""`provision init`: a small project in a folder, for both engines. Writes files and nothing else; asks nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from jinja2 import Environment, StrictUndefined

from provision.catalog import find_gpus, load
from provision.cli.arguments import mistakes_told
from provision.cli.exits import Exit
from provision.inventory import HOST_NAME, WrongInventory, checked_spec
from provision.model import NodeSpec
from provision.planning import assemble, rooms

app = typer.Typer(rich_markup_mode=None)

TEMPLATES = {
    "README.md": "README.md.j2",
    "inventory.py": "inventory.py.j2",
    "deploy.py": "deploy.py.j2",
    "config.py": "config.py.j2",
    "site.yml": "site.yml.j2",
    "ansible.cfg": "ansible.cfg.j2",
    ".gitignore": "gitignore.j2",
}
"""File of a project -> its template in `provision/cli/project`."""


class Occupied(FileExistsError):
    """Something else stands where a file of the project would; the text names every such file."""


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="made if it is not there; no file in it is overwritten")
    ],
    host: Annotated[list[str] | None, typer.Option("--host", metavar="NAME", help="a machine; may be repeated")] = None,
    system: Annotated[str, typer.Option("--os", help="distribution and release")] = "ubuntu24.04",
    arch: Annotated[str, typer.Option("--arch", help="as `uname -m` prints it (default: that of the GPU's host)")] = "",
    gpu: Annotated[str, typer.Option("--gpu", help="the model, e.g. GH200")] = "",
) -> None:
    """Write a small project: inventory, and what pyinfra and Ansible read."""
    with mistakes_told():
        hosts = tuple(host or ["gpu-01"])
        texts = project(hosts, declared(hosts, system, arch, gpu))
    try:
        write(folder, texts)
    except OSError as error:
        typer.echo(str(error) if isinstance(error, Occupied) else f"{folder}: {error.strerror}", err=True)
        raise typer.Exit(Exit.WRONG_INPUT) from None
    typer.echo(f"{folder}: {', '.join(texts)}")
    typer.echo(f"Next: cd {quote(str(folder))}; name your machines in inventory.py; provision plan inventory.py")


def declared(hosts: Sequence[str], system: str, arch: str, gpu: str) -> NodeSpec:
    """What the inventory would say of each host. Raises: WrongInventory, NoFit."""
    mistakes = [f"{name!r} is not a host name" for name in hosts if not HOST_NAME.fullmatch(name)]
    mistakes += [f"host {name!r} is named twice" for name in dict.fromkeys(hosts) if hosts.count(name) > 1]
    keys = {"os": system, "arch": arch or usual_arch(gpu)} | ({"gpu": gpu} if gpu else {})
    found = rooms()
    try:
        spec = checked_spec(keys, found)
    except WrongInventory as error:
        raise WrongInventory([*mistakes, *error.mistakes]) from None
    if mistakes:
        raise WrongInventory(mistakes)
    assemble(spec, found)
    return spec


def usual_arch(gpu: str) -> str:
    """The architecture of a GPU's host: a coherent one shares its memory with a Grace CPU."""
    try:
        rows = find_gpus(load().gpus, gpu)
    except LookupError:
        return "x86_64"  # an unknown GPU is told where all of the declaration is checked
    return "aarch64" if all(row.coherent for row in rows) else "x86_64"


def project(hosts: Sequence[str], spec: NodeSpec) -> dict[str, str]:
    """The files of a project: name -> text."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701
    folder = files("provision.cli") / "project"
    return {
        name: environment.from_string((folder / template).read_text(encoding="utf-8")).render(
            hosts=hosts, os=spec.os, arch=spec.arch, gpu=spec.gpu
        )
        for name, template in TEMPLATES.items()
    }


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Put the files in place, none over another; one that says the same already is left, so a cut run can be repeated.

    Raises: Occupied, before anything is written; OSError.
    """
    others = [name for name, text in texts.items() if not _may_be(folder / name, text)]
    if others:
        raise Occupied(_refusal(folder, others))
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        _put(folder / name, text)


def _put(path: Path, text: str) -> None:
    """Whole or not at all. A link, unlike a rename, fails where something came to be in the meantime."""
    with tempfile.TemporaryDirectory(prefix=".provision-", dir=path.parent) as beside:
        whole = Path(beside) / path.name
        whole.write_text(text, encoding="utf-8")
        try:
            path.hardlink_to(whole)
        except FileExistsError:
            if not _may_be(path, text):
                raise Occupied(_refusal(path.parent, [path.name])) from None


def _may_be(path: Path, text: str) -> bool:
    """Is there nothing of this name, or the very same text?"""
    if not os.path.lexists(path):
        return True
    return path.is_file() and path.read_bytes() == text.encode()


def _refusal(folder: Path, names: Sequence[str]) -> str:
    return (
        f"{folder} has {', '.join(names)} already, with other contents, and no file is overwritten. "
        "Name another folder, or move them away."
    )
