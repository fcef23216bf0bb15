"""What other people's DKMS modules need when a kernel changes: ZFS of a data disk, a network adapter's driver.

With /etc/dkms/no-autoinstall, which keeps dkms from building at its own moment, nobody else would build them for the
new kernel, and they would be missed after the reboot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provision.model import Derived, Entry, File, Gate, Resource
from provision.planning.role import Context

# Read in dkms 3.2.2 of Debian 13: /usr/lib/dkms/common.postinst and `dkms autoinstall` (2026-11-21).
HANDS_OFF_TEXT = """\
# Written by provision. With this file dkms builds nothing by itself when a kernel or a driver is installed: modules are
# built in their order, for the kernel that was chosen, and a build that fails takes that kernel off again.
"""


HANDS_OFF = File(name="dkms-by-plan", path="/etc/dkms/no-autoinstall", content=HANDS_OFF_TEXT)


def hands_off(entries: Sequence[Entry]) -> list[Entry]:
    """The same entries, and once, with the first role that has others' modules built, what keeps dkms from doing so."""
    first = next((n for n, entry in enumerate(entries) if entry.name == "other-modules"), None)
    if first is None:
        return list(entries)
    return [*entries[:first], Entry(role=entries[first].role, resource=HANDS_OFF), *entries[first:]]


def other_modules(ctx: Context, inputs: tuple[str, ...]) -> Iterator[Resource]:
    """Every module that dkms has for the kernel of now, and that no role of the plan builds, for the target kernel.

    Args:
        ctx: the node's context, which knows what the roles build.
        inputs: the caller's resources that bring a kernel, or what modules are compiled against.
    """
    release = ctx.stack.version("kernel")
    yield Derived(
        name="other-modules",
        inputs=inputs,
        command=ctx.platform.build_other_modules(ctx.own_modules, release),
        log=ctx.platform.other_modules_log(),
        undo=ctx.platform.withdraw_kernel(release),
        boot_scoped=True,
    )
    yield Gate(
        name="other-modules-built",
        test=ctx.platform.other_modules_built(ctx.own_modules, release),
        expect=f"every other module that dkms has on this node is installed for kernel {release}",
        remedy="Install a version of the module that is named which builds for this kernel, or take it off "
        "(its package, or `dkms remove MODULE/VERSION --all`); then run again",
        proves=("other-modules",),
    )
