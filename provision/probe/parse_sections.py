"""Sections of a full reading: each is parsed for itself, so one that cannot be read costs that one only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from provision.model import refusals
from provision.probe.parse_boot import boot
from provision.probe.parse_containers import containers, cuda
from provision.probe.parse_devices import infiniband, pci
from provision.probe.parse_gpu import gpu
from provision.probe.parse_kernel_log import kernel_log
from provision.probe.parse_memory import memory, sysctls
from provision.probe.parse_modules import dkms, module_files, modules
from provision.probe.parse_packages import packages
from provision.probe.parse_repositories import repositories
from provision.probe.parse_system import firmware, system
from provision.probe.parse_units import units

Lines = Sequence[Sequence[str]]

PARSERS: dict[str, Callable[[Lines], dict[str, Any]]] = {
    parser.__name__: parser
    for parser in (
        system, firmware, boot, pci, modules, module_files, dkms, packages, repositories, units, sysctls, memory, gpu,
        infiniband, containers, cuda, kernel_log,
    )
}  # fmt: skip

OUT_OF_TIME = frozenset({"124", "137"})
"""timeout(1): the program was ended, or had to be killed."""

NOT_STARTED = frozenset({"125", "126", "127"})
"""timeout(1) itself failed, or is not there."""


def parse_sections(answered: dict[str, list[str]]) -> dict[str, Any]:
    """Fields of a snapshot from the lines of every section; what is wrong with one is in `hidden`, under its name."""
    found: dict[str, Any] = {"sections": set(), "hidden": {}}
    for name, texts in answered.items():
        try:
            fields = _section(name, texts)
        except ValueError as error:  # pydantic's ValidationError is one
            found["hidden"][name] = f"unreadable: {_in_short(error)}"
            continue
        hidden = fields.pop("hidden")
        found |= fields
        found["hidden"] |= hidden
        if name not in hidden:
            found["sections"].add(name)
    return found


def _section(name: str, texts: Sequence[str]) -> dict[str, Any]:
    lines = [text.split("\t") for text in texts if text.strip()]
    code = lines.pop() if lines and lines[-1][0] == "code" and len(lines[-1]) == 2 else None
    if code is None:
        raise ValueError("it answered more than it may, and was cut")
    if code[1] in NOT_STARTED and not lines:
        raise ValueError(f"its program did not start (exit code {code[1]})")
    if code[1] in OUT_OF_TIME:
        raise ValueError("it took longer than it may, and was ended")
    if any(line[0] == "hidden" and len(line) != 3 for line in lines):
        raise ValueError("a line `hidden` without its two fields")
    hidden = {line[1]: line[2] for line in lines if line[0] == "hidden"}
    fields = PARSERS[name]([line for line in lines if line[0] != "hidden"])
    return {**fields, "hidden": {**hidden, **fields.get("hidden", {})}}


def _in_short(error: Exception) -> str:
    told = refusals(error)[0] if isinstance(error, ValidationError) else str(error)
    return " ".join(told.split())[:300]
