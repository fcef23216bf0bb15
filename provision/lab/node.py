"""One lab node: an overlay over the base, a network name space, a booted systemd, and the ways to cut its power."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from uuid import uuid4

from provision.lab import identity, mirror, mounts, network, program, supervisor
from provision.lab.cgroup import Group
from provision.lab.error import LabError
from provision.lab.identity import Identity
from provision.lab.mirror import Mirror
from provision.lab.network import Network
from provision.lab.ssh import Peer, Ssh, make_key
from provision.model import Frozen

BOOT_ID = "/proc/sys/kernel/random/boot_id"
START_SECONDS = 60


class Record(Frozen):
    """What is kept of a node in its `node.json`; `layers` are folder names, the topmost first."""

    name: str
    address: IPv4Address
    machine_id: str
    base: Path
    layers: tuple[Path, ...] = ()


class Node:
    """A node by its folder; every question about it is answered by the kernel or by the node itself."""

    def __init__(self, folder: Path, record: Record, net: Network, ssh: Ssh, archive: Mirror) -> None:
        self.folder = folder
        self.record = record
        self._network = net
        self._ssh = ssh
        self._archive = archive
        self._group = Group(f"provision-lab-{net.lab}/{record.name}")

    def __repr__(self) -> str:
        return f"Node({self.name}, {self.address}, {'running' if self.running else 'off'})"

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def address(self) -> str:
        return str(self.record.address)

    @property
    def ssh_config(self) -> Path:
        """For `ssh -F`, pyinfra's `ssh_config_file` and testinfra's `--ssh-config`."""
        return self._ssh.config

    @property
    def running(self) -> bool:
        return self._group.populated

    @property
    def processes(self) -> tuple[int, ...]:
        """Process numbers, as this machine sees them, of everything that belongs to the node."""
        return self._group.processes()

    @property
    def boots(self) -> int:
        """How many times the node was started or has rebooted."""
        log = self.folder / "boots.log"
        return log.read_text(encoding="ascii").count(" boot\n") if log.exists() else 0

    def peer(self) -> Peer:
        key = (self.folder / "host_key.pub").read_text(encoding="ascii")
        return Peer(name=self.name, address=self.record.address, host_key_public=key)

    # Asking it

    def ssh(self, command: str, *, stdin: str = "", seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Runs a shell command as user lab. Exit code 255 means that ssh got no connection."""
        return self._ssh.run(self.name, command, stdin, seconds)

    def sudo(self, command: str, *, stdin: str = "", seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Runs a shell command as root, by sudo."""
        return self.ssh(f"sudo -n sh -c {shlex.quote(command)}", stdin=stdin, seconds=seconds)

    def boot_id(self) -> str:
        """The kernel's name for the present boot; LabError when the node does not answer."""
        done = self.ssh(f"cat {BOOT_ID}", seconds=30)
        if done.returncode != 0:
            raise LabError(f"{self.name} does not tell its boot_id: {done.stderr.strip()}")
        return done.stdout.strip()

    def wait(self, unlike: str = "", seconds: float = START_SECONDS) -> str:
        """Returns the boot_id as soon as somebody can log in, in another boot than `unlike`."""
        deadline = time.monotonic() + seconds
        said = "no ssh server answered"
        while time.monotonic() < deadline:
            if not self.running:
                raise LabError(f"{self.name} is off: its systemd-nspawn ended. {self._evidence()}")
            if self._sshd_answers():
                done = self.ssh(f"cat {BOOT_ID}", seconds=30)
                if done.returncode == 0 and done.stdout.strip() != unlike:
                    return done.stdout.strip()
                said = done.stderr.strip() or "it is still in the boot before"
            time.sleep(0.03)
        raise LabError(f"{self.name} was not ready within {seconds:.0f} s: {said}. {self._evidence()}")

    # Its life

    def start(self) -> None:
        """Mounts, connects and boots the node; does nothing to one that runs. A start that fails leaves nothing."""
        if self.running:
            return
        self.release()
        try:
            self._mount()
            network.connect(self._network, self.name, self.record.address)
            self._boot()
        except BaseException:
            self.release()
            raise

    def power_on(self) -> None:
        """Starts the node with what its file system holds, and waits for it."""
        self.start()
        self.wait()

    def power_cut(self) -> None:
        """Kills everything of the node at once. What was written stays as it is; nothing is closed, synced or told."""
        self._group.kill()
        self._ssh.hang_up(self.name)

    def reboot(self) -> str:
        """An orderly reboot from inside; returns the new boot_id."""
        before = self.boot_id()
        self.sudo("systemctl reboot", seconds=30)
        self._ssh.hang_up(self.name)
        return self.wait(unlike=before)

    def stop(self, seconds: float = 60) -> None:
        """An orderly shutdown, with everything written; what the node holds is kept."""
        self._ssh.hang_up(self.name)
        for process in self._group.processes():
            if _command_name(process) == "systemd-nspawn":
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)
        if not self._group.empties_within(seconds):
            raise LabError(f"{self.name} did not shut down within {seconds:.0f} s. {self._evidence()}")
        self.release()

    def release(self) -> None:
        """Takes everything of the node out of the kernel, in whatever state it is; its folder stays."""
        self._group.kill()
        self._ssh.hang_up(self.name)
        mounts.unmount_below(self.folder)
        mounts.unmount_nspawn(self._machine)
        network.disconnect(self._network.lab, self.name)
        self._group.remove()

    def wipe(self) -> None:
        """Releases the node and forgets what it wrote."""
        self.release()
        mounts.remove_tree(self.folder)

    @property
    def _machine(self) -> str:
        return network.namespace(self._network.lab, self.name)

    def _mount(self) -> None:
        root, upper, work = (self.folder / part for part in ("root", "upper", "work"))
        for path in (root, upper, work):
            path.mkdir(parents=True, exist_ok=True)
        for path in (*self.record.layers, self.record.base):
            if not path.is_dir():
                raise LabError(f"{self.name} stands on {path}, which is gone: `provision lab down {self.name}`.")
        mounts.mount_overlay(root, (*self.record.layers, self.record.base), upper, work)
        mine = self._identity()
        if not identity.is_installed(root, mine):
            identity.install(root, mine, self._archive, mirror.resolver(), str(self._network.gateway))

    def _identity(self) -> Identity:
        return Identity(
            name=self.name,
            machine_id=self.record.machine_id,
            host_key=(self.folder / "host_key").read_text(encoding="ascii"),
            host_key_public=(self.folder / "host_key.pub").read_text(encoding="ascii"),
            authorized_key=self._ssh.public_key,
        )

    def _boot(self) -> None:
        self._group.create()
        program_file = str(supervisor.__file__)
        groups = [str(path) for path in self._group.paths]
        with (self.folder / "console.log").open("a") as console:
            subprocess.run(
                [
                    *("setsid", "--fork", sys.executable, "-I", "-S", program_file, str(self.folder)),
                    *(self._machine, self.name, self._machine, *groups),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                cwd="/",
                check=True,
                env=program.environment(),
            )
        deadline = time.monotonic() + 10
        while not self.running:
            if time.monotonic() > deadline:
                raise LabError(f"The supervisor of {self.name} did not start. {self._evidence()}")
            time.sleep(0.005)

    def _sshd_answers(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _evidence(self) -> str:
        log = self.folder / "console.log"
        tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:] if log.exists() else []
        return f"{log} ends with: {' / '.join(tail) or 'nothing'}"


def create(folder: Path, record: Record) -> None:
    """Makes a node's folder with its record and a host key of its own; `node.json` last, so half a node is none."""
    folder.mkdir(parents=True, exist_ok=True)
    make_key(folder / "host_key", record.name)
    write_record(folder, record)


def write_record(folder: Path, record: Record) -> None:
    part = folder / "node.json.part"
    part.write_text(record.model_dump_json(indent=1), encoding="utf-8")
    part.replace(folder / "node.json")


def read_record(folder: Path) -> Record | None:
    path = folder / "node.json"
    return Record.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def new_machine_id() -> str:
    """machine-id(5): 32 hexadecimal digits of a version 4 UUID."""
    return uuid4().hex


def _command_name(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text(encoding="utf-8").strip()
    return ""
