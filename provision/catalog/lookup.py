"""From what a person calls a fact to its rows: `cuda 12.8`, `gpu GH200`, `cuda_toolkits/12.8.1`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from provision.catalog.catalog import Catalog
from provision.catalog.checks import kinds
from provision.catalog.cuda import CudaCompat
from provision.catalog.drivers import DriverBranch
from provision.catalog.gpus import Gpu, find_gpus
from provision.catalog.kernels import Kernel
from provision.catalog.row import Row
from provision.catalog.versions import branch_of

ALIASES = {
    "branch": "driver_branches",
    "argument": "kernel_arguments",
    "capability": "capabilities",
    "cdi": "cdi_runtimes",
    "combo": "combinations",
    "compat": "cuda_compat",
    "compiler": "host_compilers",
    "container": "container_toolkits",
    "cuda": "cuda_toolkits",
    "doca": "doca_releases",
    "driver": "driver_branches",
    "error": "cuda_errors",
    "gcc": "host_compilers",
    "gpu": "gpus",
    "issue": "driver_issues",
    "kernel": "kernels",
    "major": "cuda_majors",
    "os": "operating_systems",
    "platform": "operating_systems",
    "profile": "doca_profiles",
    "repository": "repositories",
    "rule": "rules",
    "supported": "supported_systems",
    "toolkit": "cuda_toolkits",
}
"""What a person types for a kind of row; every kind is also called by its own name and by its singular."""

NEAREST = 3


def facts(catalog: Catalog, kind: str, name: str) -> tuple[Row, ...]:
    """The rows of a kind that a name means: an id, the beginning of several (`12.8`), or what the thing is called.

    Raises: LookupError, one sentence with what is close.
    """
    own = kind_of(catalog, kind)
    rows: Sequence[Row] = kinds(catalog)[own]
    for meant in (_by_id, _by_beginning, _by_name):
        if found := meant(rows, name):
            return found
    raise LookupError(_unknown(own, rows, name))


def fact(catalog: Catalog, ref: str) -> Row:
    """The row of a fact's id as reasons cite it, `cuda_toolkits/12.8.1`. Raises: LookupError."""
    kind, _, name = ref.partition("/")
    found = _by_id(kinds(catalog).get(kind, ()), name)
    if not found:
        raise LookupError(f"the catalog has no fact {ref!r}")
    return found[0]


def kind_of(catalog: Catalog, name: str) -> str:
    """The kind of row that a word means. Raises: LookupError."""
    known = {kind: kind for kind in kinds(catalog)}
    singular = {_singular(kind): kind for kind in known}
    words = singular | ALIASES | known
    word = name.lower().replace("-", "_")
    if word not in words:
        near = get_close_matches(word, words, NEAREST)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the kinds are: {', '.join(known)}"
        raise LookupError(f"the catalog has no kind of row {name!r}; {hint}")
    return words[word]


def _singular(kind: str) -> str:
    return re.sub("(ies|ches|s)$", lambda end: {"ies": "y", "ches": "ch"}.get(end[0], ""), kind)


def _by_id(rows: Sequence[Row], name: str) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.id == name)


def _by_beginning(rows: Sequence[Row], name: str) -> tuple[Row, ...]:
    """`12.8` means `12.8.0` and `12.8.1`, and not `12.80`."""
    return tuple(row for row in rows if re.match(rf"{re.escape(name)}[.-]", row.id, re.IGNORECASE))


def _by_name(rows: Sequence[Row], name: str) -> tuple[Row, ...]:
    if rows and isinstance(rows[0], Gpu):
        return _gpus(rows, name)
    return tuple(row for row in rows if _is_called(row, name))


def _gpus(rows: Sequence[Row], name: str) -> tuple[Row, ...]:
    try:
        return find_gpus([row for row in rows if isinstance(row, Gpu)], name)
    except LookupError:
        return ()


def _is_called(row: Row, name: str) -> bool:
    match row:
        case CudaCompat(cuda=cuda):
            return cuda == name
        case DriverBranch(id=branch):
            return branch_of(name) == branch
        case Kernel(release=release):
            return re.fullmatch(release, name) is not None
        case _:
            return row.id.lower() == name.lower()


def _unknown(kind: str, rows: Sequence[Row], name: str) -> str:
    names = [row.id for row in rows]
    if kind == "gpus":
        names = list(dict.fromkeys(row.name for row in rows if isinstance(row, Gpu)))
    lower = {known.lower(): known for known in names}
    near = [lower[match] for match in get_close_matches(name.lower(), lower, NEAREST, 0.5)]
    if near:
        return f"{kind} has no {name!r}; did you mean {' or '.join(near)}?"
    few = names[: 2 * NEAREST]
    more = f" and {len(names) - len(few)} more" if len(names) > len(few) else ""
    return f"{kind} has no {name!r}" + (f" (it has {', '.join(few)}{more})" if few else " (it has no rows)")
