"""What makes a root this node and no other: name, machine-id, ssh host key, who may log in, where the archive is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from shlex import quote

from provision.lab import base
from provision.lab.mirror import Mirror
from provision.model import Frozen

HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
AUTHORIZED = f"home/{base.USER}/.ssh/authorized_keys"


class Identity(Frozen):
    name: str
    machine_id: str
    host_key: str
    """The private ssh host key as ssh-keygen writes it."""
    host_key_public: str
    authorized_key: str


class File(Frozen):
    """`path` without the leading slash; `owner` is user and group."""

    path: str
    text: str
    mode: int = 0o644
    owner: int = 0


def is_installed(root: Path, machine_id: str) -> bool:
    """True when the root already is this node's: it was started before."""
    path = root / "etc/machine-id"
    return path.exists() and path.read_text(encoding="ascii").strip() == machine_id


def files(identity: Identity, mirror: Mirror, resolver: str, gateway: str, codename: str) -> tuple[File, ...]:
    """What is written over what the base or a layer brought; the machine-id last, as the mark of completeness."""
    seen = mirror.seen_from(gateway)
    known = "".join(f"{address} {host}\n" for host, address in seen.addresses.items())
    sources = (
        File(path="etc/apt/sources.list.d/debian.sources", text=seen.sources(codename)),
        File(path="etc/apt/apt.conf.d/99provision-lab", text="".join(f"{line}\n" for line in seen.options)),
    )
    return (
        File(path=HOST_KEY, text=identity.host_key, mode=0o600),
        File(path=f"{HOST_KEY}.pub", text=identity.host_key_public),
        File(path="etc/hostname", text=f"{identity.name}\n"),
        File(path="etc/hosts", text=f"127.0.0.1 localhost\n127.0.1.1 {identity.name}\n{known}"),
        File(path="etc/resolv.conf", text=resolver),
        *(sources if seen != mirror else ()),
        File(path=AUTHORIZED, text=identity.authorized_key, mode=0o600, owner=base.USER_ID),
        File(path="etc/machine-id", text=f"{identity.machine_id}\n", mode=0o444),
    )


def install(root: Path, written: Iterable[File]) -> None:
    """Writes the identity into a root that this machine sees."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for file in written:
        path = root / file.path
        # Unlinked first: a link there may point to a path of this machine.
        path.unlink(missing_ok=True)
        path.write_text(file.text, encoding="utf-8")
        path.chmod(file.mode)
        if file.owner:
            os.chown(path, file.owner, file.owner)


def script(written: Iterable[File]) -> str:
    """The same as a shell program for a root that only the node itself sees."""
    lines = ["set -eu", "rm -f /etc/ssh/ssh_host_*"]
    for file in written:
        path = quote(f"/{file.path}")
        # `install` makes a new file, also where a link was.
        put = f"install -m {file.mode:o} -o {file.owner} -g {file.owner} /dev/stdin {path}"
        lines.append(f"printf %s {quote(file.text)} | {put}")
    return "\n".join(lines) + "\n"
