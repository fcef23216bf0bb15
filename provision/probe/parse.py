"""A probe's answer becomes a Snapshot, or an error that says what is wrong with it. Never trusts the text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from provision.model import (
    AlternativeState,
    FileState,
    GateState,
    Kernel,
    PackageState,
    PciDevice,
    Snapshot,
    StandIns,
    Trial,
    UnitState,
    UserState,
)
from provision.model.machine import LoadedModule
from provision.probe.parse_sections import PARSERS, parse_sections

Rows = dict[str, list[list[str]]]


class Unreadable(ValueError):
    """What came back is not a whole answer of the probe."""


FIELDS = {
    "os": 1, "arch": 1, "kernel": 1, "page_size": 1, "cmdline": 1, "boot_id": 1, "machine_id": 1, "root": 1, "state": 1,
    "lab": 1, "limit": 1, "reboot_due": 1, "boot_kernel": 3, "default_kernel": 1, "pci": 5, "stamp": 2, "ledger": 1,
    "file": 6, "unit": 3, "gate": 3, "print": 2, "package": 3, "hidden": 2, "offer": 2, "offered": 0, "busy": 1,
    "trial": 3, "gpu": 3, "alternative": 3, "fragment": 3, "loaded": 1, "sysctl": 2, "group": 1, "user": 3,
    "standins": 1, "standin": 2, "unread": 1,
}  # fmt: skip
"""Line key -> number of fields."""


def parse(text: str, node: str = "") -> Snapshot:
    """The snapshot in a probe's output.

    Raises: Unreadable, with the first thing that is wrong.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unreadable(f"{node or 'the node'} answered what is no text: {text[error.start :][:20]!a}") from error
    rows, sections = _rows(text)
    try:
        return Snapshot.model_validate(_together(_snapshot(rows, node), parse_sections(sections)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Unreadable(f"{node or 'the node'} answered {first['input']!r} for {where}: {first['msg']}") from error


def _rows(text: str) -> tuple[Rows, dict[str, list[str]]]:
    """The lines that stand alone, and those of each section of a full reading, which are nobody's concern yet."""
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines or lines[-1].strip() != "END":
        raise Unreadable(f"the probe's answer is cut short after {len(lines)} lines; its end: {text[-200:]!r}")
    rows: Rows = defaultdict(list)
    sections: dict[str, list[str]] = {}
    inside = ""
    for line in lines[:-1]:
        key, *fields = line.split("\t")
        if inside:
            if (key, fields) == ("end", [inside]):
                inside = ""
            else:
                sections[inside].append(line)
        elif line.startswith("@") or not line.strip():
            continue
        elif key == "section" and len(fields) == 1 and fields[0] in PARSERS and fields[0] not in sections:
            inside = fields[0]
            sections[inside] = []
        elif FIELDS.get(key) != len(fields):
            raise Unreadable(f"not a line of the probe: {line[:200]!r}")
        else:
            rows[key].append(fields)
    if inside:
        raise Unreadable(f"the probe's answer has no end of its section {inside!r}")
    return rows, sections


def _together(base: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    """What a plan asked for stays where a section tells of the same kind of thing too."""
    merged = {key: {**base[key], **full.get(key, {})} for key in ("hidden", "packages", "units", "modules", "sysctls")}
    return {**base, **full, **merged}


def _snapshot(rows: Rows, node: str) -> dict[str, Any]:
    present = [(release, initrd == "yes", modules == "yes") for release, initrd, modules in rows["boot_kernel"]]
    return {
        "node": node,
        **{key: _one(rows, key) for key in ("os", "arch", "kernel", "page_size", "boot_id", "machine_id")},
        **{key: _one(rows, key, "") for key in ("cmdline", "state", "default_kernel")},
        **_reboot_due(rows),
        "trial": next((Trial(release=r, boot_id=b, changed=c != "same") for r, b, c in rows["trial"]), None),
        "root": _one(rows, "root") == "0",
        "lab": _one(rows, "lab", "") == "yes",
        "standins": next((StandIns(told=told, packages=dict(rows["standin"])) for (told,) in rows["standins"]), None),
        "limits": frozenset(limit for (limit,) in rows["limit"]),
        "hidden": dict(rows["hidden"]),
        "kernels": tuple(Kernel(release=r, initrd=i, modules=m) for r, i, m in present),
        "pci": tuple(
            PciDevice(address=a, vendor=v, device=d.removeprefix("0x"), pci_class=c.removeprefix("0x"), driver=driver)
            for a, v, d, c, driver in rows["pci"]
        ),
        "files": {path: _file(fields) for path, *fields in rows["file"]},
        "packages": {name: PackageState(status=s.strip(), version=v) for name, s, v in rows["package"]},
        "units": {unit: UnitState(enabled=e, active=a) for unit, e, a in rows["unit"] if e != "not-found"},
        "unread_units": frozenset(unit for (unit,) in rows["unread"]),
        "stamps": dict(rows["stamp"]),
        "prints": dict(rows["print"]),
        "gates": {name: GateState(holds=h == "yes", evidence=e) for name, h, e in rows["gate"]},
        "alternatives": {a: AlternativeState(manual=s == "manual", path=p) for a, s, p in rows["alternative"]},
        "fragments": _fragments(rows),
        "modules": {module: LoadedModule() for (module,) in rows["loaded"]},
        "sysctls": {key: " ".join(value.split()) for key, value in rows["sysctl"]},
        "groups": frozenset(group for (group,) in rows["group"]),
        "users": {user: UserState(shell=s, groups=frozenset(groups.split())) for user, s, groups in rows["user"]},
        "gpu_settings": _gpus(rows),
        "ledger": tuple(line for (line,) in rows["ledger"]),
        "offers": _offers(rows) if rows["offered"] else None,
    }


def _reboot_due(rows: Rows) -> dict[str, Any]:
    boot_id, _, names = _one(rows, "reboot_due", "").partition(" ")
    return {"reboot_due": boot_id, "reboot_for": tuple(names.split())}


def _gpus(rows: Rows) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for address, field, value in rows["gpu"]:
        found[address][field] = value
    return dict(found)


def _one(rows: Rows, key: str, default: str | None = None) -> str:
    found = rows[key]
    if len(found) == 1:
        return found[0][0]
    if not found and default is not None:
        return default
    raise Unreadable(f"the probe's answer has {len(found)} lines {key!r}, not one")


def _file(fields: Sequence[str]) -> FileState:
    kind, mode, owner, sha256, target = fields
    return FileState.model_validate({"type": kind, "mode": mode, "owner": owner, "sha256": sha256, "target": target})


def _fragments(rows: Rows) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name, key, value in rows["fragment"]:
        found[name][key] = value
    return dict(found)


def _offers(rows: Rows) -> dict[str, tuple[str, ...]]:
    offers: dict[str, list[str]] = defaultdict(list)
    for name, version in rows["offer"]:
        offers[name].append(version)
    return {name: tuple(dict.fromkeys(versions)) for name, versions in sorted(offers.items())}
