"""What this machine lacks to run lab nodes, and the Debian/Ubuntu packages that bring it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from provision.lab import cgroup, program
from provision.lab.error import LabError
from provision.model import Frozen

TOOLS = (
    ("systemd-nspawn", "systemd-container"),
    ("mmdebstrap", "mmdebstrap"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("setpriv", "util-linux"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
)
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Missing(Frozen):
    """`package` is what `apt-get install` wants, or empty when no package helps and `remedy` says what does."""

    what: str
    package: str = ""
    remedy: str = ""


def missing() -> tuple[Missing, ...]:
    """Everything this machine lacks, root first; empty when the lab can run."""
    return (*_root(), *_tools(), *_kernel())


def sentence(lacking: Iterable[Missing]) -> str:
    """One sentence for a person: what is missing, and what brings it."""
    items = tuple(lacking)
    packages = sorted({item.package for item in items if item.package})
    cures = [f"install {' '.join(packages)} (`provision lab requirements --install` does)"] if packages else []
    cures += [item.remedy for item in items if item.remedy]
    return f"This machine lacks {', '.join(item.what for item in items)}: {'; '.join(cures)}."


def install(lacking: Iterable[Missing]) -> tuple[str, ...]:
    """Installs the missing packages by apt-get and returns their names; needs root and the network."""
    if os.geteuid() != 0:
        raise LabError("Installing packages needs root; run `sudo provision lab requirements --install`.")
    if program.find("apt-get") is None:
        raise LabError("This machine has no apt-get, and the lab is made for Debian and Ubuntu machines.")
    packages = tuple(sorted({item.package for item in lacking if item.package}))
    if packages:
        program.run("apt-get", "update")
        noninteractive = ("env", "DEBIAN_FRONTEND=noninteractive")
        program.run(*noninteractive, "apt-get", "install", "--yes", "--no-install-recommends", *packages)
    return packages


def _root() -> tuple[Missing, ...]:
    return () if os.geteuid() == 0 else (Missing(what="root", remedy="run it as root (sudo)"),)


def _tools() -> tuple[Missing, ...]:
    absent = [Missing(what=tool, package=package) for tool, package in TOOLS if program.find(tool) is None]
    if not KEYRING.exists():
        absent.append(Missing(what="Debian's archive keys", package="debian-archive-keyring"))
    return tuple(absent)


def _kernel() -> tuple[Missing, ...]:
    absent = []
    filesystems = Path("/proc/filesystems").read_text(encoding="ascii").split()
    if "overlay" not in filesystems and not program.succeeds("modprobe", "--dry-run", "--quiet", "overlay"):
        absent.append(Missing(what="overlayfs", remedy="use a kernel with overlayfs"))
    if not Path("/proc/self/ns/time").exists():
        absent.append(Missing(what="time namespaces", remedy="use a kernel of Linux 5.6 or later with CONFIG_TIME_NS"))
    elif program.find("unshare") and "--time" not in program.run("unshare", "--help"):
        absent.append(Missing(what="unshare --time", remedy="use a release with util-linux 2.36 or later"))
    if not cgroup.usable():
        absent.append(
            Missing(
                what="a writable cgroup v2 tree with cgroup.kill", remedy="use Linux 5.14 or later, not a container"
            )
        )
    return tuple(absent)
