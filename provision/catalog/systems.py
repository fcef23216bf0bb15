"""Operating systems: those there is a platform for, and the rows of NVIDIA's installation guides."""

from __future__ import annotations

from provision.catalog.row import Row
from provision.model.spec import Arch


class OperatingSystem(Row):
    family: str
    name: str
    codename: str
    archs: tuple[Arch, ...]


class SupportedSystem(Row):
    """One row of the operating system tables in an edition of the CUDA installation guide."""

    cuda: str
    """Release whose guide it is, `13.0.1`; `12.x` where only the major is known."""
    os: str
    """`ID` + `VERSION_ID` of os-release; where the guide names a major only, `rhel9`, `sles15`."""
    last: str = ""
    """The newest point release that the guide names, e.g. `9.6`; empty when it names none."""
    arch: Arch
    grace: bool = False
    """From the Grace tables: 64K-page kernels are listed there only."""
    kernel: str
    page_size: int | None = None
    """Bytes, where the table or the kernel's name tells."""
    gcc: str = ""
    glibc: str = ""
