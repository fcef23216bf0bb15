"""kernel_64k: the kernel everything else is built for."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from provision.catalog import find_gpus, load
from provision.model import BootEntry, Derived, File, Gate, KernelArgument, Packages, Resource
from provision.planning import Context, NoPlan, Role, boot_files
from provision.platforms import contradictions

# What NVIDIA asks for on Grace, with who says so. Read 2026-11-20 and 2026-11-21.
COHERENT = (
    KernelArgument(
        name="init_on_alloc",
        value="0",
        source="NVIDIA GPU operator 24.3, GH200 prerequisites; Grace CPU benchmarking guide, platform; "
        "Azure/azhpc-images 8e9d055f",
    ),
    KernelArgument(
        name="numa_balancing",
        value="disable",
        source="Grace CPU benchmarking guide, platform; Azure/azhpc-images 8e9d055f",
    ),
)
ONLINED = KernelArgument(
    name="memhp_default_state",
    value="online_movable",
    source="NVIDIA GPU operator 24.3, GH200 prerequisites; without it the kernel's own data lands in GPU memory",
)
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(=[A-Za-z0-9_.,:=/@+%!-]*)?$")]


class Kernel64k(Role):
    """The target kernel with the largest page size the distribution ships; booted on trial before it is the default."""

    component: ClassVar[str] = "kernel"

    arguments: tuple[Word, ...] = Field(
        default=(), description="words for the kernel's command line, beside those that NVIDIA asks for on this GPU"
    )
    trial_minutes: int = Field(
        default=10, ge=2, le=60, description="minutes after which a new kernel that was not confirmed resets the node"
    )
    tools: bool = Field(
        default=True, description="install the kernel's own tools (perf, cpupower) where the distribution has them"
    )
    fallback_kernels: int = Field(
        default=1, ge=1, description="older kernels that stay once the new one runs and is the default"
    )
    remove_old_kernels: bool = Field(
        default=False, description="take off older kernels, all but `fallback_kernels`, once the new one is the default"
    )

    def resources(self, ctx: Context) -> Iterator[Resource]:
        release, page_size = ctx.stack.version("kernel"), ctx.stack.version("page_size")
        default = BootEntry(
            name="default-kernel",
            release=release,
            arguments=self._arguments(ctx),
            needs=("boot",),
            after="kernel",
        )
        yield Gate(
            name="one-time-boot",
            test=ctx.platform.can_be_tried(release, default.words),
            expect=f"{_told(default)} can be booted once, before it becomes the default",
            remedy="Put /boot on a plain partition with ext4, or install and boot that kernel, and write its arguments "
            "into /etc/default/grub, by hand: a boot loader that cannot forget a one-time entry would start a bad "
            "kernel again and again",
            needs=("boot",),
            precondition=True,
        )
        if default.arguments:
            yield Gate(
                name="boot-settings-agree",
                test=ctx.platform.boot_settings_agree(default.arguments, load().kernel_arguments),
                expect="no kernel argument in GRUB's own settings contradicts the plan's",
                remedy="Take the word out of the file that is named, then run again; or, where the plan's is one of "
                "kernel_64k_arguments, take that one out of the inventory",
                needs=("boot",),
                precondition=True,
            )
        lock = ctx.platform.kernel_lock()
        yield File(name="kernel-lock", path=lock.path, content=lock.content)
        for name, file in ctx.platform.trial_files(release, default.words, self.trial_minutes * 60).items():
            yield File(name=name, path=file.path, content=file.content, mode=file.mode, needs=("boot",))
        packages = (*ctx.platform.kernel_packages(release), *(ctx.platform.kernel_tools(release) if self.tools else ()))
        yield Packages(
            name="kernel-packages", packages=packages, hold=True, metas=ctx.platform.kernel_metas(), boot_scoped=True
        )
        yield from boot_files(
            ctx,
            inputs=("kernel-packages", "trial-dead-man"),
            modules=("kernel-packages",),
            menu=("boot-settings", "trial-entry"),
        )
        yield from _proofs(ctx, default, page_size)
        yield default
        if self.remove_old_kernels:
            yield Derived(
                name="old-kernels",
                inputs=("kernel-packages",),
                command=ctx.platform.prune_kernels(release, self.fallback_kernels),
                needs=("boot",),
                after="kernel",
            )

    def _arguments(self, ctx: Context) -> tuple[KernelArgument, ...]:
        """In the order of the command line, none twice. Raises: NoPlan, where two say contrary things."""
        wanted = tuple({argument.word: argument for argument in self._wanted(ctx)}.values())
        if told := "; ".join(contradictions(wanted, load().kernel_arguments)):
            raise NoPlan(f"kernel_64k_arguments: {told}. Leave out what is not meant")
        return wanted

    def _wanted(self, ctx: Context) -> Iterator[KernelArgument]:
        if ctx.spec.gpu and any(gpu.coherent for gpu in find_gpus(load().gpus, ctx.spec.gpu)):
            yield from COHERENT
            if "cdmm" not in ctx.spec.features:
                yield ONLINED
        for word in self.arguments:
            name, equals, value = word.partition("=")
            yield KernelArgument(name=name, value=value if equals else None, source="asked for in the inventory")


def _told(default: BootEntry) -> str:
    return f"kernel {default.release}" + (f" with {' '.join(default.words)}" if default.words else "")


def _proofs(ctx: Context, default: BootEntry, page_size: str) -> Iterator[Gate]:
    yield Gate(
        name="running-kernel",
        test=f'release=$(uname -r); echo "running $release"; [ "$release" = {quote(default.release)} ]',
        expect=f"kernel {default.release} is running",
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
    yield Gate(
        name="command-line",
        test=ctx.platform.started_with(default.words),
        expect=f"the kernel was started with {' '.join(default.words) or 'no arguments of an earlier plan'}",
        remedy="See in /boot/grub/grub.cfg which entry was started, and whether the boot loader reads that file",
        needs=("boot",),
        boot_scoped=True,
        after="kernel",
    )
