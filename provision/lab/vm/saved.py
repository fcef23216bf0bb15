"""Saved states: a booted machine's memory and disk, kept read-only, of which any number of clones start in seconds."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from provision.lab import kept, program
from provision.lab.base import USER_ID
from provision.lab.cgroup import Group
from provision.lab.error import LabError
from provision.lab.mirror import Mirror
from provision.lab.vm import foreign, image, tools
from provision.lab.vm.emulator import BASE, WRITTEN, Emulator
from provision.lab.vm.machine import Machine, Wiring
from provision.lab.vm.qmp import Agent
from provision.model import Frozen, canonical, digest

FOLDER = "vm"
"""Of the store: tools roots and images."""

BOOT_SECONDS = 600

# The menu that Debian's own tools make: every clone boots by it.  A login waits for systemd's own processes of its
# user, which take seconds to start: they are there already.  ssh has a host key until a clone gets its own.
SETTLE = f"""
set -eu
systemctl is-system-running --wait || systemctl --failed --no-legend
update-grub
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
systemctl start ssh.service user@{USER_ID}.service
sync
"""


class Saved(Frozen):
    """`below`: states that its disk stands on, the topmost first; `tools`: the root whose QEMU saved it."""

    name: str
    machine: Machine
    tools: str
    below: tuple[str, ...] = ()


def provide(store: Path, machine: Machine, mirror: Mirror, group: Group, say: Callable[[str], None]) -> Saved:
    """The state of such a machine just after its first boot; what is missing for it is built."""
    folder = store / FOLDER
    root = tools.provide(folder, mirror, say)
    recipe = [image.recipe_digest(machine, mirror), root.name, canonical(machine), BASE, SETTLE]
    saved = Saved(name=f"vm-{machine.kind}-{digest(chr(10).join(recipe))}", machine=machine, tools=root.name)

    def build(part: Path, _lock: int) -> None:
        disk = image.provide(folder, root, machine, mirror, say) / "disk.raw"
        _boot_once(Emulator(tools=root, store=store, machine=machine), part, disk, group, say)
        write(part, saved)

    kept.provide(store / "layers" / saved.name, "states.lock", build)
    return saved


def write(folder: Path, saved: Saved) -> None:
    (folder / "layer.json").write_text(saved.model_dump_json(indent=1), encoding="utf-8")


def emulator(store: Path, machine: Machine, root_of_tools: str) -> Emulator:
    return Emulator(tools=store / FOLDER / root_of_tools, store=store, machine=machine)


def forget(store: Path) -> None:
    """Takes back what a killed build left registered with the kernel."""
    foreign.forget(store / FOLDER, store / FOLDER / image.LOCK)


def _boot_once(emulator: Emulator, folder: Path, disk: Path, group: Group, say: Callable[[str], None]) -> None:
    group.kill()
    # A second name of the image's file: should the image be built anew, which makes another disk of the same recipe,
    # the state still stands on the one that it was made with.
    base = folder / WRITTEN / BASE
    base.parent.mkdir(parents=True)
    base.hardlink_to(disk)
    emulator.lay_out(folder, base, emulator.factory_variables)
    group.create()
    began = time.monotonic()
    say(f"booting the {emulator.machine.kind} machine once (minutes: its processor is emulated)")
    with (folder / "console.log").open("a") as console:
        running = subprocess.Popen(
            emulator.supervised(folder, group.paths, Wiring(cache="unsafe")),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env=program.environment(),
        )
    try:
        with Agent(folder, BOOT_SECONDS) as agent:
            say(f"it is up after {time.monotonic() - began:.0f} s; settling it")
            done = agent.run(SETTLE, BOOT_SECONDS)
        if done.code != 0:
            raise LabError(f"The machine was not settled (exit code {done.code}): {done.output[-800:]}")
        say("saving its state")
        emulator.save(folder)
        running.wait(timeout=60)
    finally:
        group.kill()
        running.wait()
        group.remove()
    for name in ("qmp", "events", "agent"):
        (folder / name).unlink(missing_ok=True)
