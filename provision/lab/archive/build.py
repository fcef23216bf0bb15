"""Packs, indexes and signs stand-ins on a node, by dpkg-deb, apt-ftparchive and gpg."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from shlex import quote

from provision.lab.archive.package import StandIn
from provision.lab.error import LabError
from provision.lab.node import Node
from provision.model import Frozen
from provision.model.places import STANDINS_MARK

PLACE = "/srv/stand-ins"
"""Where on a node the archive lies."""

NEEDS = ("apt-utils", "gpg", "gpg-agent", "gcc", "openssl")
"""Debian's packages that build it."""


class Offered(Frozen):
    """A repository that is to be made: what its Release file says, and its packages."""

    folder: str
    origin: str
    label: str
    packages: tuple[StandIn, ...]


def build(node: Node, repositories: Iterable[Offered]) -> None:
    """Lays the repositories below PLACE, each with a key of its own beside it, and marks the node. Raises: LabError."""
    work = f"{PLACE}/work"
    data = base64.b64encode(tree(tuple(repositories))).decode()
    root(node, f"rm -rf {work}\nmkdir -p {work}\nbase64 -d | tar -C {work} -xz", stdin=data)
    program = Path(__file__).with_name("build.sh").read_text(encoding="utf-8")
    values = {"place": PLACE, "work": work, "mark": STANDINS_MARK}
    root(node, "sh -s", stdin="".join(f"{name}={quote(value)}\n" for name, value in values.items()) + program)


def root(node: Node, program: str, stdin: str = "") -> str:
    """Standard output of a program that root runs on the node. Raises: LabError with its last words."""
    done = node.sudo(f"set -eu\n{program}", stdin=stdin)
    if done.returncode != 0:
        raise LabError(
            f"Preparing {node.name} failed (exit code {done.returncode}) in {program[:200]!r}. Its last words: "
            f"{done.stdout[-1500:].strip()}\n{done.stderr[-1500:].strip()}"
        )
    return done.stdout


def tree(repositories: tuple[Offered, ...]) -> bytes:
    """All packages' trees as a compressed tar, with what is compiled and what is signed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        libraries = [line for offered in repositories for line in _packed(tar, offered)]
        _add(tar, "built", "".join(_built(tar, repositories)), False)
        told = [f"{offered.folder}|{offered.origin}|{offered.label}\n" for offered in repositories]
        _add(tar, "libraries", "".join(libraries), False)
        _add(tar, "repositories", "".join(told), False)
    return buffer.getvalue()


def _packed(tar: tarfile.TarFile, offered: Offered) -> list[str]:
    """Adds the packages of one repository; returns the lines of what has to be compiled into them."""
    lines = []
    for number, package in enumerate(offered.packages):
        folder = f"{offered.folder}/{number}"
        for path, content, is_link in package.entries():
            _add(tar, f"packages/{folder}/{path}", content, is_link)
        lines += _compiled(folder, package.libraries)
    return lines


def _built(tar: tarfile.TarFile, repositories: Iterable[Offered]) -> Iterator[str]:
    """Adds what modules are built of; a line for each package: its folder, the kernel, the place in it."""
    for offered in repositories:
        for number, package in enumerate(offered.packages):
            if package.built is None:
                continue
            folder, built = f"{offered.folder}/{number}", package.built
            contents = (("source", built.source, False), ("headers", built.headers, False))
            for part, texts, is_link in (*contents, ("headers", built.header_links, True)):
                for path, text in texts.items():
                    _add(tar, f"modules/{folder}/{part}/{path}", text, is_link)
            yield f"{folder} {built.release} {built.place}\n"


def _compiled(folder: str, libraries: Mapping[str, str]) -> list[str]:
    return [f"{folder}{path} {soname}\n" for path, soname in libraries.items()]


def _add(tar: tarfile.TarFile, path: str, content: str, is_link: bool) -> None:
    member = tarfile.TarInfo(path)
    member.mode = 0o755 if content.startswith("#!") else 0o644
    if is_link:
        member.type, member.linkname = tarfile.SYMTYPE, content
        tar.addfile(member)
        return
    data = content.encode()
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
