"""What a run was about, kept in its folder, so that a report of it needs nothing else."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from provision.model import Frozen
from provision.planning import Planned

FILE = "declared.json"


class Declared(Frozen):
    """`nodes`: each node's declaration, versions and plan."""

    inventory: str = ""
    controller: str = ""
    nodes: dict[str, Planned] = Field(default_factory=dict)

    def keep(self, run: Path) -> None:
        (run / FILE).write_text(self.model_dump_json(indent=1) + "\n")

    @classmethod
    def of(cls, run: Path) -> Declared | None:
        """What was kept in a run's folder, if anything that can be read was."""
        try:
            return cls.model_validate_json((run / FILE).read_text())
        except (OSError, ValueError):
            return None
