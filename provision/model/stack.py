"""What fits: one mutually compatible set of versions, with the reason for each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from provision.model.base import Frozen


class Reason(Frozen):
    """Why a version was chosen: one statement, and what it rests on."""

    text: str
    source: str
    verified: bool
    fact: str = ""
    """Id of the catalog's row it rests on, `cuda_toolkits/12.8.1`; empty for what was read on the node or declared."""


class Choice(Frozen):
    component: str
    version: str
    reasons: tuple[Reason, ...]
    how: Literal["", "native", "minor", "forward"] = ""
    """Of `cuda`: natively on the driver, or by minor-version or forward compatibility; empty of everything else."""


class Conflict(Frozen):
    """No set fits: what was asked, which rules clash and on what they rest, what would work."""

    asked: str
    rules: tuple[Reason, ...]
    nearest: tuple[str, ...] = ()

    def __str__(self) -> str:
        clash = "; ".join(f"{rule.text} [{rule.source}]" for rule in self.rules)
        nearest = f" Nearest that would work: {'; '.join(self.nearest)}." if self.nearest else ""
        return f"{self.asked}: nothing fits, because {clash}.{nearest}"


class Stack(Frozen):
    """The resolver's answer. `choices` maps a component (`kernel`, `driver`, ...) to its version and reasons."""

    choices: dict[str, Choice]
    warnings: tuple[str, ...] = Field(default=())

    def version(self, component: str) -> str:
        return self.choices[component].version
