"""Files that systemd reads into a unit, and whether it has: it goes by what it read, until it is told to read again."""

from __future__ import annotations

import re

from provision.model import Resource, Unit
from provision.platforms.settings import files_of

_FILE = re.compile(
    r"/(?:etc|run|lib|usr/lib|usr/local/lib)/systemd/system/"
    r"(?P<unit>[A-Za-z0-9:_.@\\-]+\.(?:service|socket|timer|path|mount|automount|swap|target|slice))(?:\.d/[^/]+\.conf)?"
)
"""systemd.unit(5), "Unit File Load Path" and drop-ins: NAME.TYPE or NAME.TYPE.d/ANY.conf (read 2026-11-21)."""

RELOAD = "systemctl daemon-reload"


def unit_of(path: str) -> str:
    """The unit that a file is read into; empty for any other file."""
    found = _FILE.fullmatch(path)
    return found["unit"] if found else ""


def units_of(resource: Resource) -> tuple[str, ...]:
    """The units whose files a resource decides, and that systemd can be asked about: a template is none itself."""
    if isinstance(resource, Unit):
        return (resource.unit,)
    named = (unit_of(file.path) for file in files_of(resource))
    return tuple(dict.fromkeys(unit for unit in named if unit and "@." not in unit))
