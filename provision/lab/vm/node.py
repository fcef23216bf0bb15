"""A node that is a virtual machine: a clone of a saved state, later booting from what it wrote."""

from __future__ import annotations

import time
from pathlib import Path
from shlex import quote

from provision.lab import identity, network
from provision.lab.error import LabError
from provision.lab.mirror import SYSTEM
from provision.lab.node import Node, Record, Site
from provision.lab.vm import saved
from provision.lab.vm.emulator import DISK, MEMORY, VARIABLES, WRITTEN
from provision.lab.vm.machine import Machine, Wiring
from provision.lab.vm.qmp import Agent, Done, Qmp
from provision.lab.vm.saved import Saved
from provision.model.spec import Arch

AGENT_SECONDS = 60
FURNISHED = "furnished"
"""A file that says: the machine was told who it is."""

# sshd reads its keys anew at HUP.  The clock stood still while the state lay on the disk.  The running journald keeps
# the folder named by the machine-id that it started with; journalctl looks for the one of now.
AWAKE = """
kill -HUP "$(cat /run/sshd.pid)"
hostname -- "$name"
date --utc --set="@$now" >/dev/null
for journal in /run/log/journal /var/log/journal; do
  if [ -d "$journal/$before" ] && [ "$before" != "$machine_id" ]; then
    mv "$journal/$before" "$journal/$machine_id"
    ln -s "$machine_id" "$journal/$before"
  fi
done
sync
"""


class MachineRecord(Record):
    """`layers` are names of saved states, the topmost first."""

    machine: Machine
    tools: str
    layers: tuple[str, ...]


class VirtualMachine(Node):
    """Clones of one state share its boot_id and uptime until they reboot; name, machine-id and keys are their own."""

    runner = "QEMU"
    boot_seconds = 600
    patience = 30
    kept_as = WRITTEN
    record: MachineRecord

    def __init__(self, folder: Path, record: MachineRecord, site: Site) -> None:
        super().__init__(folder, record, site)
        self._emulator = saved.emulator(site.store, record.machine, record.tools)

    @property
    def running(self) -> bool:
        return super().running and self._is_furnished

    @property
    def arch(self) -> Arch:
        return self.record.machine.arch

    @property
    def kind(self) -> str:
        """Architecture, and the firmware where it is not the plain one."""
        return self.record.machine.kind

    @property
    def layers(self) -> tuple[str, ...]:
        return self.record.layers

    @property
    def system(self) -> str:
        return SYSTEM

    @property
    def written(self) -> Path:
        return self.folder / WRITTEN

    @property
    def console(self) -> str:
        """What the machine has written to its serial console since it was made, each line with the time."""
        return (self.folder / "console.log").read_text(encoding="utf-8", errors="replace")

    def inside(self, command: str, seconds: float = 120) -> Done:
        """Runs a shell command as root through QEMU's agent, so also where the network is down."""
        with Agent(self.folder, AGENT_SECONDS) as agent:
            return agent.run(command, seconds)

    def qmp(self) -> Qmp:
        """QEMU's monitor, for what only the machine's owner can do."""
        return Qmp(self.folder)

    def restore(self) -> None:
        """Back to the state that the node stands on, in seconds; what it wrote since is forgotten."""
        self.release()
        (self.folder / FURNISHED).unlink(missing_ok=True)
        self.power_on()

    def settle(self) -> None:
        """Stops the machine with its memory kept beside its disk."""
        if not self.running:
            raise LabError(f"{self.name} is off, and has no memory to keep; `provision lab up {self.name}` first.")
        self._ssh.hang_up(self.name)
        self._emulator.save(self.folder)
        self.release()

    def layer(self, name: str) -> Saved:
        return Saved(name=name, machine=self.record.machine, tools=self.record.tools, below=self.record.layers)

    def on(self, layer: Path) -> MachineRecord:
        return self.record.model_copy(update={"layers": (layer.name, *self.record.layers)})

    @property
    def _is_furnished(self) -> bool:
        # Without it nobody could log in: a clone that was not told who it is is made anew.
        return (self.folder / FURNISHED).exists() and (self.written / DISK).exists()

    def _prepare(self) -> None:
        for name in self.record.layers:
            if not (self._store / "layers" / name / WRITTEN).is_dir():
                raise LabError(f"{self.name} stands on {name}, which is gone: `provision lab down {self.name}`.")
        if not self._is_furnished:
            (self.folder / FURNISHED).unlink(missing_ok=True)
            self._emulator.lay_out(self.folder, self._state / DISK, self._state / VARIABLES)

    def _boot(self) -> None:
        fresh = not self._is_furnished
        space = network.namespace(self._network.lab, self.name)
        wiring = Wiring(forward=f"{self.address}:22", incoming=fresh)
        command = self._emulator.supervised(
            self.folder, self._group.paths, wiring, within=("ip", "netns", "exec", space)
        )
        self._supervise(*command)
        if fresh:
            self._emulator.restore(self.folder, self._state / MEMORY)
            self._furnish()
            (self.folder / FURNISHED).touch()

    def _furnish(self) -> None:
        words = {"name": self.name, "now": f"{time.time():.3f}", "machine_id": self.record.machine_id}
        given = "".join(f"{word}={quote(value)}\n" for word, value in words.items())
        files = identity.script(self._identity(str(self._network.gateway)))
        done = self.inside(f"before=$(cat /etc/machine-id)\n{files}{given}{AWAKE}")
        if done.code != 0:
            raise LabError(f"{self.name} was not told who it is (exit code {done.code}): {done.output[-800:]}")

    def _ask_to_stop(self) -> None:
        # Not QEMU's power button: a guest need not listen to it (Debian 13 on `virt` does not, seen 2026-11-21).
        with Agent(self.folder, AGENT_SECONDS) as agent:
            agent.start("systemctl poweroff")

    @property
    def _state(self) -> Path:
        return self._store / "layers" / self.record.layers[0] / WRITTEN
