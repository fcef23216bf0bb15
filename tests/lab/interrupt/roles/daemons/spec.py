"""A site's own role, so that running daemons are part of what is interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from standins.layer import DAEMONS, service

from provision.model import Derived, File, Resource, Unit
from provision.planning import Context, Role

MOMENT: dict[str, Literal["kernel"] | None] = {"early": None, "late": "kernel"}


class Daemons(Role):
    """Two daemons with unit, configuration and restart: one before the plan's reboot, one behind it."""

    component: ClassVar[str] = "daemons"
    follows: ClassVar[tuple[str, ...]] = ("preflight",)

    generation: str = "new"

    def resources(self, ctx: Context) -> Iterator[Resource]:
        for daemon in DAEMONS:
            after, unit = MOMENT[daemon], f"stand-in-{daemon}.service"
            yield File(
                name=f"{daemon}-unit",
                path=f"/etc/systemd/system/{unit}",
                content=service(daemon, self.generation),
                after=after,
            )
            yield File(
                name=f"{daemon}-configuration",
                path=f"/etc/stand-in-{daemon}.conf",
                content=f"{self.generation}\n",
                after=after,
            )
            yield Derived(
                name=f"{daemon}-restart",
                inputs=(f"{daemon}-unit", f"{daemon}-configuration"),
                command=f"systemctl daemon-reload\nsystemctl try-restart {unit}",
                after=after,
            )
            yield Unit(name=f"{daemon}-daemon", unit=unit, after=after)
