"""Whole sets that somebody published as working, or that are known to fail: the resolver is held against them."""

from __future__ import annotations

from pydantic import Field

from provision.catalog.row import Row
from provision.model.spec import Arch


class Combination(Row):
    works: bool = True
    os: str | None = None
    arch: Arch | None = None
    gpu: str | None = None
    kernel: str | None = None
    driver: str | None = None
    cuda: str | None = None
    doca: str | None = None
    gcc: str | None = None
    container_toolkit: str | None = None
    features: tuple[str, ...] = ()
    breaks: str = ""
    """For one that fails: the rule that refuses it."""
    other: dict[str, str] = Field(default_factory=dict)
    """Versions of what the catalog does not resolve yet: nccl, gdrcopy, dcgm, imex."""
