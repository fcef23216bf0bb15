"""The base roots of nodes: a Debian release by mmdebstrap, built once per recipe and never written to afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from provision.lab import bootstrap, kept
from provision.lab.bootstrap import Recipe
from provision.lab.error import LabError
from provision.lab.mirror import SUITE, Mirror
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


# Before OpenSSH 9.8 the word is an error, and sshd does not start.
WITHOUT_PENALTIES = CUSTOMIZE.replace("PerSourcePenalties no\n", "")

RECIPES = {
    SUITE: Recipe(title="the base root", packages=PACKAGES, customize=CUSTOMIZE),
    "bookworm": Recipe(title="the base root", packages=PACKAGES, customize=WITHOUT_PENALTIES, suite="bookworm"),
}
"""Codename -> how its root is made."""


def recipe_digest(mirror: Mirror, suite: str = SUITE) -> str:
    """The name of a base."""
    return bootstrap.recipe_digest(RECIPES[suite], mirror)


def provide(store: Path, mirror: Mirror, say: Callable[[str], None], suite: str = SUITE) -> Path:
    """The root folder of the base, built if the store has none of this recipe; `say` gets one short line per stage."""

    def build(part: Path, lock: int) -> None:
        bootstrap.make(part, RECIPES[suite], mirror, say, lock)
        check(part)

    return kept.provide(store / f"base-{recipe_digest(mirror, suite)}", "base.lock", build)


def check(root: Path) -> None:
    """LabError when nobody could log in to what was built."""
    if not shutil.which("sshd", path=os.pathsep.join(str(root / sbin) for sbin in ("usr/sbin", "sbin"))):
        raise LabError(f"The base root {root} was built without sshd; delete it and build it again.")
    if (root / "usr/sbin/policy-rc.d").exists():
        raise LabError(f"The base root {root} kept mmdebstrap's policy-rc.d, under which no service starts.")
