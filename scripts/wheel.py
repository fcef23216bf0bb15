"""What a wheel carries beside the package: the roles, and the collection where Ansible looks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COLLECTION = "ansible_collections/provision/core"
PARTS = ("galaxy.yml", "meta", "playbooks", "plugins", "roles")
"""Whole, because ansible-galaxy takes what it finds there for installed, and installs no other of the same version."""


class Beside(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # An editable install finds them in the checkout; a copy of today would hide what is edited tomorrow.
        if version == "editable":
            return
        # By the room, because what is included is told apart by where it comes from, and `roles` is taken already.
        rooms = [spec.parent.name for spec in Path(self.root).glob("roles/*/spec.py")]
        build_data["force_include"] |= {part: f"{COLLECTION}/{part}" for part in PARTS}
        build_data["force_include"] |= {f"roles/{room}": f"provision/roles/{room}" for room in rooms}
