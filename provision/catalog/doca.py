"""DOCA-OFED: releases, profiles, and which kernels have ready-made modules."""

from __future__ import annotations

from pydantic import Field

from provision.catalog.row import Row
from provision.model.spec import Arch


class DocaRelease(Row):
    ofed: str
    build: str = ""
    long_term: bool = False
    repositories: dict[str, tuple[Arch, ...]] = Field(default_factory=dict)
    """Operating systems for which a repository or doca-host package was seen."""
    prebuilt: bool = False
    """Ready-made modules exist for some kernels; otherwise everything is built by DKMS."""
    remark: str = ""


class DocaProfile(Row):
    contains: str
    kernel_modules: bool


class DocaPrebuilt(Row):
    """Kernels that a release carries ready-made modules for."""

    doca: str
    os: str
    releases: tuple[str, ...]
