"""What is written down of every stand-in: one file per group of packages, read from `data/packages/`.

Two kinds of placeholders: `{branch}` in names, paths and relations, as the catalog writes them, and `@branch@` in the
contents of files, where braces belong to C and to the shell. `cases` says which there are for each group.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

import yaml
from pydantic import Field

from provision.model import Frozen

Each = Literal[
    "kernel",
    "driver",
    "archive_driver",
    "precompiled",
    "cuda_toolkit",
    "cuda_compat",
    "doca",
    "container_toolkit",
    "gdrcopy",
    "dcgm",
]
"""What the catalog is asked for: a group's packages are made once for every answer."""

DATA = files(__package__).joinpath("data")


class Repository(Frozen):
    """A flat repository. `folder` may hold placeholders: DOCA has one repository per release."""

    id: str
    folder: str
    stands_for: str
    origin: str
    label: str
    verified: bool
    source: str


class Dkms(Frozen):
    """A module's source: every file of `data/dkms/SOURCE`, installed as /usr/src/MODULE-VERSION."""

    source: str
    module: str
    version: str


class Ready(Frozen):
    """Modules that are built of `data/dkms/SOURCE` where the archive is made, signed, and put at `place`."""

    source: str
    place: str


class Described(Frozen):
    """One package, or the same under each of `names`: the catalog's own templates, or others that it does not know.

    A name that the catalog knows is made only where the catalog says that the package is called so.
    """

    names: tuple[str, ...]
    beside: str = ""
    """Made only where the catalog has this name."""
    version: str = ""
    """Instead of the group's."""
    architecture: Literal["any", "all"] = "any"
    relations: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Field of deb-control(5), small letters -> entries. `{self}` is the package's own version, `{suffix}` is `-BRANCH`
    where the package's own name holds the branch. What the catalog has only under another name is left out."""
    files: dict[str, str] = Field(default_factory=dict)
    """Path on the node -> file below `data/files`; `@stem@` in it is the path's last part without its extension."""
    links: dict[str, str] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    """Path -> soname of a shared library without a symbol; `module` instead of a soname: an empty kernel module."""
    dkms: Dkms | None = None
    built: Ready | None = None
    """Kernel modules, ready to load into the one kernel `{release}`."""
    scripts: str = ""
    """Folder below `data/scripts` with maintainer scripts."""
    headers: bool = False
    """The kernel's headers: links to the real ones of the node, under the release of this kernel."""
    values: dict[str, str] = Field(default_factory=dict)
    """More placeholders."""


class Group(Frozen):
    id: str
    repository: str
    each: Each
    version: str
    """Template of the package's version. `0standin1` sorts before every revision that a vendor gave."""
    source: str
    """Keys of the catalog's sources, joined by `+`, or a sentence."""
    verified: bool
    """Were names and relations read where the real packages are? A group is as good as its weakest fact."""
    note: str = ""
    packages: tuple[Described, ...]


@cache
def repositories() -> dict[str, Repository]:
    rows = yaml.safe_load(DATA.joinpath("repositories.yaml").read_text(encoding="utf-8"))
    return {row["id"]: Repository.model_validate(row) for row in rows}


@cache
def descriptions() -> tuple[Group, ...]:
    """Every group, by the name of its file. Raises: pydantic.ValidationError when one is broken."""
    found = sorted(DATA.joinpath("packages").iterdir(), key=lambda file: file.name)
    return tuple(
        Group.model_validate(
            {"id": file.name.removesuffix(".yaml"), **yaml.safe_load(file.read_text(encoding="utf-8"))}
        )
        for file in found
    )


def texts(*path: str) -> dict[str, str]:
    """Every file below a folder of the data, by its path in there."""
    return dict(_below(DATA.joinpath(*path), ""))


def text(*path: str) -> str:
    return DATA.joinpath(*path).read_text(encoding="utf-8")


def _below(folder: Traversable, before: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found += _below(entry, f"{before}{entry.name}/")
        else:
            found.append((before + entry.name, entry.read_text(encoding="utf-8")))
    return found
