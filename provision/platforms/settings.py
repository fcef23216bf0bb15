"""The files that are a resource's own, whole: what a setting is on the disk of a Debian-family node. Pure.

Names begin so that ours is read last where the last one wins: /etc/default/grub.d (grub-mkconfig of GRUB 2.12) and
sysctl.d(5) go by name, and the distribution's own end in 99-sysctl.conf (systemd 257; both read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Iterable

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
    Repository,
    Resource,
    Symlink,
    Sysctl,
    Unit,
    User,
)
from provision.platforms import archives, boot, gpus

WRITTEN = "# Written by provision.\n"

KEYRINGS = "/etc/apt/keyrings"
SOURCES = "/etc/apt/sources.list.d"


def files_of(resource: Resource) -> tuple[File, ...]:
    """Every file whose whole content a resource decides, in the order in which they are written."""
    match resource:
        case File():
            return (resource,)
        case Repository(name=name, key=key):
            signer = _file(name, f"{KEYRINGS}/provision-{name}.asc", key.armour)
            return signer, _file(name, f"{SOURCES}/provision-{name}.sources", deb822(resource, signer.path))
        case KernelArguments():
            words = [argument.word for argument in resource.arguments]
            return (
                _file(resource.name, f"/etc/default/grub.d/zz-provision-{resource.name}.cfg", boot.arguments(words)),
            )
        case BootEntry(name=name, words=words):
            return (_file(name, boot.ARGUMENTS, boot.arguments(words)),) if words else ()
        case Module():
            return tuple(_module(resource))
        case Sysctl(name=name, settings=settings):
            lines = "".join(f"{setting.key} = {setting.value}\n" for setting in settings)
            return (_file(name, f"/etc/sysctl.d/zz-provision-{name}.conf", WRITTEN + lines),)
        case Archive(to=to):
            return (_file(name=resource.name, path=f"{to}/{archives.STAMP}", content=archives.stamp(resource)),)
        case GpuSetting(name=name, setting=setting):
            if not gpus.WAYS[setting].is_forgotten:
                return ()
            path = f"/etc/systemd/system/{gpus.KEEPER}.d/provision-{name}.conf"
            return (_file(name, path, WRITTEN + gpus.drop_in(resource)),)
        case Packages() | Directory() | Unit() | Derived() | Gate():
            return ()
        case Symlink() | Alternatives() | Fragment() | Group() | User() | Manual():
            return ()


def deb822(repository: Repository, key: str) -> str:
    """A stanza of sources.list(5); `key` is the path of the key file that may sign it."""
    fields = {
        "Types": "deb",
        "URIs": " ".join(repository.uris),
        "Suites": " ".join(repository.suites),
        "Components": " ".join(repository.components),
        "Architectures": " ".join(repository.architectures),
        "Signed-By": key,
    }
    return WRITTEN + "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def _module(resource: Module) -> Iterable[File]:
    lines = [f"blacklist {resource.module}\n"] if resource.loaded is False else []
    if resource.options:
        options = " ".join(f"{option.name}={option.value}" for option in resource.options)
        lines.append(f"options {resource.module} {options}\n")
    if lines:
        yield _file(resource.name, f"/etc/modprobe.d/provision-{resource.name}.conf", WRITTEN + "".join(lines))
    if resource.loaded:
        yield _file(
            resource.name, f"/etc/modules-load.d/provision-{resource.name}.conf", f"{WRITTEN}{resource.module}\n"
        )


def _file(name: str, path: str, content: str) -> File:
    return File(name=name, path=path, content=content)
