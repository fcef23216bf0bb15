"""What differs about links, accounts, keys in others' files, and settings of the running kernel. Pure.

Each function returns what differs, in words, and nothing where nothing does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from provision.model import (
    Alternatives,
    Archive,
    BootEntry,
    Fragment,
    GpuSetting,
    Group,
    KernelArguments,
    Module,
    Snapshot,
    Symlink,
    Sysctl,
    User,
)
from provision.platforms import boot, gpus
from provision.platforms import fragment as fragments
from provision.platforms.running import in_sysfs
from provision.platforms.settings import files_of


def symlink(resource: Symlink, snapshot: Snapshot) -> str:
    state = snapshot.files.get(resource.path)
    if state is None:
        return f"{resource.path} is {snapshot.hidden.get(f'file {resource.path}', 'missing')}"
    if state.type != "symlink":
        return f"{resource.path} is a {state.type}"
    return "" if state.target == resource.target else f"{resource.path} leads to {state.target}, not {resource.target}"


def boot_entry(resource: BootEntry, snapshot: Snapshot) -> str:
    """Words that it should have are a file's, and compared as one."""
    if snapshot.default_kernel != resource.release:
        return f"the default boot entry is {snapshot.default_kernel or 'unknown'}, not {resource.release}"
    if not resource.arguments and boot.ARGUMENTS in snapshot.files:
        return f"{boot.ARGUMENTS} is there, and no arguments are declared"
    return ""


def alternatives(resource: Alternatives, snapshot: Snapshot) -> str:
    state = snapshot.alternatives.get(resource.alternative)
    if state is None:
        return f"nothing is chosen as {resource.alternative}"
    if state.path != resource.path:
        return f"{resource.alternative} is {state.path}, not {resource.path}"
    if not state.manual:
        return f"{resource.alternative} is left to the packages"
    managed = Symlink(name=resource.name, path=resource.link, target=f"/etc/alternatives/{resource.alternative}")
    return symlink(managed, snapshot)


def fragment(resource: Fragment, snapshot: Snapshot) -> str:
    unread = snapshot.hidden.get(f"fragment {resource.name}")
    if unread:
        return f"{resource.path} is {unread}"
    seen = snapshot.fragments.get(resource.name, {})
    told = []
    for setting in resource.settings:
        key = fragments.key(setting, resource.format)
        if key not in seen:
            told.append(f"{'.'.join(setting.key)} is not set")
        elif not fragments.holds(resource, setting, seen[key]):
            told.append(f"{'.'.join(setting.key)} is {seen[key]}")
    return f"{resource.path}: {', '.join(told)}" if told else ""


def archive(resource: Archive, snapshot: Snapshot) -> str:
    (stamp,) = files_of(resource)
    state = snapshot.files.get(stamp.path)
    if state is None:
        hidden = snapshot.hidden.get(f"file {stamp.path}")
        return f"{stamp.path} is {hidden}" if hidden else f"{resource.to} is not there, or did not come from an archive"
    if state.sha256 != hashlib.sha256(stamp.content.encode()).hexdigest():
        return f"{resource.to} came from another archive than the one declared"
    return ""


def gpu_setting(resource: GpuSetting, snapshot: Snapshot) -> str:
    """Judged by what is in force; by what is pending while a reboot is owed, because that is what it waits for."""
    unread = snapshot.hidden.get("gpu-settings")
    if unread or not snapshot.gpu_settings:
        return f"{resource.setting} cannot be read: {unread or 'no GPU answers'}"
    fields = gpus.fields(resource)
    field = fields[-1] if snapshot.reboot_due == snapshot.boot_id else fields[0]
    found = {address: told.get(field, "not there") for address, told in snapshot.gpu_settings.items()}
    told = [f"{a} is {value}" for a, value in found.items() if gpus.plain(value) != resource.value]
    return f"{resource.setting} of {', '.join(told)}, not {resource.value}" if told else ""


def account(resource: Group | User, snapshot: Snapshot) -> str:
    match resource:
        case Group(group=group):
            return "" if group in snapshot.groups else f"there is no group {group}"
        case User(user=user, groups=groups, shell=shell):
            state = snapshot.users.get(user)
            if state is None:
                return f"there is no user {user}"
            told = [f"is not in group {group}" for group in groups if group not in state.groups]
            if shell not in (None, state.shell):
                told.append(f"has the shell {state.shell}, not {shell}")
            return f"{user} {' and '.join(told)}" if told else ""


def running(resource: KernelArguments | Module | Sysctl, snapshot: Snapshot) -> str:
    """What the running kernel has other than it should.

    Not while a reboot is owed for what only a reboot changes: that is what it waits for.
    """
    if resource.boot_scoped and snapshot.reboot_due == snapshot.boot_id:
        return ""
    match resource:
        case KernelArguments():
            lacking = list(_lacking(resource, snapshot.cmdline))
            return f"the running kernel was not started with {' '.join(lacking)}" if lacking else ""
        case Module(module=module, loaded=loaded):
            if loaded is None or (in_sysfs(module) in snapshot.modules) == loaded:
                return ""
            return f"{module} is {'not ' if loaded else ''}loaded"
        case Sysctl(settings=settings):
            told = [
                f"{setting.key} is {snapshot.sysctls.get(setting.key, 'not there')}, not {setting.value}"
                for setting in settings
                if snapshot.sysctls.get(setting.key) != setting.value
            ]
            return "; ".join(told)


def _lacking(resource: KernelArguments, cmdline: str) -> Iterator[str]:
    """Of several words of one name the kernel goes by the last, for most of them."""
    words = cmdline.split()
    last = {argument.name: argument.word for argument in resource.arguments}
    for argument in resource.arguments:
        named = [word for word in words if word.partition("=")[0] == argument.name]
        overruled = last[argument.name] == argument.word and named[-1:] != [argument.word]
        if argument.word not in words or overruled:
            yield argument.word
