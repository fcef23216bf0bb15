"""sections/modules.sh, module_files.sh and dkms.sh: the driver's modules, loaded, on disk, and built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.model.machine import DkmsModule, LoadedModule, ModuleFile
from provision.probe.rows import table


def modules(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    rows = table(lines, {"module": 4})["module"]
    loaded = {name: LoadedModule(version=v, srcversion=s, taint=t.strip()) for name, v, s, t in rows}
    return {"modules": loaded}


def module_files(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    keys = ("kernel", "name", "path", "version", "vermagic", "licence", "signer")
    rows = table(lines, {"module_file": len(keys)})["module_file"]
    return {
        "module_files": tuple(ModuleFile.model_validate(dict(zip(keys, fields, strict=True))) for fields in rows),
    }


def dkms(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    keys = ("name", "version", "kernel", "arch", "state")
    rows = table(lines, {"dkms": len(keys)})["dkms"]
    return {"dkms": tuple(DkmsModule.model_validate(dict(zip(keys, fields, strict=True))) for fields in rows)}
