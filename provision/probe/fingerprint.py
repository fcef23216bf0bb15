"""The fingerprint of a derived's inputs: one sh pipeline, used when it is made and whenever it is checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from shlex import quote

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
)
from provision.model.places import STATE
from provision.platforms.settings import files_of
from provision.steps import boot_scoped


def fingerprint(plan: Plan, derived: Derived) -> str:
    """A command substitution's inside: prints 16 hexadecimal digits that tell of the inputs as they are.

    It prints the same wherever it stands: an input that is missing does not end it under `set -e`, and the error is
    the program's own, because a shell puts the number of its line into a redirection's.
    """
    return f"{_digest(_parts(plan, derived))} | cut -c1-16"


def fingerprints(plan: Plan) -> list[str]:
    """The probe's lines that `print` every derived's fingerprint.

    Packages that several derive from are looked up once, because dpkg reads its whole database each time.
    """
    derived = [entry.resource for entry in plan.entries if isinstance(entry.resource, Derived)]
    parts = {one.name: _parts(plan, one) for one in derived}
    often = Counter(part for some in parts.values() for part in some if part.startswith(QUERY))
    known = {part: f"known_{number}" for number, part in enumerate(p for p, count in often.items() if count > 1)}
    return [
        # The dot keeps the end of the text as it is.
        *(f"{name}=$({{ {part}; }} 2>&1; echo .)" for part, name in known.items()),
        *(
            f'print {quote(name)} "$({_digest([_shown(known[p]) if p in known else p for p in some])})"'
            for name, some in parts.items()
        ),
    ]


def _digest(parts: Sequence[str]) -> str:
    return "{ set +e; " + "; ".join([*parts, ":"]) + "; } 2>&1 | sha256sum"


def _shown(variable: str) -> str:
    return f'printf %s "${{{variable}%.}}"'


def _parts(plan: Plan, derived: Derived) -> list[str]:
    # Who may read a file is a daemon's business; an initrd, which takes a reboot, is made from what is in it.
    shown = "%F" if boot_scoped(plan, derived.name) else "%F %a"
    return [part for name in sorted(derived.inputs) if (part := _input(plan, name, shown))]


QUERY = "dpkg-query -W -f='${Package} ${Version} ${db:Status-Status}\\n' "


def _input(plan: Plan, name: str, shown: str) -> str:
    if name.startswith("/"):
        return _path(name, shown)
    resource = plan.by_name[name].resource
    match resource:
        case Directory(path=path) | Fragment(path=path):
            return _path(path, shown)
        case File() | Repository() | KernelArguments() | Module() | Sysctl() | Archive() | GpuSetting():
            return "; ".join(_path(file.path, shown) for file in files_of(resource))
        case Symlink(path=path):
            return f"readlink {quote(path)}"
        case Alternatives(alternative=alternative):
            return f"readlink {quote(f'/etc/alternatives/{alternative}')}"
        case Group(group=group):
            return f"getent group {quote(group)}"
        case User(user=user):
            return f"id {quote(user)}"
        case Packages(packages=packages):
            return QUERY + " ".join(quote(package.name) for package in packages)
        case Derived():
            return f"cat {STATE}/derived/{quote(resource.name)}"
        case Unit() | BootEntry() | Gate() | Manual():
            return ""


def _path(path: str, shown: str) -> str:
    return f"stat -c '{shown}' {quote(path)}; sha256sum {quote(path)}"
