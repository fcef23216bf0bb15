"""loaded_at_boot: a module that only a boot loads; stands for what comes behind the kernel and wants a boot of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from provision.model import File, Gate, Resource
from provision.planning import Context, Role

MODULE = "dummy"


class LoadedAtBoot(Role):
    """A file of modules-load.d(5), and the proof that the kernel obeyed it."""

    component: ClassVar[str] = "driver"

    def resources(self, ctx: Context) -> Iterator[Resource]:
        yield File(
            name="load-at-boot",
            path="/etc/modules-load.d/provision-proof.conf",
            content=f"{MODULE}\n",
            boot_scoped=True,
        )
        yield Gate(
            name="loaded-at-boot",
            test=f'[ -d /sys/module/{MODULE} ] || {{ echo "{MODULE} is not loaded"; exit 1; }}; echo "{MODULE} is loaded"',
            expect=f"the kernel loaded {MODULE} when it started",
            remedy="See `systemctl status systemd-modules-load`",
            boot_scoped=True,
            after="driver",
        )
