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
    """`ID` of os-release and the release that its repositories are named by: `rhel9`, `sles15`, `ubuntu24.04`."""
    last: str = ""
    """The newest point release that the guide names, e.g. `9.6`; empty when it names none."""
    arch: Arch
    grace: bool = False
    """From the Grace tables: 64K-page kernels are listed there only."""
    kernel: str
    """As the guide prints it: the kernel that was tested, not a floor; empty when none was read."""
    page_size: int | None = None
    """Bytes, where the table or the kernel's name tells."""
    gcc: str = ""
    glibc: str = ""
