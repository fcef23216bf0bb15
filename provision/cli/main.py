"""`provision`: the command line. A command's module is imported when that command runs, and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Listed(NamedTuple):
    """A command as `provision --help` lists it."""

    module: str
    summary: str


COMMANDS = {
    "init": Listed("provision.cli.init", "Write a small project: inventory, and what pyinfra and Ansible read."),
    "plan": Listed("provision.cli.plan", "Show what would be brought to the nodes, and why in these versions."),
    "match": Listed(
        "provision.cli.match", "Tell which CUDA toolkits a driver runs, or which drivers a CUDA release runs on."
    ),
    "apply": Listed("provision.cli.apply", "Bring the nodes to their declared state."),
    "drift": Listed("provision.cli.drift", "Tell what differs from the declaration, and change nothing."),
    "verify": Listed("provision.cli.verify", "Check on the nodes that what was declared works."),
    "report": Listed(
        "provision.cli.report",
        "Write one HTML page about a run: where the time went, versions with reasons, evidence for every claim.",
    ),
    "probe": Listed("provision.cli.probe", "Read a machine whole, and print what was read as JSON."),
    "catalog": Listed(
        "provision.cli.catalog",
        "Show and check what is known: versions, GPUs, kernels and what fits what, each with its source.",
    ),
    "roles": Listed(
        "provision.cli.roles", "Show which roles can be found, and where; write what Ansible reads of them."
    ),
    "lab": Listed("provision.lab.command", "Throw-away Debian nodes on this machine"),
}


class LazyGroup(TyperGroup):
    """Lists commands without importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, listed in COMMANDS.items():
            self.add_command(TyperCommand(name, help=listed.summary), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        command = typer.main.get_command(import_module(COMMANDS[str(name)].module).app)
        command.name = name
        return name, command, rest


app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)


@app.callback(no_args_is_help=True)
def provision() -> None:
    """Take bare NVIDIA GPU machines to a declared, verified state, and prove it."""


def main() -> None:
    """Console entry. Ends with a code of `provision.cli.exits.Exit`."""
    app(prog_name="provision")
