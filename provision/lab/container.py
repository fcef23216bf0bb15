"""A node by systemd-nspawn: an overlay over the base, a booted systemd, and this machine's kernel."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from provision.lab import identity, mounts, network, supervisor
from provision.lab.error import LabError
from provision.lab.mirror import SUITE
from provision.lab.node import Node, Record
from provision.model import Frozen
from provision.model.places import STANDINS_MARK


class ContainerRecord(Record):
    """`layers` are folders, the topmost first."""

    base: Path
    suite: str = SUITE
    """Codename of the base's release."""
    layers: tuple[Path, ...] = ()


class Layer(Frozen):
    """One node's converged state, kept read-only: what it wrote over `below` (topmost first) and `base`."""

    name: str
    base: Path
    suite: str = SUITE
    below: tuple[Path, ...] = ()


class Container(Node):
    runner = "systemd-nspawn"
    boot_seconds = 60
    patience = 5
    kept_as = "root"
    record: ContainerRecord

    @property
    def arch(self) -> str:
        return os.uname().machine

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(root.parent.name for root in self.record.layers)

    @property
    def written(self) -> Path:
        return self.folder / "upper"

    @property
    def codename(self) -> str:
        return self.record.suite

    @property
    def system(self) -> str:
        fields = dict(line.split("=", 1) for line in self._lying("etc/os-release").splitlines() if "=" in line)
        return "".join(fields.get(key, "").strip('"') for key in ("ID", "VERSION_ID"))

    @property
    def standins(self) -> str:
        return self._lying(STANDINS_MARK.lstrip("/")).partition("\n")[0]

    def _lying(self, path: str) -> str:
        """A file's text as the node sees it, whether it runs or not; empty where there is none."""
        for root in (self.written, *self.record.layers, self.record.base):
            with suppress(OSError):
                return (root / path).read_text(encoding="utf-8", errors="replace")
        return ""

    def settle(self) -> None:
        self.stop()

    def layer(self, name: str) -> Layer:
        return Layer(name=name, base=self.record.base, suite=self.record.suite, below=self.record.layers)

    def on(self, layer: Path) -> ContainerRecord:
        return self.record.model_copy(update={"layers": (layer / self.kept_as, *self.record.layers)})

    def release(self) -> None:
        super().release()
        mounts.unmount_nspawn(self._machine)

    @property
    def _machine(self) -> str:
        return network.namespace(self._network.lab, self.name)

    def _prepare(self) -> None:
        root, upper, work = (self.folder / part for part in ("root", "upper", "work"))
        for path in (root, upper, work):
            path.mkdir(parents=True, exist_ok=True)
        for path in (*self.record.layers, self.record.base):
            if not path.is_dir():
                raise LabError(f"{self.name} stands on {path}, which is gone: `provision lab down {self.name}`.")
        mounts.mount_overlay(root, (*self.record.layers, self.record.base), upper, work)
        if not identity.is_installed(root, self.record.machine_id):
            identity.install(root, self._identity(str(self._network.gateway)))

    def _boot(self) -> None:
        groups = [str(path) for path in self._group.paths]
        self._supervise(
            *(sys.executable, "-I", "-S", str(supervisor.__file__), str(self.folder)),
            *(self._machine, self.name, self._machine, *groups),
        )

    def _ask_to_stop(self) -> None:
        for process in self._group.processes():
            if _command_name(process) == self.runner:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)


def _command_name(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text(encoding="utf-8").strip()
    return ""
