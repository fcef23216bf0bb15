"""What keeps a package manager at the versions of a plan: apt's preferences and dnf's version locks, as texts.

A hold keeps an installed package; these keep what is not installed yet, and what apt chooses for a dependency that
nobody named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from provision.model import Package
from provision.model.machine import Pin

WANTED = 1001
"""Above 1000 apt also downgrades to it (apt_preferences(5), apt 2.6 and 3.0, read 2026-11-21)."""

NEVER = -1


def pins(packages: Iterable[Package], never: Mapping[str, str] | None = None, file: str = "") -> tuple[Pin, ...]:
    """One record per version of the packages, then one per package that must not come from somewhere.

    Args:
        packages: with their version patterns; one that may have any version needs no pin.
        never: package -> the `Pin:` of where it must not come from, e.g. `release l=DOCA-HOST*`.
        file: where the records will stand.
    """
    names: dict[str, list[str]] = {}
    for package in packages:
        if package.version != "*":
            names.setdefault(package.version, []).append(package.name)
    return (
        *(
            Pin(file=file, packages=" ".join(at), pin=f"version {version}", priority=WANTED)
            for version, at in names.items()
        ),
        *(Pin(file=file, packages=name, pin=pin, priority=NEVER) for name, pin in (never or {}).items()),
    )


def preferences(records: Iterable[Pin]) -> str:
    """A file of /etc/apt/preferences.d; empty for no records."""
    stanzas = [f"Package: {pin.packages}\nPin: {pin.pin}\nPin-Priority: {pin.priority}\n" for pin in records]
    return "# Written by provision: apt keeps to the versions of the plan.\n" + "\n".join(stanzas) if stanzas else ""


def versionlock(packages: Iterable[Package]) -> str:
    """Lines of /etc/dnf/plugins/versionlock.list, any architecture; a package that may have any version has none.

    Form `NAME-VERSION-RELEASE.*` (dnf-plugins-core 0030ea94, plugins/versionlock.py, read 2026-11-21); a pattern
    without an epoch matches every epoch.
    """
    locked = [(p.name, *_version_and_release(p.version)) for p in packages if p.version != "*"]
    return "".join(f"{name}-{version}-{release}.*\n" for name, version, release in locked)


def _version_and_release(pattern: str) -> tuple[str, str]:
    """`580.159.04-*` -> version and release; a pattern over the version alone (`580.*`) takes every release."""
    version, dash, release = pattern.partition("-")
    return (version, release) if dash else (pattern, "*")
