"""Kernels of the distributions, and what was seen to build for them."""

from __future__ import annotations

from provision.catalog.drivers import Modules
from provision.catalog.row import Row
from provision.model.spec import Arch


class KernelArgumentRule(Row):
    """What words of the kernel's command line mean together."""

    repeats: tuple[str, ...] = ()
    """Names (shell patterns) of which every word counts."""
    words: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    """Words of another name that say the contrary of any of `words`."""
    text: str = ""


class Kernel(Row):
    """One flavour of a distribution's kernel on one architecture."""

    os: str
    arch: Arch
    flavour: str
    page_size: int
    """Bytes."""
    release: str
    """Regular expression over `uname -r`; `{release}` and its named groups stand in the package names."""
    glob: str
    image: str
    headers: str
    needs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    """What measures and sets this one kernel: perf, cpupower, turbostat."""
    metas: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """More packages that pull in a newer kernel."""
    releases: tuple[str, ...] = ()
    default: bool = True


class KernelDriverPair(Row):
    kernel: str
    modules: Modules
    driver: str
    first: str
    last: str
    builds: bool
    cause: str


class KernelDocaPair(Row):
    """DOCA-OFED's modules and a kernel release: seen to build, or seen to fail."""

    os: str = ""
    """`ID` + `VERSION_ID`; empty where the release alone names the kernel."""
    release: str
    """`uname -r`; empty: every kernel of `os`."""
    doca: str
    """A release, or the beginning of several: `3.2`."""
    builds: bool
    cause: str = ""
    remedy: str = ""
    """What makes it build all the same."""
