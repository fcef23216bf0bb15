"""The base root of all nodes: Debian trixie by mmdebstrap, built once per recipe and never written to afterwards."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from pathlib import Path

from provision.lab import mounts, program
from provision.lab.error import LabError
from provision.lab.mirror import COMPONENTS, SUITE, Mirror
from provision.model import digest
from provision.model.places import LAB_MARK

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "libpam-systemd",
    "openssh-server",
    "sudo",
    "passwd",
    "ca-certificates",
    "kmod",
    "procps",
    "iproute2",
    "netbase",
)
USER = "lab"
USER_ID = 1000
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

# Runs on this machine with the new root as $1, before the root is used.
# PerSourcePenalties: since OpenSSH 9.8 a client that looks whether sshd is up yet is shut out for it.
# force-unsafe-io: with it a power cut would prove nothing about dpkg.
# apt-daily: would take dpkg's lock at a moment nobody chose.  console-getty: the console is a pipe.
CUSTOMIZE = f"""
set -eu
root=$1
chroot "$root" useradd --create-home --shell /bin/bash --uid {USER_ID} {USER}
install -d -m 700 -o {USER_ID} -g {USER_ID} "$root/home/{USER}/.ssh"
printf '%s\\n' '{USER} ALL=(ALL:ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/{USER}"
chmod 440 "$root/etc/sudoers.d/{USER}"
chroot "$root" visudo --check --quiet --file=/etc/sudoers.d/{USER}
cat >"$root/etc/ssh/sshd_config.d/10-provision-lab.conf" <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
UseDNS no
MaxSessions 100
MaxStartups 100
PerSourcePenalties no
END
rm -f "$root"/etc/ssh/ssh_host_*
printf '%s\\n' 'A throw-away node of provision lab: no GPU, no kernel of its own.' >"$root{LAB_MARK}"
chroot "$root" systemctl --quiet mask console-getty.service apt-daily.timer apt-daily-upgrade.timer
find "$root/etc/dpkg" -name 'dpkg.cfg*' -type f -exec sed -i '/^force-unsafe-io$/d' {{}} +
find "$root/etc/dpkg/dpkg.cfg.d" -type f -exec sed -i '/^force-unsafe-io$/d' {{}} +
rm -f "$root/etc/default/locale"
sources=$(cat)
if [ -n "$sources" ]; then
  rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
  printf '%s\\n' "$sources" >"$root/etc/apt/sources.list.d/debian.sources"
fi
chroot "$root" apt-get clean
chroot "$root" apt-cache gencaches
"""


def recipe_digest(mirror: Mirror) -> str:
    """The name of a base: everything that decides what is in it, except the day it was built."""
    ca = hashlib.sha256(_ca_bundle()).hexdigest() if mirror.https else ""
    return digest("\n".join([mirror.sources(), *mirror.options, *PACKAGES, CUSTOMIZE, ca]))


def provide(store: Path, mirror: Mirror, say: Callable[[str], None]) -> Path:
    """The root folder of the base, built if the store has none of this recipe; `say` gets one short line per stage.

    An interrupted build leaves only a `.part` folder, which the next build deletes.
    """
    root = store / f"base-{recipe_digest(mirror)}"
    if root.is_dir():
        return root
    store.mkdir(parents=True, exist_ok=True)
    with (store / "base.lock").open("w") as lock:
        # mmdebstrap inherits the lock, so that a build whose controller was killed still keeps the next one out.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if root.is_dir():
            return root
        part = root.with_suffix(".part")
        mounts.unmount_below(part)
        mounts.remove_tree(part)
        _build(part, mirror, say, lock.fileno())
        part.rename(root)
    return root


def _build(part: Path, mirror: Mirror, say: Callable[[str], None], lock: int) -> None:
    recipe = part.parent / "base-recipe"
    recipe.mkdir(exist_ok=True)
    sources = recipe / "debian.sources"
    sources.write_text(mirror.sources(), encoding="utf-8")
    customize = recipe / "customize.sh"
    customize.write_text(CUSTOMIZE, encoding="utf-8")
    argv = [
        # Whatever mmdebstrap mounts in the new root dies with this name space, also when everything is killed.
        *("unshare", "--mount", "--propagation", "private", "--"),
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", f"--include={','.join(PACKAGES)}"),
        # Package lists stay: a node of an offline machine still answers `apt-cache`.
        "--skip=cleanup/apt",
        '--aptopt=Acquire::Languages "none"',
        *(f"--aptopt={line.removesuffix(';')}" for line in mirror.options),
        f'--customize-hook=sh {shlex.quote(str(customize))} "$1" <{shlex.quote(str(sources))}',
        # After ca-certificates was configured, which writes that file anew without this machine's own authorities.
        *((f'--customize-hook=install -m 644 {CA_BUNDLE} "$1{CA_BUNDLE}"',) if mirror.https else ()),
        *(f"--components={COMPONENTS.replace(' ', ',')}", SUITE, str(part)),
        *((str(sources),) if mirror.archive else ()),
    ]
    origin = mirror.archive or "mmdebstrap's own default archive"
    say(f"building the base root ({SUITE}) once, from {origin}")
    tail: deque[str] = deque(maxlen=12)
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=(lock,),
        env=program.environment(),
    ) as build:
        for line in build.stdout or ():
            tail.append(line.rstrip())
            if line.startswith("I: "):
                say(f"base: {line[3:].partition(' in shell')[0].strip()}")
    if build.returncode != 0:
        evidence = "\n".join(line for line in tail if line)
        raise LabError(
            f"mmdebstrap could not build the base root from {origin} (exit code {build.returncode}). "
            f"Its last words:\n{evidence}\nIf the archive was not reached, look at this machine's own `apt-get update`."
        )
    _check(part)


def _check(root: Path) -> None:
    if not shutil.which("sshd", path=os.pathsep.join(str(root / sbin) for sbin in ("usr/sbin", "sbin"))):
        raise LabError(f"The base root {root} was built without sshd; delete it and build it again.")
    if (root / "usr/sbin/policy-rc.d").exists():
        raise LabError(f"The base root {root} kept mmdebstrap's policy-rc.d, under which no service starts.")


def _ca_bundle() -> bytes:
    path = Path(CA_BUNDLE)
    return path.read_bytes() if path.exists() else b""
