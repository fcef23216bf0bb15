"""One multiplexed ssh connection for each node.

testinfra 10.2 asks for a control master and names no control path, so nothing is shared: 0.36 s per test instead of
38 ms (measured 2026-11-21). Its `--ssh-extra-args` is ignored (pytest-testinfra#618), so all goes into a config file.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, urlencode

from provision.verify.nodes import Target

KEYS = {
    "ssh_hostname": "HostName",
    "ssh_user": "User",
    "ssh_port": "Port",
    "ssh_key": "IdentityFile",
    "ssh_known_hosts_file": "UserKnownHostsFile",
    "ssh_strict_host_key_checking": "StrictHostKeyChecking",
}
"""pyinfra's host data -> ssh_config."""

ALWAYS = {
    "BatchMode": "yes",
    "ControlMaster": "auto",
    "ControlPersist": "60",
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "6",
    "LogLevel": "ERROR",
}

PYINFRA_CHECKING = "accept-new"
"""pyinfra's default; ssh takes the first value that it meets, so it stands last."""


def ssh_config(targets: Iterable[Target], sockets: Path) -> str:
    """The ssh_config for these nodes: the inventory's keys first, then the inventory's own ssh_config, as in pyinfra.

    `sockets` is an empty folder with a short path: a control socket's path ends at some 100 bytes.
    """
    return "\n".join(_block(target, sockets / str(number)) for number, target in enumerate(targets))


def host_spec(target: Target, config: Path) -> str:
    """What testinfra's `--hosts` wants for this node."""
    options = {"ssh_config": str(config)}
    if target.sudo:
        options["sudo"] = "true"
    if target.sudo and target.sudo_user:
        options["sudo_user"] = target.sudo_user
    name = f"[{target.name}]" if ":" in target.name else target.name
    return f"ssh://{name}?{urlencode(options, quote_via=quote)}"


def disconnect(targets: Iterable[Target], config: Path) -> None:
    """End the shared connections, which otherwise outlive the run by a minute."""
    for target in targets:
        subprocess.run(["ssh", "-F", config, "-O", "exit", target.name], capture_output=True, timeout=10, check=False)


def _block(target: Target, socket: Path) -> str:
    own = {word: target.ssh[key] for key, word in KEYS.items() if key in target.ssh}
    included = Path(target.ssh.get("ssh_config_file", "~/.ssh/config")).expanduser()
    lines = [f"{word} {_quoted(value)}" for word, value in {**own, **ALWAYS, "ControlPath": str(socket)}.items()]
    if included.exists():
        lines.append(f"Include {_quoted(str(included.resolve()))}")
    lines.append(f"StrictHostKeyChecking {PYINFRA_CHECKING}")
    return "\n    ".join([f"Host {target.name}", *lines]) + "\n"


def _quoted(value: str) -> str:
    return f'"{value}"' if " " in value else value
