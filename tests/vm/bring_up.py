"""`provision apply` on a virtual machine, as a user runs it: a folder with an inventory, one command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provision.engines.events import read
from provision.lab import Lab, VirtualMachine
from provision.ledger import Ledger
from provision.model import Frozen, digest
from provision.model.spec import Arch
from provision.platforms import platform_for
from provision.report.timeline import timeline

OS = "debian13"
CHECKOUT = Path(__file__).parents[2]
CONSOLE_END = 6000
"""Characters, of which GRUB's, the kernel's and systemd's last words take about so many."""


class Applied(Frozen):
    """How a bring-up ended. `reboots`: ordered, by the ledger; `boots`: the machine's starts meanwhile, by QEMU."""

    code: int
    output: str
    seconds: float
    reboots: int
    boots: int
    stages: str
    """Seconds by what they went into, most first."""


class Planned(Frozen):
    """`reboots`: as many as the plan has boundaries between boots; fewer do not do."""

    kernel: str
    reboots: int


class BringUp:
    """One node and one controller."""

    def __init__(self, folder: Path, node: VirtualMachine, **keys: Any) -> None:
        self.folder, self.node = folder, node
        folder.mkdir(parents=True, exist_ok=True)
        given = {"gpu": "H100", "hardware": "absent", "sudo": True, "os": OS, "arch": node.arch, **keys}
        given |= {"ssh_config_file": str(node.ssh_config)}
        told = ", ".join(f"{key}={value!r}" for key, value in given.items())
        self.inventory = folder / "inventory.py"
        self.inventory.write_text(f"from provision import fleet\n\nvm = fleet([{node.name!r}], {told})\n")

    def apply(self, *arguments: str) -> Applied:
        return self._bring_up("provision", "apply", str(self.inventory), *arguments)

    def deploy(self) -> Applied:
        """The same without our command line: pyinfra, this inventory and the checkout's own deploy.py."""
        return self._bring_up("pyinfra", str(self.inventory), "deploy.py", "-y")

    def drift(self) -> subprocess.CompletedProcess[str]:
        """`provision drift` as a person runs it; its errors stand in its output."""
        return self._run("provision", "drift", str(self.inventory))

    def plan(self) -> str:
        """The plan in words that change when it does."""
        return self._run("provision", "plan", str(self.inventory), "--json").stdout

    def planned(self) -> Planned:
        """What `provision plan` says of the node now."""
        (group,) = json.loads(self.plan())["groups"]
        boots = {stretch["boot"] for stretch in group["plan"]}
        return Planned(kernel=group["stack"]["kernel"]["version"], reboots=len(boots) - 1)

    def _bring_up(self, *command: str) -> Applied:
        begun, boots, ordered = time.monotonic(), self.node.boots, self._reboots_ordered()
        done = self._run(*command)
        seconds = round(time.monotonic() - begun, 1)
        run = max((self.folder / "state/runs").glob("*"), default=self.folder)
        said = "\n".join(log.read_text() for log in run.glob("engine.log"))
        applied = Applied(
            code=done.returncode,
            output=f"{done.stdout}\n{said}",
            seconds=seconds,
            reboots=self._reboots_ordered() - ordered,
            boots=self.node.boots - boots,
            stages=_stages(run),
        )
        print(
            f"{self.node.name}: {' '.join(command)}: exit {applied.code}, {seconds} s, {applied.reboots} reboots, "
            f"{applied.boots} boots; {applied.stages}"
        )
        return applied

    def _reboots_ordered(self) -> int:
        return sum(entry.step == "reboot" for entry in Ledger(self.node.name, self.folder / "state").entries())

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "PROVISION_STATE": str(self.folder / "state"),
            "PROVISION_ROLES": str(Path(__file__).parent / "roles"),
            "PYINFRA_PROGRESS": "off",
            "COLUMNS": "200",
        }
        return subprocess.run(
            [sys.executable, "-m", program, *arguments],
            check=False,
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _stages(run: Path) -> str:
    shares = timeline(tuple(read(run)), str).groups
    return ", ".join(f"{share.name} {share.seconds:.0f} s" for share in shares if share.seconds >= 1)


def kernels(node: VirtualMachine) -> tuple[str, ...]:
    """The releases, newest first, of which the node's archive has image and headers."""
    names = node.sudo("apt-get -qq update >&2; apt-cache pkgnames linux-").stdout.split()
    return platform_for(OS, node.arch).offered_kernels(dict.fromkeys(names, ("*",)))


def layered(lab: Lab, name: str, bring_up: BringUp, reach: Callable[[BringUp], None]) -> str:
    """The layer of a machine that `reach` brought somewhere; kept for as long as what it stood on and its plan are the same."""
    node = bring_up.node
    layer = f"{name}-{digest(f'{node.layers} {bring_up.plan()}')}"
    if layer not in {kept.name for kept in lab.layers()}:
        reach(bring_up)
        assert node.sudo("sync").returncode == 0
        lab.save(node.name, layer)
    return layer


@contextmanager
def clone(lab: Lab, name: str, arch: Arch, layer: str | None = None) -> Iterator[VirtualMachine]:
    """A fresh virtual machine, or one on a saved layer; taken down afterwards. A failure shows its console's end."""
    (node,) = lab.up([name], layer=layer, vm=None if layer else arch)
    assert isinstance(node, VirtualMachine)
    try:
        yield node
    except BaseException:
        print(f"the console of {name} ends with:\n{node.console[-CONSOLE_END:]}")
        raise
    finally:
        lab.down([name])
