"""From what a person or nvidia-smi calls a GPU to the catalog's rows."""

from __future__ import annotations

import re
from difflib import get_close_matches

from provision.catalog.rows import Catalog, Gpu


def find_gpus(catalog: Catalog, name: str) -> tuple[Gpu, ...]:
    """The rows of the GPU that `name` names: `GH200`, `NVIDIA GH200 480GB`, `a100-sxm4-80gb`.

    The longest name wins that stands in it as a whole word: `GH200` holds `H200`, and `A1000` is no A100.

    Raises: LookupError naming close matches.
    """
    names = {known for gpu in catalog.gpus for known in (gpu.name, *gpu.also)}
    held = [known for known in names if _holds(name, known)]
    if not held:
        raise LookupError(_unknown(name, sorted(names)))
    best = max(held, key=len)
    return tuple(gpu for gpu in catalog.gpus if best in (gpu.name, *gpu.also))


def _holds(name: str, known: str) -> bool:
    return re.search(rf"(?<![a-z0-9]){re.escape(known.lower())}(?![a-z0-9])", name.lower()) is not None


def _unknown(name: str, names: list[str]) -> str:
    near = get_close_matches(name.upper(), names, 3)
    return f"GPU {name!r} is not in the catalog" + (f"; did you mean {' or '.join(near)}?" if near else "")
