"""The fingerprint of a derived's inputs: one sh pipeline, used when it is made and whenever it is checked."""

from __future__ import annotations

from shlex import quote

from provision.model import BootEntry, Derived, Directory, File, Gate, Packages, Plan, Unit
from provision.model.places import STATE


def fingerprint(plan: Plan, derived: Derived) -> str:
    """A command substitution's inside: prints 16 hexadecimal digits that tell of the inputs as they are.

    It prints the same wherever it stands: an input that is missing does not end it under `set -e`, and the error is
    the program's own, because a shell puts the number of its line into a redirection's.
    """
    parts = [part for name in sorted(derived.inputs) if (part := _input(plan, name))]
    return "{ set +e; " + "; ".join([*parts, ":"]) + "; } 2>&1 | sha256sum | cut -c1-16"


def _input(plan: Plan, name: str) -> str:
    if name.startswith("/"):
        return _path(name)
    resource = plan.by_name[name].resource
    match resource:
        case File(path=path) | Directory(path=path):
            return _path(path)
        case Packages(packages=packages):
            names = " ".join(quote(package.name) for package in packages)
            return f"dpkg-query -W -f='${{Package}} ${{Version}} ${{db:Status-Status}}\\n' {names}"
        case Derived():
            return f"cat {STATE}/derived/{quote(resource.name)}"
        case Unit() | BootEntry() | Gate():
            return ""


def _path(path: str) -> str:
    return f"stat -c '%F %a' {quote(path)}; sha256sum {quote(path)}"
