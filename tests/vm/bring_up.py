"""`provision apply` on a virtual machine, as a user runs it: a folder with an inventory, one command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provision.lab import Lab, VirtualMachine
from provision.model import Frozen
from provision.model.spec import Arch
from provision.platforms import platform_for

OS = "debian13"


class Applied(Frozen):
    code: int
    output: str
    seconds: float
    reboots: int


class BringUp:
    """One node and one controller."""

    def __init__(self, folder: Path, node: VirtualMachine, **keys: Any) -> None:
        self.folder, self.node = folder, node
        folder.mkdir(parents=True, exist_ok=True)
        given = {"gpu": "H100", "hardware": "absent", "sudo": True, "os": OS, "arch": node.arch, **keys}
        given |= {"ssh_config_file": str(node.ssh_config)}
        told = ", ".join(f"{key}={value!r}" for key, value in given.items())
        (folder / "inventory.py").write_text(f"from provision import fleet\n\nvm = fleet([{node.name!r}], {told})\n")

    def apply(self, *arguments: str) -> Applied:
        begun, boots = time.monotonic(), self.node.boot_id()
        done = self._provision("apply", *arguments)
        seconds = round(time.monotonic() - begun, 1)
        reboots = int(self.node.boot_id() != boots)
        said = "\n".join(path.read_text() for path in sorted((self.folder / "state/runs").glob("*/engine.log"))[-1:])
        print(f"{self.node.name}: provision apply {' '.join(arguments)}: exit {done.returncode}, {seconds} s")
        return Applied(code=done.returncode, output=f"{done.stdout}\n{said}", seconds=seconds, reboots=reboots)

    def plan(self) -> str:
        """The plan in words that change when it does."""
        return self._provision("plan", "--json").stdout

    def _provision(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "PROVISION_STATE": str(self.folder / "state"),
            "PROVISION_ROLES": str(Path(__file__).parent / "roles"),
            "COLUMNS": "200",
        }
        return subprocess.run(
            [sys.executable, "-m", "provision", command, "inventory.py", *arguments],
            check=False,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def kernels(node: VirtualMachine) -> tuple[str, ...]:
    """The releases, newest first, of which the node's archive has image and headers."""
    names = node.sudo("apt-get -qq update >&2; apt-cache pkgnames linux-").stdout.split()
    return platform_for(OS, node.arch).offered_kernels(dict.fromkeys(names, ("*",)))


@contextmanager
def clone(lab: Lab, name: str, arch: Arch, layer: str | None = None) -> Iterator[VirtualMachine]:
    """A fresh virtual machine, or one on a saved layer; taken down afterwards."""
    (node,) = lab.up([name], layer=layer, vm=None if layer else arch)
    assert isinstance(node, VirtualMachine)
    try:
        yield node
    finally:
        lab.down([name])
