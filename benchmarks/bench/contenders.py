"""Who is measured, and how each is called: the same resources, the same nodes, user and key, root through sudo."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from shlex import quote

from pydantic import Field

from bench import equivalent
from bench.route import Route
from bench.table import OURS
from provision.ledger import STATE_VARIABLE
from provision.model import Frozen, NodeSpec, Resource, Snapshot

FORKS = "50"
FLOOR_PYINFRA = "floor-pyinfra"
NAMES = (
    *(OURS, "pyinfra", "pyinfra+nodelay", "ansible", "ansible+mitogen"),
    *(FLOOR_PYINFRA, "floor-probe", "floor-ssh"),
)


class Contender(Frozen):
    name: str
    argv: tuple[str, ...]
    folder: Path
    environment: dict[str, str] = Field(default_factory=dict)
    hang_up: tuple[tuple[str, ...], ...] = ()
    """Run afterwards, unmeasured: ends what the tool left open, so that the next run pays for its own connection."""


class Subject(Frozen):
    """What everybody has to bring about; `state` is our memory of it, as a controller keeps it between runs."""

    spec: NodeSpec
    state: Path
    resources: tuple[Resource, ...]
    seen: Snapshot
    probe: str
    """The program that ours asks a converged node with."""


def declared(spec: NodeSpec) -> str:
    """A specification as the keys of `fleet(...)`."""
    keys = spec.model_dump(mode="json", exclude_defaults=True)
    variables = keys.pop("variables", {})
    keys |= {f"{role}_{name}": value for role, values in variables.items() for name, value in values.items()}
    return ", ".join(f"{key}={value!r}" for key, value in keys.items())


def ours(route: Route, spec: NodeSpec, state: Path, folder: Path) -> Contender:
    """`pyinfra inventory.py deploy.py -y`, as a project of ours is run."""
    folder.mkdir(parents=True, exist_ok=True)
    told = declared(spec)
    (folder / "inventory.py").write_text(
        "from provision import fleet\n\n"
        f"nodes = fleet({list(route.names)!r}, {told}, ssh_config_file={str(route.ssh_config)!r}, sudo=True)\n",
        encoding="utf-8",
    )
    (folder / "deploy.py").write_text("from provision.pyinfra import converge\n\nconverge()\n", encoding="utf-8")
    (folder / "config.py").write_text(
        "from provision.engines.pyinfra.connection import without_delay\n\nwithout_delay()\n", encoding="utf-8"
    )
    return Contender(name=OURS, argv=PYINFRA, folder=folder, environment=QUIET | {STATE_VARIABLE: str(state)})


def stock_pyinfra(route: Route, subject: Subject, folder: Path) -> Contender:
    _pyinfra_project(route, folder)
    equivalent.pyinfra_deploy(subject.resources, subject.seen, folder)
    return Contender(name="pyinfra", argv=PYINFRA, folder=folder, environment=QUIET)


def pyinfra_nodelay(route: Route, subject: Subject, folder: Path) -> Contender:
    """Stock pyinfra with TCP_NODELAY, which it does not set: tells how much of its time is Nagle's algorithm."""
    made = stock_pyinfra(route, subject, folder)
    (folder / "config.py").write_text(
        "from provision.engines.pyinfra.connection import without_delay\n\nwithout_delay()\n", encoding="utf-8"
    )
    return made.model_copy(update={"name": "pyinfra+nodelay"})


def floor_pyinfra(route: Route, folder: Path) -> Contender:
    """pyinfra with nothing but one command: what a tool on pyinfra cannot get below."""
    _pyinfra_project(route, folder)
    (folder / "deploy.py").write_text(
        "from pyinfra import host\nfrom pyinfra.facts.server import Command\n\nhost.get_fact(Command, 'true')\n",
        encoding="utf-8",
    )
    (folder / "config.py").write_text(
        "from provision.engines.pyinfra.connection import without_delay\n\nwithout_delay()\n", encoding="utf-8"
    )
    return Contender(name=FLOOR_PYINFRA, argv=PYINFRA, folder=folder, environment=QUIET)


def floor_ssh(route: Route, folder: Path) -> Contender:
    """OpenSSH's client with one command on each node, as many at a time as Ansible has forks."""
    folder.mkdir(parents=True, exist_ok=True)
    return Contender(name="floor-ssh", argv=_each_by_ssh(route, "sudo -n true </dev/null"), folder=folder)


def floor_probe(route: Route, subject: Subject, folder: Path) -> Contender:
    """The same with our probe: what is left is the controller's own work."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "probe.sh").write_text(subject.probe, encoding="utf-8")
    argv = _each_by_ssh(route, "sudo -n sh -s <probe.sh >/dev/null")
    return Contender(name="floor-probe", argv=argv, folder=folder)


def _each_by_ssh(route: Route, command: str) -> tuple[str, ...]:
    asked = f'ssh -F {quote(str(route.ssh_config))} "$1" {command}'
    return ("sh", "-c", f'printf "%s\\n" "$@" | xargs -P {FORKS} -I @ sh -c {quote(asked)} sh @', "sh", *route.names)


def ansible(route: Route, subject: Subject, folder: Path, venv: Path, strategy: str = "") -> Contender:
    """ansible-playbook with pipelining and 50 forks; `strategy` is mitogen's."""
    folder.mkdir(parents=True, exist_ok=True)
    equivalent.ansible_playbook(subject.resources, subject.seen, folder)
    hosts = "\n".join(f"{name} ansible_python_interpreter=/usr/bin/python3" for name in route.names)
    (folder / "hosts.ini").write_text(f"{hosts}\n", encoding="utf-8")
    sockets = Path("/run/provision-bench") / f"{os.getpid()}-{route.rtt_ms}-{folder.parent.name}"
    sockets.mkdir(parents=True, exist_ok=True)
    settings = ["[defaults]", f"forks={FORKS}", f"home={folder}/home", "retry_files_enabled=False", "[ssh_connection]"]
    settings += ["pipelining=True", f"ssh_args=-F {route.ssh_config} -o ControlMaster=auto -o ControlPersist=60s"]
    settings += [f"control_path={sockets}/%%n"]
    if strategy:
        settings[1:1] = [f"strategy={strategy}", f"strategy_plugins={_mitogen(venv)}/plugins/strategy"]
    (folder / "ansible.cfg").write_text("\n".join(settings) + "\n", encoding="utf-8")
    ends = ("ssh", "-F", str(route.ssh_config), "-o")
    return Contender(
        name="ansible+mitogen" if strategy else "ansible",
        argv=(str(venv / "bin/ansible-playbook"), "-i", "hosts.ini", "site.json"),
        folder=folder,
        environment={"ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "ANSIBLE_DEPRECATION_WARNINGS": "False"},
        hang_up=tuple((*ends, f"ControlPath={sockets}/{name}", "-O", "exit", name) for name in route.names),
    )


def ansible_venv(folder: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Makes the virtual environment once; returns the versions of what is in it."""
    python = folder / "bin/python"
    if not (folder / "bin/ansible-playbook").exists():
        say(f"installing ansible-core and mitogen into {folder}")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "-q", "install", "ansible-core", "mitogen"], check=True)
    asked = "from importlib.metadata import version as v; print(v('ansible-core'), v('mitogen'))"
    core, mitogen = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.split()
    return {"ansible-core": core, "mitogen": mitogen}


def own_versions() -> dict[str, str]:
    return {name: version(name) for name in ("provision", "pyinfra", "paramiko", "pydantic")}


PYINFRA = (sys.executable, "-P", "-m", "pyinfra", "inventory.py", "deploy.py", "-y")
QUIET = {"PYINFRA_PROGRESS": "off"}


def _pyinfra_project(route: Route, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = {"ssh_config_file": str(route.ssh_config), "ssh_known_hosts_file": str(route.folder / "known_hosts")}
    (folder / "inventory.py").write_text(
        f"nodes = ({list(route.names)!r}, {data | {'_sudo': True}!r})\n", encoding="utf-8"
    )


def _mitogen(venv: Path) -> Path:
    (found,) = venv.glob("lib/python*/site-packages/ansible_mitogen")
    return found


def every(
    route: Route, subject: Subject, folder: Path, venv: Path, wanted: Sequence[str] = NAMES
) -> Sequence[Contender]:
    """All of them, ours first, or those that are wanted."""
    found = (
        ours(route, subject.spec, subject.state, folder / "provision"),
        stock_pyinfra(route, subject, folder / "pyinfra"),
        pyinfra_nodelay(route, subject, folder / "pyinfra-nodelay"),
        ansible(route, subject, folder / "ansible", venv),
        ansible(route, subject, folder / "mitogen", venv, strategy="mitogen_linear"),
        floor_pyinfra(route, folder / "floor-pyinfra"),
        floor_probe(route, subject, folder / "floor-probe"),
        floor_ssh(route, folder / "floor-ssh"),
    )
    return [one for one in found if one.name in wanted]
