"""The layer that a node with stand-ins stands on: the archive, everything real beside it, a system's name, a mark."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from shlex import quote

from provision.catalog import load
from provision.lab import base, mirror
from provision.lab.archive import build, make
from provision.lab.archive.build import NEEDS, PLACE, Offered
from provision.lab.archive.description import Repository, repositories
from provision.lab.archive.ground import Ground
from provision.lab.error import InputError
from provision.lab.lab import Lab
from provision.lab.node import Node
from provision.model import Frozen, digest
from provision.model.openpgp import fingerprints
from provision.model.places import STANDINS_MARK
from provision.platforms import Platform, platform_for

HERE = Path(__file__).parent


def provide(lab: Lab, os_id: str) -> str:
    """The name of the layer for `ubuntu24.04` on this machine's architecture; built where the store has none.

    Building needs Debian's archive; a node on the layer needs no network. Raises: InputError, LabError.
    """
    platform = _platform(os_id)

    def furnish(node: Node) -> None:
        ground = prepare(node)
        build.build(node, offered(platform, ground))
        _furnish(node, platform)

    rows = repr(
        [(package.name, package.control) for item in offered(platform, _NO_GROUND) for package in item.packages]
    )
    return kept(lab, f"{os_id}-standins", rows, furnish)


def kept(lab: Lab, title: str, recipe: str, furnish: Callable[[Node], None]) -> str:
    """The name of a layer that is built by furnishing a fresh node, per base, `recipe` and text of this package."""
    own = [path.read_text(encoding="utf-8") for path in sorted(HERE.rglob("*")) if _is_source(path)]
    name = f"{title}-{digest(chr(10).join([base.recipe_digest(mirror.read()), *own, recipe]))}"
    lab.store.mkdir(parents=True, exist_ok=True)
    with (lab.store / "standins.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if name not in [layer.name for layer in lab.layers()]:
            # A node that an earlier attempt left half furnished is no start for this one.
            lab.down(["standins"])
            (node,) = lab.up(["standins"])
            furnish(node)
            lab.save(node.name, name)
            lab.down([node.name])
    return name


def prepare(node: Node, headers: str = "") -> Ground:
    """Installs what is real; tells what stand-ins are laid on.

    `headers`: Debian's package of kernel headers, its newest unless said otherwise.
    """
    program = (HERE / "prepare.sh").read_text(encoding="utf-8")
    values = {"place": PLACE, "wanted": " ".join(NEEDS), "headers": headers}
    assignments = "".join(f"{name}={quote(value)}\n" for name, value in values.items())
    answer = build.root(node, f"mkdir -p {PLACE}\nsh -s", stdin=assignments + program)
    found: dict[str, list[str]] = {}
    for line in answer.splitlines():
        word, _, value = line.partition(" ")
        found.setdefault(word, []).append(value)
    return Ground.model_validate(
        {
            "arch": node.arch,
            "headers": f"{PLACE}/headers",
            "package_arch": found["package_arch"][0],
            "multiarch": found["multiarch"][0],
            "common": found["common"][0],
            "generated": found["generated"][0].split(),
            "needs": found["needs"],
        }
    )


def offered(platform: Platform, ground: Ground) -> tuple[Offered, ...]:
    """Every repository of the archive for an operating system."""
    packages = make.archive(load(), platform, ground)
    return tuple(
        Offered(folder=folder, origin=row.origin, label=row.label, packages=packages[folder])
        for folder in packages
        for row in [_repository_of(folder)]
    )


def sources(repository: str, **values: str) -> str:
    """The deb822 source of a repository as it lies on a node, `sources("doca", version=RELEASE)`."""
    folder = repositories()[repository].folder.format(**values)
    return f"Types: deb\nURIs: file:{PLACE}/{folder}\nSuites: ./\nSigned-By: {PLACE}/{folder}.gpg\n"


class Served(Frozen):
    """What a role's variables `url`, `key` and `key_fingerprints` take, so that it adds the repository by itself."""

    url: str
    key: str
    key_fingerprints: tuple[str, ...]


def served(node: Node, repository: str, **values: str) -> Served:
    """A repository as this node has it: `served(node, "doca", version=RELEASE)`. Raises: LabError."""
    folder = f"{PLACE}/{repositories()[repository].folder.format(**values)}"
    key = build.root(node, f"cat {quote(folder + '.asc')}")
    return Served(url=f"file:{folder}/", key=key, key_fingerprints=fingerprints(key))


def _repository_of(folder: str) -> Repository:
    return next(row for row in repositories().values() if row.folder.partition("/")[0] == folder.partition("/")[0])


def _furnish(node: Node, platform: Platform) -> None:
    values = {
        "place": PLACE,
        "mark": STANDINS_MARK,
        "os_release": os_release(platform),
        "told": mark(platform),
        "sources": sources("archive"),
        "kernel": first_kernel(platform),
    }
    assignments = "".join(f"{name}={quote(value)}\n" for name, value in values.items())
    build.root(node, "sh -s", stdin=assignments + (HERE / "furnish.sh").read_text(encoding="utf-8"))


def first_kernel(platform: Platform) -> str:
    """The kernel that the node comes with: the oldest of the distribution's plain flavour."""
    releases = [release for row in platform.kernels if row.flavour == "generic" for release in row.releases]
    return platform.newest_first(releases)[-1]


def os_release(platform: Platform) -> str:
    """os-release(5) of the system whose name the node bears."""
    row = platform.os
    number = row.id.removeprefix(row.family)
    fields = {
        "ID": row.family,
        "VERSION_ID": number,
        "VERSION_CODENAME": row.codename,
        "NAME": row.name.removesuffix(f" {number}"),
        "PRETTY_NAME": f"{row.name} (by name only: Debian with stand-ins)",
        "ID_LIKE": "debian",
    }
    return "".join(f'{name}="{value}"\n' for name, value in fields.items())


def mark(platform: Platform) -> str:
    return (
        f"{platform.os.name} by name only: the system is Debian's, and the packages from {PLACE} are stand-ins.\n"
        "dpkg-query -W -f '${Package}: ${X-Provision-Stands-For}\\n' tells which, and what they stand for.\n"
    )


def _platform(os_id: str) -> Platform:
    try:
        platform = platform_for(os_id, os.uname().machine)
    except LookupError as error:
        raise InputError(f"There are no stand-ins: {error}.") from error
    if platform.os.family != "ubuntu":
        raise InputError(f"There are no stand-ins for {platform.os.name}: its own archive has the real packages.")
    return platform


_NO_GROUND = Ground(arch="x86_64", package_arch="amd64", multiarch="", headers="", common="", generated=())
"""Enough to say which packages there would be."""


def _is_source(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc"
