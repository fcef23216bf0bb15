"""The same resources for other tools: through their own operations, and with every doubt decided in their favour.

Left out for them: the outputs of a derived resource (its stamp alone is looked at), sha256 of its inputs, snapshot,
ledger and evidence. Versions are exact, so that no pattern has to be resolved on the node. What ours leaves out on
this node is left out here, too: what the node cannot hold, and gates that are asked only before a change.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provision.model import BootEntry, Derived, Directory, File, Gate, Packages, Plan, Resource, Snapshot, Unit
from provision.model.places import STATE
from provision.steps import limit_of

Task = dict[str, Any]


def resources(plan: Plan, seen: Snapshot) -> tuple[Resource, ...]:
    """What a converged node like this is asked about."""
    return tuple(
        entry.resource
        for entry in plan.entries
        if limit_of(entry.resource, seen) is None
        and not (isinstance(entry.resource, Gate) and entry.resource.precondition)
    )


def pyinfra_deploy(wanted: Sequence[Resource], seen: Snapshot, folder: Path) -> None:
    """Writes deploy.py for pyinfra as it comes, and the files that it puts."""
    lines = [
        "from pyinfra import host",
        "from pyinfra.facts.files import File",
        "from pyinfra.facts.server import Command",
        "from pyinfra.operations import apt, files, server, systemd",
    ]
    for resource in wanted:
        lines += _operation(resource, seen, folder)
    (folder / "deploy.py").write_text("\n".join(lines) + "\n", encoding="utf-8")


def ansible_playbook(wanted: Sequence[Resource], seen: Snapshot, folder: Path) -> None:
    """Writes site.json (JSON is YAML), and the files that it copies. No facts are gathered."""
    tasks = [task for resource in wanted for task in _tasks(resource, seen, folder)]
    play = [{"hosts": "all", "gather_facts": False, "become": True, "tasks": tasks}]
    (folder / "site.json").write_text(json.dumps(play, indent=1), encoding="utf-8")


def _operation(resource: Resource, seen: Snapshot, folder: Path) -> list[str]:
    name = f"name={resource.name!r}"
    match resource:
        case Packages(hold=hold):
            held = [package.name for package in resource.packages]
            lines = [f"apt.packages({name}, packages={_exact(resource, seen, '=')!r}, no_recommends=True)"]
            if hold:
                lines += [
                    f"missing = {set(held)!r} - set((host.get_fact(Command, 'apt-mark showhold') or '').split())",
                    f"if missing:\n    server.shell({name}, commands=['apt-mark hold ' + ' '.join(sorted(missing))])",
                ]
            return lines
        case File(path=path, mode=mode):
            source = str(_content(resource, folder))
            return [f"files.put({name}, src={source!r}, dest={path!r}, user='root', group='root', mode={mode!r})"]
        case Directory(path=path, mode=mode):
            return [f"files.directory({name}, path={path!r}, user='root', group='root', mode={mode!r})"]
        case Unit(unit=unit, running=running, enabled=enabled):
            return [f"systemd.service({name}, service={unit!r}, running={running}, enabled={enabled})"]
        case Derived(command=command):
            return [
                f"if not host.get_fact(File, path={_stamp(resource)!r}):",
                f"    server.shell({name}, commands=[{command!r}])",
            ]
        case Gate(test=test):
            return [f"server.shell({name}, commands=[{'set -eu; ' + test!r}])"]
        case BootEntry():
            raise NotImplementedError(f"{resource.name}: no lab node holds a boot entry, so no equivalent was made")


def _tasks(resource: Resource, seen: Snapshot, folder: Path) -> list[Task]:
    def task(module: str, **arguments: Any) -> Task:
        return {"name": resource.name, f"ansible.builtin.{module}": arguments}

    match resource:
        case Packages(hold=hold):
            held = [package.name for package in resource.packages]
            tasks = [task("apt", name=_exact(resource, seen, "="), state="present", install_recommends=False)]
            if hold:
                asked = task("command", argv=["apt-mark", "showhold"]) | {"register": "held", "changed_when": False}
                mark = task("command", argv=["apt-mark", "hold", *held])
                tasks += [asked, mark | {"when": f"{json.dumps(held)} | difference(held.stdout_lines) | length > 0"}]
            return tasks
        case File(path=path, mode=mode):
            source = str(_content(resource, folder))
            return [task("copy", src=source, dest=path, owner="root", group="root", mode=mode.zfill(4))]
        case Directory(path=path, mode=mode):
            return [task("file", path=path, state="directory", owner="root", group="root", mode=mode.zfill(4))]
        case Unit(unit=unit, running=running, enabled=enabled):
            return [task("systemd_service", name=unit, state="started" if running else "stopped", enabled=enabled)]
        case Derived(command=command):
            return [task("shell", cmd=_raw(command), creates=_stamp(resource))]
        case Gate(test=test):
            return [task("shell", cmd=_raw(f"set -eu; {test}")) | {"changed_when": False}]
        case BootEntry():
            raise NotImplementedError(f"{resource.name}: no lab node holds a boot entry, so no equivalent was made")


def _exact(resource: Packages, seen: Snapshot, between: str) -> list[str]:
    return [
        package.name if package.version == "*" else f"{package.name}{between}{seen.packages[package.name].version}"
        for package in resource.packages
    ]


def _content(file: File, folder: Path) -> Path:
    path = folder / f"{file.name}.content"
    path.write_text(file.content, encoding="utf-8")
    return path


def _stamp(resource: Derived) -> str:
    return f"{STATE}/derived/{resource.name}"


def _raw(command: str) -> str:
    """Not for Jinja: `${#words}` would begin a comment."""
    return "{% raw %}" + command + "{% endraw %}"
