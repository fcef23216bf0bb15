"""`provision lab`: throw-away nodes on this machine. All printing and exit codes of the lab are here.

Exit codes: 0 done, 1 it failed on the way, 2 nothing was tried (wrong name, this machine lacks something).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from provision.inventory import WrongInventory
from provision.lab import host, systems
from provision.lab.converged import is_done, plan_digests
from provision.lab.error import InputError, LabError
from provision.lab.lab import NETWORK_VARIABLE, Lab, default_state
from provision.lab.systems import Ground
from provision.lab.vm.machine import Firmware, architecture
from provision.lab.vm.machine import firmware as known_firmware
from provision.lab.vm.node import VirtualMachine
from provision.model.spec import Arch

FAILED = 1
NOT_TRIED = 2

app = typer.Typer(
    no_args_is_help=True,
    help="Throw-away Debian nodes on this machine, by systemd-nspawn (seconds) or QEMU (--vm: kernels of their own).",
)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="names of nodes")]


@app.command()
def up(  # noqa: PLR0913, PLR0917 - one for each option
    names: Names = None,
    layer: Annotated[str | None, typer.Option(help="start new nodes from this saved layer")] = None,
    vm: Annotated[bool, typer.Option("--vm", help="virtual machines: kernels of their own, real boots")] = False,
    arch: Annotated[str, typer.Option(help="of virtual machines: x86_64 or aarch64 (default: as this machine)")] = "",
    firmware: Annotated[
        str, typer.Option(help="of virtual machines: plain, or secure, which enforces Secure Boot (default: plain)")
    ] = "",
    system: Annotated[
        str, typer.Option("--os", metavar="OS", help="what new nodes are: debian12, debian13, or a name for stand-ins")
    ] = "",
    converged: Annotated[
        Path | None, typer.Option(metavar="INVENTORY", help="start new nodes as `lab keep INVENTORY` left them")
    ] = None,
) -> None:
    """Starts nodes (default: node1) and waits until one can log in. The first call builds what they stand on."""
    _require_everything()
    with _progress() as say, _told():
        machine = _machine(vm, arch, firmware)
        if system:
            _refuse_beside_os({"--layer": layer, "--vm": vm, "--converged": converged})
        lab = _lab(say, known_firmware(firmware or "plain"))
        before = {node.name for node in lab.nodes() if node.running}
        wanted = names or ["node1"]
        ground = _ground(lab, wanted, system)
        kept = _kept(lab, converged) if converged else {}
        nodes = [
            node
            for name in wanted
            for node in lab.up([name], layer=layer or ground.layer or kept.get(name), vm=machine, suite=ground.suite)
        ]
    for node in nodes:
        if node.standins:
            typer.echo(f"{node.name} has stand-ins: {node.standins}")
        typer.echo(f"{node.name} {node.address} {'was running already' if node.name in before else 'is up'}")
        if isinstance(node, VirtualMachine) and node.name not in before and node.boots == 1:
            typer.echo(f"{node.name} goes on from {node.layers[0]}: same boot_id and uptime, clock set to now")
    typer.echo(f"ssh -F {_shown(lab.ssh_config)} {nodes[0].name}")


@app.command()
def keep(inventory: Annotated[Path, typer.Argument(help="the inventory whose nodes have converged")]) -> None:
    """Keeps converged nodes as read-only layers, by the digest of their plans, so that a module build is paid once."""
    _require_everything()
    with _progress() as say, _told():
        lab = _lab(say)
        for name, digest in _digests(inventory).items():
            if not is_done(name, digest):
                raise LabError(f"{name} has not reached the end of its plan; `provision apply {inventory}` goes on.")
            lab.save(name, digest)
            typer.echo(f"{name} is kept as layer {digest}")


@app.command()
def down(names: Names = None) -> None:
    """Takes nodes down (default: all) and forgets what they wrote."""
    _require_everything()
    with _progress() as say, _told():
        gone = _lab(say).down(names or None)
    for name in names or gone:
        typer.echo(f"{name} is gone" if name in gone else f"{name} was not there")
    if not names and not gone:
        typer.echo("There are no nodes.")


@app.command("list")
def list_nodes() -> None:
    """Shows nodes and saved layers."""
    with _told():
        lab = _lab(_silent)
        nodes, layers = lab.nodes(), lab.layers()
        lines = [
            f"{n.name} {n.address} {n.runner} {n.arch} {n.system} {'running' if n.running else 'off'} boots={n.boots}"
            f"{f' stand-ins: {n.standins}' if n.standins else ''}"
            for n in nodes
        ]
    for line in lines:
        typer.echo(line)
    for layer in layers:
        typer.echo(f"layer {layer.name}")
    if not nodes:
        typer.echo(f"There are no nodes in {_shown(lab.state)}; `provision lab up NAME` makes one.")


@app.command(context_settings={"ignore_unknown_options": True})
def shell(
    name: Annotated[str, typer.Argument(help="the node")],
    command: Annotated[list[str] | None, typer.Argument(help="a command to run there instead of a shell")] = None,
) -> None:
    """Opens a shell on a node as user lab, who may sudo."""
    with _told():
        lab = _lab(_silent)
        node = lab.node(name)
        if not os.access(lab.state / "key", os.R_OK):
            raise LabError(f"{lab.state / 'key'} belongs to somebody else; run it as root (sudo), who made the lab.")
        if not node.running:
            raise LabError(f"{name} is off; `provision lab up {name}` starts it.")
    os.execvp("ssh", ["ssh", "-F", str(lab.ssh_config), name, *(command or [])])  # noqa: S606


@app.command()
def clean() -> None:
    """Removes everything of the lab: nodes, base, layers, keys, and what it set on this machine."""
    _require_everything()
    with _progress() as say, _told():
        lab = _lab(say)
        lab.clean()
    typer.echo(f"Nothing is left of the lab in {_shown(lab.state)}.")


@app.command()
def requirements(
    install: Annotated[bool, typer.Option("--install", help="install what is missing by apt-get; needs root")] = False,
) -> None:
    """Says what this machine lacks to run lab nodes."""
    lacking = host.missing()
    if install:
        with _told():
            packages = host.install(lacking)
        typer.echo(f"Installed: {' '.join(packages) or 'nothing was missing'}")
        lacking = host.missing()
    if lacking:
        typer.echo(host.sentence(lacking))
        raise typer.Exit(NOT_TRIED)
    typer.echo("This machine has everything the lab needs.")


def _refuse_beside_os(others: dict[str, object]) -> None:
    if given := [option for option, value in others.items() if value]:
        raise InputError(f"--os and {', '.join(given)} each say what new nodes stand on: give one of them.")


def _ground(lab: Lab, names: list[str], system: str) -> Ground:
    if not system:
        return Ground()
    wanted = systems.check(system)
    systems.refuse_others(lab.nodes(), names, wanted)
    return systems.ground(lab, wanted)


def _machine(vm: bool, arch: str, firmware: str) -> Arch | None:
    if arch and not vm:
        raise InputError("--arch is of virtual machines: containers have this machine's; add --vm.")
    if firmware and not vm:
        raise InputError("--firmware is of virtual machines: containers have none; add --vm.")
    return architecture(arch or os.uname().machine) if vm else None


def _kept(lab: Lab, inventory: Path) -> dict[str, str]:
    """Node -> its layer, where there is one and the node is not on the way already."""
    layers, nodes = {layer.name for layer in lab.layers()}, {node.name for node in lab.nodes()}
    return {n: digest for n, digest in _digests(inventory).items() if digest in layers and n not in nodes}


def _digests(inventory: Path) -> dict[str, str]:
    try:
        return plan_digests(inventory)
    except WrongInventory as error:
        raise InputError(str(error)) from error


def _lab(say: Callable[[str], None], firmware: Firmware = "plain") -> Lab:
    return Lab(default_state(), subnet=os.environ.get(NETWORK_VARIABLE), firmware=firmware, say=say)


def _require_everything() -> None:
    lacking = host.missing()
    if lacking:
        typer.echo(f"{host.sentence(lacking)} Without a lab, `provision plan` works on any machine.", err=True)
        raise typer.Exit(NOT_TRIED)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except LabError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(NOT_TRIED if isinstance(error, InputError) else FAILED) from None
    except KeyboardInterrupt:
        typer.echo("Interrupted. The same command, or `provision lab down`, goes on from here.", err=True)
        raise typer.Exit(130) from None


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """On a terminal one line that is written over; elsewhere a line per stage. Both on standard error, with seconds."""
    began = time.monotonic()
    terminal = sys.stderr.isatty()

    def say(line: str) -> None:
        text = f"[{time.monotonic() - began:5.1f} s] {line}"
        typer.echo(f"\r\x1b[K{text[:110]}" if terminal else text, err=True, nl=not terminal)

    try:
        yield say
    finally:
        if terminal:
            typer.echo("\r\x1b[K", err=True, nl=False)


def _silent(_line: str) -> None:
    pass


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
