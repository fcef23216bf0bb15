"""sections/containers.sh and cuda.sh: what programs find on the machine to use its GPUs with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.model.machine import CdiSpec, Cuda, Library
from provision.probe.rows import table


def containers(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    rows = table(lines, {"runtime": 2, "cdi": 4})
    return {
        "runtimes": dict(rows["runtime"]),
        "cdi": tuple(CdiSpec(path=path, kind=k, driver=d, devices=int(n)) for path, k, d, n in rows["cdi"]),
    }


def cuda(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    rows = table(lines, {"cuda": 4, "library": 4})
    return {
        "cuda": tuple(Cuda(path=path, version=v, target=t, compiler=c == "yes") for path, v, t, c in rows["cuda"]),
        "libraries": _libraries(rows["library"]),
    }


def _libraries(rows: Sequence[Sequence[str]]) -> tuple[Library, ...]:
    """Each path once; of those in the loader's cache the first of its name is what a program gets."""
    found: dict[str, Library] = {}
    taken: set[str] = set()
    for name, path, target, cached in rows:
        first = cached == "yes" and name not in taken
        if first:
            taken.add(name)
        found.setdefault(path, Library(name=name, path=path, target=target, loader=first))
    return tuple(found.values())
