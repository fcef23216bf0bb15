"""What makes a root this node and no other: name, machine-id, ssh host key, who may log in, where the archive is."""

from __future__ import annotations

import os
from pathlib import Path

from provision.lab import base
from provision.lab.mirror import Mirror
from provision.model import Frozen


class Identity(Frozen):
    name: str
    machine_id: str
    host_key: str
    """The private ssh host key as ssh-keygen writes it."""
    host_key_public: str
    authorized_key: str


def is_installed(root: Path, identity: Identity) -> bool:
    """True when the root already is this node's: it was started before."""
    path = root / "etc/machine-id"
    return path.exists() and path.read_text(encoding="ascii").strip() == identity.machine_id


def install(root: Path, identity: Identity, mirror: Mirror, resolver: str, gateway: str) -> None:
    """Writes the identity over what the base or a layer brought; the machine-id last, as the mark of completeness."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    _write(root / "etc/ssh/ssh_host_ed25519_key", identity.host_key, 0o600)
    _write(root / "etc/ssh/ssh_host_ed25519_key.pub", identity.host_key_public, 0o644)
    _write(root / "etc/hostname", f"{identity.name}\n", 0o644)
    seen = mirror.seen_from(gateway)
    known = "".join(f"{address} {host}\n" for host, address in seen.addresses.items())
    _write(root / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {identity.name}\n{known}", 0o644)
    _write(root / "etc/resolv.conf", resolver, 0o644)
    if seen != mirror:
        _write(root / "etc/apt/sources.list.d/debian.sources", seen.sources(), 0o644)
        _write(root / "etc/apt/apt.conf.d/99provision-lab", "".join(f"{line}\n" for line in seen.options), 0o644)
    authorized = root / f"home/{base.USER}/.ssh/authorized_keys"
    _write(authorized, identity.authorized_key, 0o600)
    os.chown(authorized, base.USER_ID, base.USER_ID)
    _write(root / "etc/machine-id", f"{identity.machine_id}\n", 0o444)


def _write(path: Path, text: str, mode: int) -> None:
    # Unlinked first: a link there may point to a path of this machine.
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
