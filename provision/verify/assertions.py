"""What testinfra asserts about each kind of resource: through its own modules and plain commands, never our probe.

Every `assert_KIND(host, resource)` raises AssertionError with all that differs, or returns what was seen, on one line.
Asserted by raising, not by `assert`, so that `python -O` does not make them pass.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import assert_never

from pydantic import JsonValue
from testinfra.host import Host

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
    Resource,
    Symlink,
    Sysctl,
    Unit,
    User,
)
from provision.model.places import STATE
from provision.platforms.boot import ARGUMENTS
from provision.platforms.gpus import SEARCHED
from provision.platforms.settings import files_of
from provision.platforms.units import unit_of
from provision.steps import desired
from provision.verify.grub import MenuEntry, default_entry

STAMPS = f"{STATE}/derived"
GRUB_MENU = "/boot/grub/grub.cfg"
KERNEL_LINKS = ("/vmlinuz", "/boot/vmlinuz")

ENVIRONMENT = "export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; "
"""Gates are written for this; a plain ssh command has a user's PATH."""

GPU_ELEMENTS = {
    "compute-mode": "compute_mode",
    "power-limit": "requested_power_limit",
    "ecc": "current_ecc",
    "mig": "current_mig",
}
"""As nvidia-smi of driver 580 has them (recorded on an H200, 2026-11-21). Of the power limit the GPU's comes first."""

ENABLED = frozenset({"enabled", "enabled-runtime"})
UNCHANGING = frozenset({"static", "indirect", "generated", "transient", "alias"})
"""States of a unit that can neither be enabled nor disabled (systemctl(1), is-enabled)."""


def assert_resource(host: Host, plan: Plan, resource: Resource) -> str:
    """One resource of a plan holds on a node.

    Returns: what was seen. Raises: AssertionError with what differs; RuntimeError when the node does not answer.
    """
    match resource:
        case Packages():
            return assert_packages(host, resource)
        case File():
            return assert_file(host, resource)
        case Directory():
            return assert_directory(host, resource)
        case Unit():
            return assert_unit(host, resource)
        case BootEntry():
            return assert_boot_entry(host, resource)
        case Derived():
            return assert_derived(host, resource, desired(plan, resource))
        case Gate():
            return assert_gate(host, resource)
        case Manual():
            return assert_manual(host, resource)
        case Repository():
            return assert_repository(host, resource)
        case Symlink():
            return assert_symlink(host, resource)
        case Alternatives():
            return assert_alternatives(host, resource)
        case Fragment():
            return assert_fragment(host, resource)
        case KernelArguments():
            return assert_kernel_arguments(host, resource)
        case Module():
            return assert_module(host, resource)
        case Sysctl():
            return assert_sysctl(host, resource)
        case Group():
            return assert_group(host, resource)
        case User():
            return assert_user(host, resource)
        case Archive():
            return assert_archive(host, resource)
        case GpuSetting():
            return assert_gpu_setting(host, resource)


def assert_packages(host: Host, resource: Packages) -> str:
    names = [package.name for package in resource.packages]
    held = _held(host, names) if resource.hold else frozenset(names)
    told, seen = [], []
    for wanted in resource.packages:
        package = host.package(wanted.name)
        if not package.is_installed:
            told.append(f"{wanted.name} is not installed")
            continue
        version: str = package.version
        seen.append(f"{wanted.name} {version}")
        if not fnmatchcase(version, wanted.version):
            told.append(f"{wanted.name} is {version}, not {wanted.version}")
        if wanted.name not in held:
            told.append(f"{wanted.name} is not held")
    told += [f"{name} is not held" for name in _loose(host, resource.metas)]
    return _judged(told, ", ".join(seen))


def _loose(host: Host, metas: Sequence[str]) -> list[str]:
    """Installed packages of these patterns that nobody holds."""
    if not metas:
        return []
    told = host.run("dpkg-query -W -f '${db:Status-Abbrev} ${Package}\\n' " + " ".join(["%s"] * len(metas)), *metas)
    states = (line.split() for line in told.stdout.splitlines())
    return sorted({name for status, name in states if status[1:2] == "i" and status[0] != "h"})


def assert_file(host: Host, resource: File) -> str:
    file = host.file(resource.path)
    if file.is_symlink or not file.is_file:
        return _judged([_not_a(host, resource.path, "file")], "")
    told = _ownership(host, resource.path, resource.mode)
    if file.content != resource.content.encode():
        told.append("has another content")
    unit = unit_of(resource.path)
    if unit and "@." not in unit and host.service(unit).systemd_properties.get("NeedDaemonReload") == "yes":
        told.append(f"was not read by systemd, which goes by what {unit} was before")
    return _judged([f"{resource.path} {text}" for text in told], f"{len(resource.content.encode())} bytes as declared")


def assert_directory(host: Host, resource: Directory) -> str:
    file = host.file(resource.path)
    if file.is_symlink or not file.is_directory:
        return _judged([_not_a(host, resource.path, "directory")], "")
    return _judged([f"{resource.path} {text}" for text in _ownership(host, resource.path, resource.mode)], "")


def assert_unit(host: Host, resource: Unit) -> str:
    """By `systemd_properties`: testinfra's `is_enabled` raises for a masked unit, and takes `indirect` for enabled."""
    properties = host.service(resource.unit).systemd_properties
    if properties.get("LoadState") == "not-found":
        return _judged([f"{resource.unit} does not exist"], "")
    enabled, active = properties.get("UnitFileState", ""), properties.get("ActiveState", "")
    told = []
    if enabled not in UNCHANGING and (enabled in ENABLED) != resource.enabled:
        told.append(f"{resource.unit} is {enabled or 'not there to be enabled'}")
    if (active == "active") != resource.running:
        told.append(f"{resource.unit} is {active}")
    if properties.get("NeedDaemonReload") == "yes":
        told.append(f"systemd has not read the files of {resource.unit} as they are now")
    return _judged(told, f"{enabled}, {active}")


def assert_boot_entry(host: Host, resource: BootEntry) -> str:
    """GRUB's menu and environment are read as GRUB reads them; where there is no menu, the /vmlinuz link tells."""
    by_menu = host.file(GRUB_MENU).exists
    entry = _menu_default(host) if by_menu else MenuEntry(title="", id="", release=_linked_kernel(host))
    told = [f"{word} is not among what is started by default" for word in resource.words if word not in entry.words]
    if entry.release != resource.release:
        told.append(f"the default boot entry is {entry.release or 'unknown'}, not {resource.release}")
    if not host.file(f"/boot/vmlinuz-{resource.release}").is_file:
        told.append(f"there is no /boot/vmlinuz-{resource.release}")
    if not resource.words and host.file(ARGUMENTS).exists:
        told.append(f"{ARGUMENTS} gives kernels arguments, and none are declared")
    return _judged(told, f"{' '.join((entry.release, *resource.words))} boots by default")


def assert_derived(host: Host, resource: Derived, made_of: str) -> str:
    """Made, made of what is desired now, and its outputs are there. That it works is for gates and verify.py to ask.

    `made_of` is the digest of its inputs as desired.
    """
    path = f"{STAMPS}/{resource.name}"
    told = [f"{output} is missing" for output in resource.outputs if not host.file(output).exists]
    if not host.file(path).is_file:
        return _judged(["it was not made yet, or not finished", *told], "")
    stamp: str = host.file(path).content_string.strip()
    if stamp.partition("-")[0] != made_of:
        told.append("its inputs should be others than it was made of")
    return _judged(told, f"made, stamp {stamp}")


def assert_gate(host: Host, resource: Gate) -> str:
    answer = host.run(f"{ENVIRONMENT}sh -eu -c %s", resource.test)
    evidence = _last_line(answer.stdout) or _last_line(answer.stderr)
    told = f"not so: {resource.expect}" + (f" ({evidence})" if evidence else "")
    return _judged([told] if answer.rc != 0 else [], evidence)


def assert_manual(host: Host, resource: Manual) -> str:
    """A person's work is proved like a gate."""
    return assert_gate(
        host,
        Gate(name=resource.name, test=resource.test, expect=resource.title, remedy=resource.instruction),
    )


def assert_repository(host: Host, resource: Repository) -> str:
    """Its files are ours, and apt itself reads them so: every pair of URI and suite is one of its index targets."""
    assert_files(host, resource)
    told = host.run("apt-get indextargets --format %s", "$(URI)").stdout
    wanted = [f"{uri.rstrip('/')}/" for uri in resource.uris]
    return _judged([f"apt knows no index under {uri}" for uri in wanted if uri not in told], ", ".join(wanted))


def assert_symlink(host: Host, resource: Symlink) -> str:
    """By readlink(1): testinfra's `linked_to` follows every link to the end."""
    if not host.file(resource.path).is_symlink:
        return _judged([_not_a(host, resource.path, "symlink")], "")
    target: str = host.check_output("readlink -n %s", resource.path)
    return _judged([] if target == resource.target else [f"{resource.path} leads to {target}"], target)


def assert_alternatives(host: Host, resource: Alternatives) -> str:
    """The common name leads to the chosen program, link by link, and was chosen by hand."""
    chosen = f"/etc/alternatives/{resource.alternative}"
    told = []
    ways = ((resource.link, chosen), (chosen, resource.path))
    for path, target in ways:
        link = host.file(path)
        if not link.is_symlink or host.check_output("readlink -n %s", path) != target:
            told.append(f"{path} does not lead to {target}")
    answer = host.run("update-alternatives --query %s", resource.alternative)
    if "Status: manual" not in answer.stdout.splitlines():
        told.append(f"{resource.alternative} is not chosen by hand")
    return _judged(told, f"{resource.link} leads to {resource.path}")


def assert_fragment(host: Host, resource: Fragment) -> str:
    """Read here, with a parser of the format; the node only hands over the file."""
    file = host.file(resource.path)
    if not file.is_file:
        return _judged([_not_a(host, resource.path, "file")], "")
    match resource.format:
        case "shell":
            found: JsonValue = dict(_assignments(file.content_string))
        case "json":
            found = _json(file.content_string)
        case _:
            assert_never(resource.format)
    told = [
        f"{'.'.join(setting.key)} in {resource.path} is {_at(found, setting.key)!r}"
        for setting in resource.settings
        if not _equal(_at(found, setting.key), setting.value)
    ]
    return _judged(told, ", ".join(".".join(setting.key) for setting in resource.settings))


def assert_kernel_arguments(host: Host, resource: KernelArguments) -> str:
    """Whoever boots this again gets them, and the kernel that runs was given them."""
    assert_files(host, resource)
    words: list[str] = host.file("/proc/cmdline").content_string.split()
    return _judged(lacking(resource, words), " ".join(argument.word for argument in resource.arguments))


def assert_module(host: Host, resource: Module) -> str:
    """By /sys/module; testinfra has no module for modules, and lsmod does not know what is built in."""
    assert_files(host, resource)
    there: bool = host.file(f"/sys/module/{resource.module.replace('-', '_')}").is_directory
    if resource.loaded is None or there == resource.loaded:
        return "loaded" if there else "not loaded"
    return _judged([f"{resource.module} is {'not ' if resource.loaded else ''}loaded"], "")


def assert_sysctl(host: Host, resource: Sysctl) -> str:
    """Not by testinfra's `sysctl`: it wants sysctl(8), which a small node lacks, and reads one word only."""
    assert_files(host, resource)
    told = []
    for setting in resource.settings:
        file = host.file(f"/proc/sys/{setting.key.replace('.', '/')}")
        value = " ".join(file.content_string.split()) if file.exists else "not there"
        if value != setting.value:
            told.append(f"{setting.key} is {value}, not {setting.value}")
    return _judged(told, ", ".join(f"{setting.key} = {setting.value}" for setting in resource.settings))


def assert_group(host: Host, resource: Group) -> str:
    group = host.group(resource.group)
    return _judged([] if group.exists else [f"there is no group {resource.group}"], f"group {resource.group}")


def assert_user(host: Host, resource: User) -> str:
    user = host.user(resource.user)
    if not user.exists:
        return _judged([f"there is no user {resource.user}"], "")
    belongs = user.groups
    told = [f"{resource.user} is not in group {group}" for group in resource.groups if group not in belongs]
    if resource.shell is not None and user.shell != resource.shell:
        told.append(f"{resource.user} has the shell {user.shell}, not {resource.shell}")
    return _judged(told, f"in {', '.join(belongs)}")


def assert_archive(host: Host, resource: Archive) -> str:
    """The folder is there, and what stands in it says from which archive it came."""
    if host.file(resource.to).is_symlink or not host.file(resource.to).is_directory:
        return _judged([_not_a(host, resource.to, "directory")], "")
    assert_files(host, resource)
    return f"{resource.to} came from {resource.sha256[:16]}"


def assert_gpu_setting(host: Host, resource: GpuSetting) -> str:
    """By nvidia-smi's XML, where the probe asks for single values. What is pending is not in force."""
    assert_files(host, resource)
    answer = host.run(f"{ENVIRONMENT}{SEARCHED}; nvidia-smi -q -x")
    if answer.rc != 0:
        return _judged([f"nvidia-smi does not answer: {_last_line(answer.stdout) or _last_line(answer.stderr)}"], "")
    element = GPU_ELEMENTS[resource.setting]
    read = {}
    for gpu in answer.stdout.split('<gpu id="')[1:]:
        value = re.search(f"<{element}>(.*?)</{element}>", gpu)
        read[gpu.partition('"')[0]] = value[1] if value else "not there"
    wrong = {address: value for address, value in read.items() if not _is_set(value, resource.value)}
    told = [f"{resource.setting} of {address} is {value}, not {resource.value}" for address, value in wrong.items()]
    return _judged(told if read else ["there is no GPU"], ", ".join(f"{a} {value}" for a, value in read.items()))


def _is_set(seen: str, wanted: str) -> bool:
    """`Exclusive_Process` is `exclusive-process`, `700.00 W` is `700`."""
    number = re.fullmatch(r"(\d+)\.0+ W", seen.strip())
    return (number[1] if number else seen.strip().lower().replace("_", "-")) == wanted


def assert_files(host: Host, resource: Resource) -> None:
    """What a resource is on disk."""
    for file in files_of(resource):
        assert_file(host, file)


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """As a shell would take them, words apart; a later one of the same name wins."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for word in lexer:
        name, equals, value = word.partition("=")
        if equals and name.isidentifier():
            yield name, value


def _json(text: str) -> JsonValue:
    try:
        found: JsonValue = json.loads(text)
    except ValueError as error:
        raise AssertionError(f"no JSON: {error}") from error
    return found


def _at(found: JsonValue, way: Sequence[str]) -> JsonValue:
    for key in way:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _equal(one: JsonValue, other: JsonValue) -> bool:
    """As texts: Python takes true for 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def lacking(resource: KernelArguments, words: Sequence[str]) -> list[str]:
    """What is wrong with a command line; of words with one name the last one counts."""
    told = [f"{a.word} is not on the kernel's command line" for a in resource.arguments if a.word not in words]
    wanted = {argument.name: argument.word for argument in resource.arguments}
    counts = {word.partition("=")[0]: word for word in words}
    overruled = [word for name, word in wanted.items() if word in words and counts[name] != word]
    return [*told, *(f"{word} is overruled by a later word on the kernel's command line" for word in overruled)]


def _judged(told: Sequence[str], seen: str) -> str:
    if told:
        raise AssertionError("; ".join(told))
    return seen


def _held(host: Host, names: Sequence[str]) -> frozenset[str]:
    answer = host.run("apt-mark showhold " + " ".join(["%s"] * len(names)), *names)
    return frozenset(answer.stdout.split())


def _not_a(host: Host, path: str, kind: str) -> str:
    file = host.file(path)
    if file.is_symlink:
        return f"{path} is a symlink"
    return f"{path} is not a {kind}" if file.exists else f"{path} is missing"


def _ownership(host: Host, path: str, mode: str) -> list[str]:
    file = host.file(path)
    told = []
    if file.mode != int(mode, 8):
        told.append(f"has mode {file.mode:o}, not {mode}")
    if file.user != "root":
        told.append(f"belongs to {file.user}, not root")
    return told


def _menu_default(host: Host) -> MenuEntry:
    listed = host.check_output("grub-editenv list").splitlines()
    environment = dict(line.split("=", 1) for line in listed if "=" in line)
    return default_entry(host.file(GRUB_MENU).content_string, environment)


def _linked_kernel(host: Host) -> str:
    for path in KERNEL_LINKS:
        link = host.file(path)
        if link.is_symlink:
            target: str = link.linked_to
            return target.rpartition("vmlinuz-")[2]
    return ""


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else ""
