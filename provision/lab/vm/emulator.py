"""One QEMU over a folder of its own: started, restored from a saved state, saved.

What the machine writes lies in the folder's `machine/`: disk.qcow2, vars.fd, and after a save its memory.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from provision.lab import program
from provision.lab.error import LabError
from provision.lab.vm import supervisor, tools
from provision.lab.vm.machine import Machine, Wiring, argv
from provision.lab.vm.qmp import Qmp
from provision.model import Frozen

WRITTEN = "machine"
DISK, VARIABLES, MEMORY = "disk.qcow2", "vars.fd", "memory"
BASE = "base.raw"
"""What the disk of a first boot stands on."""

MAPPED_RAM = [{"capability": "mapped-ram", "state": True}]
"""Every page has its place in the file: it is sparse, and read in one go (QEMU's docs/devel/migration/mapped-ram)."""


class Emulator(Frozen):
    """`store` holds what disks stand on; disks name it by its place inside the tools root."""

    tools: Path
    store: Path
    machine: Machine

    def lay_out(self, folder: Path, below: Path, variables: Path) -> None:
        """A new disk over `below` (a file of the store, or one beside it), and firmware variables of its own."""
        written = folder / WRITTEN
        written.mkdir(parents=True, exist_ok=True)
        kind = "raw" if below.suffix == ".raw" else "qcow2"
        name = below.name if below.parent == written else self._inner(below)
        create = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", name)
        program.run(*self._inside(folder, *create, f"/here/{WRITTEN}/{DISK}"))
        program.run("cp", "--sparse=always", "--", str(variables), str(written / VARIABLES))

    @property
    def factory_variables(self) -> Path:
        return self.tools / self.machine.board.variables.removeprefix("/")

    def supervised(
        self, folder: Path, groups: tuple[Path, ...], wiring: Wiring, within: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """The command that runs the machine, by way of `within`; its console is what it prints."""
        return (
            *(sys.executable, "-I", "-S", str(supervisor.__file__), str(folder)),
            *(str(group) for group in groups),
            *("--", *within),
            *self._inside(folder, *argv(self.machine, wiring)),
        )

    def restore(self, folder: Path, memory: Path) -> None:
        """Brings the saved state into a QEMU that waits for one, and lets it run."""
        with Qmp(folder) as qmp:
            qmp.ask("migrate-set-capabilities", capabilities=MAPPED_RAM)
            qmp.ask("migrate-incoming", uri=f"file:{self._inner(memory)}")
            _wait(qmp, "query-status", lambda status: status != "inmigrate")
            qmp.ask("cont")

    def save(self, folder: Path) -> None:
        """Stops the machine as it is: its memory goes to a file beside its disk, and QEMU ends."""
        with Qmp(folder) as qmp:
            qmp.ask("stop")
            qmp.ask("migrate-set-capabilities", capabilities=MAPPED_RAM)
            qmp.ask("migrate", uri=f"file:/here/{WRITTEN}/{MEMORY}")
            status = _wait(qmp, "query-migrate", lambda status: status in ("completed", "failed", "cancelled"))
            if status != "completed":
                raise LabError(f"QEMU could not save the machine in {folder}: {qmp.ask('query-migrate')}")
            qmp.ask("quit")

    def _inside(self, folder: Path, *command: str) -> tuple[str, ...]:
        return tools.inside(self.tools, {"here": folder, "store": self.store}, *command)

    def _inner(self, path: Path) -> str:
        return str(Path("/store") / path.relative_to(self.store))


def _wait(qmp: Qmp, question: str, over: Callable[[str], bool]) -> str:
    while not over(status := str(qmp.ask(question).get("status", ""))):
        time.sleep(0.02)
    return status
