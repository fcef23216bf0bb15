"""The tools root: QEMU, firmware and disk tools of a newer Debian, so that this machine needs mmdebstrap only."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from provision.lab import bootstrap, kept
from provision.lab.bootstrap import Recipe
from provision.lab.mirror import SUITE, Mirror

PACKAGES = (
    "qemu-system-x86",
    "qemu-system-arm",
    "qemu-system-data",
    "qemu-utils",
    "qemu-user",
    "ovmf",
    "qemu-efi-aarch64",
    "e2fsprogs",
    "dosfstools",
    "mtools",
    "gdisk",
    "grub-common",
)

PLACES = ("here", "store")
"""Folders of the tools root where a program finds what it works on."""

CUSTOMIZE = f"""
set -eu
root=$1
cd "$root"
mkdir -p {" ".join(PLACES)}
chroot "$root" apt-get clean
rm -rf usr/share/doc usr/share/man usr/share/locale var/lib/apt/lists
"""

_ENTER = """
set -eu
root=$1
shift
while [ "$1" != -- ]; do
  mount --bind "$2" "$root/$1"
  shift 2
done
shift
exec chroot "$root" "$@"
"""


def recipe(mirror: Mirror) -> Recipe:
    """QEMU of the backports where an archive is named: a release's own is older than some devices need."""
    backports = mirror.backports()
    # Default-Release and not PACKAGE/SUITE: what QEMU depends on has to come from there, too.
    prefer = (f'--aptopt=APT::Default-Release "{SUITE}-backports"',) if backports else ()
    return Recipe(title="the tools root", packages=PACKAGES, customize=CUSTOMIZE, sources=backports, options=prefer)


def provide(folder: Path, mirror: Mirror, say: Callable[[str], None]) -> Path:
    """The tools root under `folder`, built if it holds none of this recipe."""
    wanted = recipe(mirror)
    return kept.provide(
        folder / f"tools-{bootstrap.recipe_digest(wanted, mirror)}",
        "tools.lock",
        lambda part, lock: bootstrap.make(part, wanted, mirror, say, lock),
    )


def inside(root: Path, places: Mapping[str, Path], *argv: str) -> tuple[str, ...]:
    """The command that runs a program of the tools root, with folders of this machine at its places.

    The mounts live in a name space of their own and end with the program.
    """
    pairs = [word for place, folder in places.items() for word in (place, os.fspath(folder))]
    enter = ("unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _ENTER, "sh", str(root))
    return (*enter, *pairs, "--", *argv)
