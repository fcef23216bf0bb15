"""kernel_64k: the kernel everything else is built for."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import ClassVar

from provision.model import BootEntry, Gate, Packages, Resource
from provision.planning import Context, Role, boot_files


class Kernel64k(Role):
    """The target kernel with the largest page size the distribution ships, with headers, initrd and boot entry."""

    component: ClassVar[str] = "kernel"

    def resources(self, ctx: Context) -> Iterator[Resource]:
        release, page_size = ctx.stack.version("kernel"), ctx.stack.version("page_size")
        yield Packages(
            name="kernel-packages", packages=ctx.platform.kernel_packages(release), hold=True, boot_scoped=True
        )
        yield from boot_files(ctx, inputs=("kernel-packages",))
        yield Gate(
            name="running-kernel",
            test=f'release=$(uname -r); echo "running $release"; [ "$release" = {quote(release)} ]',
            expect=f"kernel {release} is running",
            remedy="See on the console why the machine started another kernel; then run again with --retry",
            needs=("boot",),
            boot_scoped=True,
            after="kernel",
        )
        yield Gate(
            name="page-size",
            test=f'size=$(getconf PAGE_SIZE); echo "page size $size"; [ "$size" = {quote(page_size)} ]',
            expect=f"the page size is {page_size}",
            remedy="The running kernel has another page size than its package says; report this with `uname -a`",
            needs=("boot",),
            boot_scoped=True,
            after="kernel",
        )
        yield BootEntry(name="default-kernel", release=release, needs=("boot",), after="kernel")
