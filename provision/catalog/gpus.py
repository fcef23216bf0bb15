"""GPUs by PCI id, and from what a person or nvidia-smi calls a GPU to its rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal, get_args

from pydantic import Field

from provision.catalog.row import Row
from provision.model.spec import Arch

Fabric = Literal["none", "nvswitch", "nvlink5", "rack"]
"""What connects the GPUs: nvswitch (HGX up to H200: fabric manager), nvlink5 (HGX B200/B300: nvlsm and fabric manager),
rack (GB200/GB300 NVL72 trays: IMEX, the fabric manager runs on the switch trays), none."""


class Gpu(Row):
    """One PCI id, `10de:2342`."""

    name: str
    also: tuple[str, ...] = ()
    """Other models under the same id."""
    device: str
    architecture: str
    compute_capability: str
    coherent: bool
    """The GPU and a Grace CPU share memory over NVLink-C2C."""
    modules: Literal["open", "proprietary", "either"]
    first_open: str | None = None
    first_open_in_branch: dict[str, str] = Field(default_factory=dict)
    last_branch: str | None = None
    supported_from: str | None = None
    """First driver that NVIDIA supports it with, either flavour; a table's id alone is not support."""
    data_centre: bool = True
    """Forward compatibility is for data-centre GPUs; elsewhere cuInit answers 804."""
    fabrics: tuple[Fabric, ...] = ("none",)
    """What machines with this GPU are built with; the first is the usual one."""
    mig: bool = False
    mig_from: str | None = None
    """First driver with MIG on this GPU."""
    derived: tuple[str, ...] = ()

    @property
    def archs(self) -> tuple[Arch, ...]:
        """The machines it is in: one that shares memory with a Grace CPU is nowhere but beside that CPU."""
        return ("aarch64",) if self.coherent else get_args(Arch)


class Capability(Row):
    """A compute capability (`9.0`): the CUDA releases whose compiler knows it."""

    architecture: str
    first_cuda: str
    last_cuda: str | None = None
    jetson: bool = False


def find_gpus(rows: Sequence[Gpu], name: str) -> tuple[Gpu, ...]:
    """The rows of the GPU that `name` names: `GH200`, `NVIDIA GH200 480GB`, `a100-sxm4-80gb`.

    The longest name wins that stands in it as a whole word: `GH200` holds `H200`, and `A1000` is no A100.

    Raises: LookupError naming close matches.
    """
    names = {known for gpu in rows for known in (gpu.name, *gpu.also)}
    held = [known for known in names if _holds(name, known)]
    if not held:
        raise LookupError(_unknown(name, sorted(names)))
    best = max(held, key=len)
    return tuple(gpu for gpu in rows if best in (gpu.name, *gpu.also))


def _holds(name: str, known: str) -> bool:
    return re.search(rf"(?<![a-z0-9]){re.escape(known.lower())}(?![a-z0-9])", name.lower()) is not None


def _unknown(name: str, names: list[str]) -> str:
    near = get_close_matches(name.upper(), names, 3)
    return f"GPU {name!r} is not in the catalog" + (f"; did you mean {' or '.join(near)}?" if near else "")
