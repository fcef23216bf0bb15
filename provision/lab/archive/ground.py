"""What stand-ins are laid on: the node's architecture, and the real kernel headers that modules are built against."""

from __future__ import annotations

from provision.model import Frozen
from provision.model.spec import Arch


class Ground(Frozen):
    arch: Arch
    package_arch: str
    """As dpkg calls it."""
    multiarch: str
    """The folder of libraries, `x86_64-linux-gnu`."""
    headers: str
    """Where Debian's headers lie, unpacked."""
    common: str
    """The folder of the headers that all flavours share; it holds the Makefile."""
    generated: tuple[str, ...]
    """What is in the headers' include/generated."""
    needs: tuple[str, ...] = ()
    """Debian's packages that its headers depend on, save the kernel itself."""


def headers_tree(release: str, ground: Ground) -> tuple[dict[str, str], dict[str, str]]:
    """Files and links of /usr/src/linux-headers-RELEASE: Debian's headers, which take themselves for this release.

    Only four texts name a release: the Makefile, kernel.release, utsrelease.h and what `build` points to (headers of
    Debian 13, read 2026-11-21). The empty markers of include/config and vmlinux are of no use to a module without BTF.
    """
    tree = f"/usr/src/linux-headers-{release}"
    files = {
        f"{tree}/Makefile": f"include {ground.common}/Makefile\noverride KERNELRELEASE = {release}\n",
        f"{tree}/include/config/kernel.release": f"{release}\n",
        f"{tree}/include/generated/utsrelease.h": f'#define UTS_RELEASE "{release}"\n',
    }
    linked = (
        *(".config", ".kernelvariables", "Module.symvers", "arch", "scripts", "tools", "include/config/auto.conf"),
        *(f"include/generated/{name}" for name in ground.generated if name != "utsrelease.h"),
    )
    links = {f"{tree}/{path}": f"{ground.headers}/{path}" for path in linked}
    return files, links | {f"/usr/lib/modules/{release}/build": tree}
