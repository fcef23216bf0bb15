"""The closed vocabulary of desired state. Data only: how a kind is applied, observed or asserted stands elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from provision.model.base import Frozen

Limit = Literal["boot", "modules", "sysctl", "hardware"]
"""What a node may be unable to hold: its own kernel, kernel modules, kernel settings, a GPU."""

Path = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f]*$")]
ResourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
"""Names are the same on every host of a fleet (pyinfra tells operations apart by position), so no versions in them."""


class BaseResource(Frozen):
    name: ResourceName
    needs: tuple[Limit, ...] = ()
    """Limits under which a node cannot hold this resource: then it is not applicable, never told as converged."""
    boot_scoped: bool = False
    """Only a reboot makes a change of this resource effective."""
    after: Literal["kernel", "driver"] | None = None
    """Not before the node runs the target kernel, or has loaded the target driver: it stands behind that reboot."""


class Package(Frozen):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]*$")]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+:~*-]*$")] = "*"
    """A shell pattern over the archive's version: `550.163.01-*`; `*` takes what the archive prefers."""


class Packages(BaseResource):
    """Packages installed at a version, in the one transaction of their boot, and held there."""

    kind: Literal["packages"] = "packages"
    packages: tuple[Package, ...]
    hold: bool = False


class File(BaseResource):
    """A file whose whole content is ours, written atomically."""

    kind: Literal["file"] = "file"
    path: Path
    content: str
    mode: Annotated[str, StringConstraints(pattern=r"^[0-7]{3,4}$")] = "644"


class Directory(BaseResource):
    kind: Literal["directory"] = "directory"
    path: Path
    mode: Annotated[str, StringConstraints(pattern=r"^[0-7]{3,4}$")] = "755"


class Unit(BaseResource):
    """A systemd unit, enabled and running or not. Restarts are `Derived`, and stand before their unit."""

    kind: Literal["unit"] = "unit"
    unit: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9@._-]+\.[a-z]+$")]
    enabled: bool = True
    running: bool = True


class BootEntry(BaseResource):
    """The kernel that the boot menu starts by default (GRUB, `GRUB_DEFAULT=saved`)."""

    kind: Literal["boot-entry"] = "boot-entry"
    release: Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.+~_-]*$")]


class Derived(BaseResource):
    """A consequence of other resources: due when its stamp does not tell of its inputs as they are now."""

    kind: Literal["derived"] = "derived"
    inputs: tuple[str, ...]
    """Names of resources of the plan, or absolute paths of files on the node."""
    also: tuple[str, ...] = ()
    """Inputs too, where the plan has them: resources of roles that a node may go without. Planning resolves them."""
    command: str
    """POSIX sh; every value in it quoted by whoever wrote it. Runs under `set -eu`."""
    outputs: tuple[Path, ...] = ()
    """Files that must exist afterwards; one that is missing makes this due."""
    log: Path | None = None
    """A file the command writes while it works (may hold a `*`): shown as progress, and the evidence when it fails."""
    version: int = 1
    """Raised when the meaning of the command changes, so that it runs again everywhere."""
    undo: str | None = None
    """POSIX sh that leaves a node that boots when the command failed; its last line says what was done."""


class Gate(BaseResource):
    """A condition that must hold before the plan may go on."""

    kind: Literal["gate"] = "gate"
    test: str
    """POSIX sh that exits 0 when the condition holds and prints its evidence on one line."""
    expect: str
    """The condition in words: `page size is 65536`."""
    remedy: str
    """What a person does when it does not hold."""
    proves: tuple[str, ...] = ()
    """Derived resources that are due when this does not hold: a stamp alone does not tell that they were harmed."""
    precondition: bool = False
    """Asked only before a change of its boot (room on the disk, free locks); says nothing about a converged node."""


Resource = Annotated[
    Packages | File | Directory | Unit | BootEntry | Derived | Gate,
    Field(discriminator="kind"),
]
