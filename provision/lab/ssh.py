"""The lab's own ssh: key, known hosts and one generated ssh_config for OpenSSH, pyinfra, testinfra and Ansible."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

from provision.lab import program
from provision.lab.base import USER
from provision.lab.error import LabError
from provision.model import Frozen, digest

# unix(7): 108 bytes with the closing NUL. ssh binds NAME.RANDOM first: 17 characters more than ControlPath.
SOCKET_PATH_MAX = 107
SSH_SUFFIX = 17
NAME_MAX = 20


class Peer(Frozen):
    """`patience`: so many seconds its server may take until a login goes on."""

    name: str
    address: IPv4Address
    host_key_public: str
    patience: int = 5


class Ssh:
    """Files under the lab's state folder; nothing of the user's own ~/.ssh is read or written."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.config = state / "ssh_config"
        self.known_hosts = state / "known_hosts"
        self.key = state / "key"
        self.sockets = socket_folder(state)

    def prepare(self) -> None:
        """Makes the key and the folder of control sockets, owned by the person who called sudo."""
        if not self.key.exists():
            make_key(self.key, "provision lab")
        self.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        _give_to_caller(self.key, self.key.with_suffix(".pub"), self.sockets)

    @property
    def public_key(self) -> str:
        return self.key.with_suffix(".pub").read_text(encoding="ascii")

    def write(self, peers: Iterable[Peer]) -> None:
        known = tuple(peers)
        _replace(self.known_hosts, "".join(known_host(peer) for peer in known))
        _replace(self.config, "\n".join(self._host(peer) for peer in known))

    def run(self, name: str, command: str, stdin: str = "", seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Runs a shell command on the node as user lab; exit code 255 is ssh's own: no connection."""
        argv = ["ssh", "-F", str(self.config), name, command]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=seconds)

    def hang_up(self, name: str) -> None:
        """Ends shared connections to the node, so that none of them outlives the boot it was made to."""
        for path in self.sockets.iterdir() if self.sockets.exists() else ():
            if path.name.partition("-")[2] != name:
                continue
            subprocess.run(
                ["ssh", "-F", "none", "-o", f"ControlPath={path}", "-O", "exit", name], capture_output=True, check=False
            )
            deadline = time.monotonic() + 2
            while path.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            path.unlink(missing_ok=True)

    def _host(self, peer: Peer) -> str:
        return (
            f"Host {peer.name}\n"
            f"    HostName {peer.address}\n"
            f"    User {USER}\n"
            f"    IdentityFile {_quoted(self.key)}\n"
            "    IdentitiesOnly yes\n"
            "    IdentityAgent none\n"
            f"    UserKnownHostsFile {_quoted(self.known_hosts)}\n"
            "    GlobalKnownHostsFile /dev/null\n"
            "    StrictHostKeyChecking yes\n"
            "    HostKeyAlgorithms ssh-ed25519\n"
            "    BatchMode yes\n"
            f"    ConnectTimeout {peer.patience}\n"
            "    ControlMaster auto\n"
            f"    ControlPath {_quoted(self.sockets, '/%i-%n')}\n"
            "    ControlPersist 60\n"
        )


def socket_folder(state: Path) -> Path:
    """A folder for control sockets whose names fit a unix socket's path; under /run when the state folder lies deep."""
    inside = state / "s"
    longest = len(f"{inside}/4294967295-") + NAME_MAX + SSH_SUFFIX
    return inside if longest <= SOCKET_PATH_MAX else Path("/run/provision-lab-ssh") / digest(str(state))[:8]


def known_host(peer: Peer) -> str:
    """OpenSSH looks a host up by the address it connects to, paramiko by either."""
    return f"{peer.name},{peer.address} {' '.join(peer.host_key_public.split()[:2])}\n"


def make_key(path: Path, comment: str) -> None:
    path.unlink(missing_ok=True)
    program.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))


def _quoted(path: Path, tokens: str = "") -> str:
    if any(character in str(path) for character in '"%\n'):
        raise LabError(f"ssh_config cannot carry the path {path}: move the state folder (PROVISION_LAB).")
    return f'"{path}{tokens}"' if " " in str(path) else f"{path}{tokens}"


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _give_to_caller(*paths: Path) -> None:
    # Under sudo the nodes are made by root, but pyinfra and ssh are run by the person.
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not user.isdigit() or not group.isdigit():
        return
    for path in paths:
        os.chown(path, int(user), int(group))
