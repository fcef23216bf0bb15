"""What testinfra asserts about each kind of resource: through its own modules and plain commands, never our probe.

Every `assert_KIND(host, resource)` raises AssertionError with all that differs, or returns what was seen, on one line.
Asserted by raising, not by `assert`, so that `python -O` does not make them pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from testinfra.host import Host

from provision.model import BootEntry, Derived, Directory, File, Gate, Packages, Plan, Resource, Unit
from provision.model.places import STATE
from provision.steps import desired
from provision.verify.grub import default_release

STAMPS = f"{STATE}/derived"
GRUB_MENU = "/boot/grub/grub.cfg"
KERNEL_LINKS = ("/vmlinuz", "/boot/vmlinuz")

ENVIRONMENT = "export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; "
"""Gates are written for this; a plain ssh command has a user's PATH."""

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
    return _judged(told, ", ".join(seen))


def assert_file(host: Host, resource: File) -> str:
    file = host.file(resource.path)
    if file.is_symlink or not file.is_file:
        return _judged([_not_a(host, resource.path, "file")], "")
    told = _ownership(host, resource.path, resource.mode)
    if file.content != resource.content.encode():
        told.append("has another content")
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
    return _judged(told, f"{enabled}, {active}")


def assert_boot_entry(host: Host, resource: BootEntry) -> str:
    """GRUB's menu and environment are read as GRUB reads them; where there is no menu, the /vmlinuz link tells."""
    told = []
    release = _menu_default(host) if host.file(GRUB_MENU).exists else _linked_kernel(host)
    if release != resource.release:
        told.append(f"the default boot entry is {release or 'unknown'}, not {resource.release}")
    if not host.file(f"/boot/vmlinuz-{resource.release}").is_file:
        told.append(f"there is no /boot/vmlinuz-{resource.release}")
    return _judged(told, f"{release} boots by default")


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


def _menu_default(host: Host) -> str:
    listed = host.check_output("grub-editenv list").splitlines()
    environment = dict(line.split("=", 1) for line in listed if "=" in line)
    return default_release(host.file(GRUB_MENU).content_string, environment)


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
