"""What follows from any change that the initrd or the boot menu holds. Every role that makes one yields these.

Planning unites them, so that a boot has one initrd build, one check of /boot, and one boot menu, after all its causes.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.model import Derived, Gate, Resource
from provision.planning.other_modules import other_modules
from provision.planning.role import Context


def boot_files(
    ctx: Context, inputs: tuple[str, ...], menu: tuple[str, ...] = (), modules: tuple[str, ...] = ()
) -> Iterator[Resource]:
    """Others' modules and the initrd of the target kernel, the proof that /boot is complete, and the boot menu.

    Args:
        ctx: the node's context.
        inputs: the caller's resources that the initrd or the menu depends on.
        menu: those that the menu alone depends on.
        modules: those of `inputs` that bring a kernel, or what modules are compiled against.
    """
    release = ctx.stack.version("kernel")
    if modules:
        yield from other_modules(ctx, modules)
    yield Derived(
        name="initrd",
        inputs=(*inputs, *(("other-modules",) if modules else ())),
        command=ctx.platform.initrd(release),
        outputs=(f"/boot/initrd.img-{release}",),
        boot_scoped=True,
    )
    yield Gate(
        name="boot-files",
        test=ctx.platform.boot_complete(),
        expect="every kernel in /boot has its initrd, the default links resolve, and the packages are consistent",
        remedy="Do not reboot this node before it holds; `provision apply` again finishes what was begun",
        proves=("initrd",),
    )
    yield Derived(
        name="boot-menu",
        inputs=("initrd", *menu),
        command=ctx.platform.boot_menu(),
        boot_scoped=True,
        needs=("boot",),
    )
