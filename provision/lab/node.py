"""What every lab node has: an address in a name space of its own, an ssh server, and ways to cut its power."""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from ipaddress import IPv4Address
from pathlib import Path
from typing import ClassVar, NamedTuple
from uuid import uuid4

from provision.lab import identity, mirror, mounts, network, program
from provision.lab.cgroup import Group
from provision.lab.error import LabError
from provision.lab.identity import File, Identity
from provision.lab.mirror import Mirror
from provision.lab.network import Network
from provision.lab.ssh import Peer, Ssh, make_key
from provision.model import Frozen

BOOT_ID = "/proc/sys/kernel/random/boot_id"
LOGIN_SECONDS = 60
"""Of one attempt; seen to be too few for an emulated machine on a host with twenty busy processes, 2026-11-21."""


class Record(Frozen):
    """What is kept of every node in its `node.json`."""

    name: str
    address: IPv4Address
    machine_id: str


class Site(NamedTuple):
    """What all nodes of a lab share; `store` holds what they stand on."""

    network: Network
    ssh: Ssh
    archive: Mirror
    store: Path


class Node(ABC):
    """A node by its folder; every question about it is answered by the kernel or by the node itself.

    What runs it, and on what it stands, its kinds know: `provision.lab.container` and `provision.lab.vm`.
    """

    runner: ClassVar[str]
    """The program that the node lives in."""
    boot_seconds: ClassVar[float]
    """So long a boot may take until somebody can log in."""
    patience: ClassVar[int]
    """So many seconds its ssh server may take to answer."""
    kept_as: ClassVar[str]
    """How a layer calls what a node of this kind wrote."""

    def __init__(self, folder: Path, record: Record, site: Site) -> None:
        self.folder = folder
        self.record = record
        self._network, self._ssh, self._archive, self._store = site
        self._group = Group(f"provision-lab-{site.network.lab}/{record.name}")

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
    @abstractmethod
    def arch(self) -> str:
        """As `uname -m` prints it."""

    @property
    @abstractmethod
    def layers(self) -> tuple[str, ...]:
        """Names of the saved layers that the node stands on, the topmost first."""

    @property
    def codename(self) -> str:
        """Of the Debian release that the node is, under whatever name."""
        return mirror.SUITE

    @property
    @abstractmethod
    def system(self) -> str:
        """`ID` and `VERSION_ID` of its os-release: `debian13`."""

    @property
    def standins(self) -> str:
        """What the node says about stand-ins that it has instead of real packages; empty where it has none."""
        return ""

    @property
    @abstractmethod
    def written(self) -> Path:
        """The folder that holds everything the node wrote."""

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
        return Peer(name=self.name, address=self.record.address, host_key_public=key, patience=self.patience)

    @abstractmethod
    def settle(self) -> None:
        """Takes the node out of the kernel with everything it holds at rest in `written`."""

    @abstractmethod
    def on(self, layer: Path) -> Record:
        """The node's record when what it wrote has become this layer's."""

    # Asking it

    def ssh(self, command: str, *, stdin: str = "", seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Runs a shell command as user lab. Exit code 255 means that ssh got no connection."""
        return self._ssh.run(self.name, command, stdin, seconds)

    def sudo(self, command: str, *, stdin: str = "", seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Runs a shell command as root, by sudo."""
        return self.ssh(f"sudo -n sh -c {shlex.quote(command)}", stdin=stdin, seconds=seconds)

    def boot_id(self) -> str:
        """The kernel's name for the present boot; LabError when the node does not answer."""
        done = self.ssh(f"cat {BOOT_ID}", seconds=60)
        if done.returncode != 0:
            raise LabError(f"{self.name} does not tell its boot_id: {done.stderr.strip()}")
        return done.stdout.strip()

    def wait(self, unlike: str = "", seconds: float = 0) -> str:
        """Returns the boot_id as soon as somebody can log in, in another boot than `unlike`."""
        allowed = seconds or self.boot_seconds
        deadline = time.monotonic() + allowed
        said = "no ssh server answered"
        while time.monotonic() < deadline:
            if not self.running:
                raise LabError(f"{self.name} is off: its {self.runner} ended. {self._evidence()}")
            if self._sshd_answers(min(self.patience, deadline - time.monotonic())):
                try:
                    done = self.ssh(f"cat {BOOT_ID}", seconds=LOGIN_SECONDS)
                except subprocess.TimeoutExpired:
                    said = f"a login took more than {LOGIN_SECONDS} s"
                    continue
                if done.returncode == 0 and done.stdout.strip() != unlike:
                    return done.stdout.strip()
                said = done.stderr.strip() or "it is still in the boot before"
            time.sleep(0.03)
        raise LabError(f"{self.name} was not ready within {allowed:.0f} s: {said}. {self._evidence()}")

    # Its life

    def start(self) -> None:
        """Connects and boots the node; does nothing to one that runs. A start that fails leaves nothing."""
        if self.running:
            return
        self.release()
        try:
            self._prepare()
            network.connect(self._network, self.name, self.record.address)
            self._group.create()
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
        self.sudo("systemctl reboot", seconds=120)
        self._ssh.hang_up(self.name)
        return self.wait(unlike=before)

    def stop(self, seconds: float = 0) -> None:
        """An orderly shutdown, with everything written; what the node holds is kept."""
        self._ssh.hang_up(self.name)
        self._ask_to_stop()
        allowed = seconds or self.boot_seconds
        if not self._group.empties_within(allowed):
            raise LabError(f"{self.name} did not shut down within {allowed:.0f} s. {self._evidence()}")
        self.release()

    def release(self) -> None:
        """Takes everything of the node out of the kernel, in whatever state it is; its folder stays."""
        self._group.kill()
        self._ssh.hang_up(self.name)
        mounts.unmount_below(self.folder)
        network.disconnect(self._network.lab, self.name)
        self._group.remove()

    def wipe(self) -> None:
        """Releases the node and forgets what it wrote."""
        self.release()
        mounts.remove_tree(self.folder)

    @abstractmethod
    def _prepare(self) -> None:
        """Lays out what the node boots from."""

    @abstractmethod
    def _boot(self) -> None:
        """Starts the node's runner in its group and name space."""

    @abstractmethod
    def _ask_to_stop(self) -> None:
        """Asks for an orderly shutdown."""

    def _identity(self, gateway: str) -> tuple[File, ...]:
        """The files that make the node this one; `gateway` is what it calls this machine."""
        mine = Identity(
            name=self.name,
            machine_id=self.record.machine_id,
            host_key=(self.folder / "host_key").read_text(encoding="ascii"),
            host_key_public=(self.folder / "host_key.pub").read_text(encoding="ascii"),
            authorized_key=self._ssh.public_key,
        )
        return identity.files(mine, self._archive, mirror.resolver(), gateway, self.codename)

    def _supervise(self, *argv: str) -> None:
        """Starts the node's supervisor, which outlives this command."""
        with (self.folder / "console.log").open("a") as console:
            subprocess.run(
                ["setsid", "--fork", *argv],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                cwd="/",
                check=True,
                env=program.environment(),
            )
        deadline = time.monotonic() + 10
        while not self._group.populated:
            if time.monotonic() > deadline:
                raise LabError(f"The supervisor of {self.name} did not start. {self._evidence()}")
            time.sleep(0.005)

    def _sshd_answers(self, seconds: float) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=max(seconds, 0.1)) as connection:
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


def new_machine_id() -> str:
    """machine-id(5): 32 hexadecimal digits of a version 4 UUID."""
    return uuid4().hex
