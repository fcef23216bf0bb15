"""What real archives offered on one day, recorded with `apt-cache madison`."""

from __future__ import annotations

import json
from pathlib import Path

from provision.model import Snapshot

DATA = Path(__file__).parent / "data"
RECORDED = ("offers-trixie-amd64.json", "offers-trixie-arm64.json", "offers-bookworm-amd64.json")


def recorded(name: str, without: str = "no such text") -> Snapshot:
    """A first reading of a node whose archive offered this; packages whose name holds `without` are left out."""
    content = json.loads((DATA / name).read_text())
    return Snapshot(
        os=content["os"],
        arch=content["arch"],
        machine_id="0" * 32,
        boot_id="recorded",
        kernel="",
        page_size=4096,
        offers={package: tuple(versions) for package, versions in content["offers"].items() if without not in package},
    )
