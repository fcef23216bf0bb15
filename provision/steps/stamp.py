"""The stamp of a derived resource: what its inputs should be, and what they were when it was made.

A stamp is `<digest of the inputs as desired>-<fingerprint of them as they were on the node>`. The digest is computed
here; the fingerprint by the node itself (`provision.probe.fingerprint`), with one program for making and for checking.
"""

from __future__ import annotations

from provision.model import (
    Alternatives,
    Archive,
    BootEntry,
    Derived,
    Directory,
    File,
    Fragment,
    Gate,
    GpuSetting,
    Group,
    KernelArguments,
    Manual,
    Module,
    Packages,
    Plan,
    Repository,
    Symlink,
    Sysctl,
    Unit,
    User,
    canonical,
    digest,
)
from provision.platforms.settings import files_of

VERSION = "v1"
"""Changes when the canonical form does, and makes every derived resource due once."""


def desired(plan: Plan, derived: Derived) -> str:
    """Digest of a derived's inputs as desired.

    The command is not part of it: a better command in a later release must not rebuild a fleet's modules.
    """
    parts = [VERSION, derived.name, str(derived.version), *derived.outputs]
    for name in sorted(derived.inputs):
        parts.append(name if name.startswith("/") else _input(plan, name))
    return digest("\n".join(parts))


def _input(plan: Plan, name: str) -> str:
    resource = plan.by_name[name].resource
    match resource:
        case Derived():
            return desired(plan, resource)
        case KernelArguments() | Archive():
            # What they come to: a source in better words must not cost a reboot, nor a mirror a rebuild.
            return "\n".join(canonical(file) for file in files_of(resource))
        case Packages():
            # A hold changes nothing of what is installed.
            return canonical(resource.without_holds)
        case File() | Directory() | Unit() | BootEntry() | Gate() | Repository() | Symlink():
            return canonical(resource)
        case Alternatives() | Fragment() | Module() | Sysctl() | Group() | User() | Manual() | GpuSetting():
            return canonical(resource)


def boot_scoped(plan: Plan, name: str) -> bool:
    """Does a change of this resource, or of anything in its own boot that it derives from, wait for a reboot?

    What it derives from in an earlier boot has had its reboot when this one's turn comes.
    """
    resource = plan.by_name[name].resource
    if isinstance(resource, Gate):
        return False  # it asks for a reboot where it does not hold; being asked changes nothing
    if resource.boot_scoped:
        return True
    if not isinstance(resource, Derived):
        return False
    boot = plan.boot_of[name]
    return any(boot_scoped(plan, i) for i in resource.inputs if plan.boot_of.get(i) == boot)


def dependents(plan: Plan, name: str) -> tuple[Derived, ...]:
    """The derived resources that name this one as an input: a change of it takes their stamps away. A gate has none."""
    if isinstance(plan.by_name[name].resource, Gate):
        return ()
    return tuple(r for e in plan.entries if isinstance(r := e.resource, Derived) and name in r.inputs)
