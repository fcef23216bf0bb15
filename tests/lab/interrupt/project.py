"""A user's project in a folder of its own, and an engine run in it as users do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from playbook import SITE, settings

from provision.lab import Node
from provision.model import Frozen

HERE = Path(__file__).parent
DEPLOY = "from provision.pyinfra import converge\n\nconverge()\n"

Engine = Literal["pyinfra", "ansible"]


def command(engine: Engine, more: Sequence[str] = ()) -> list[str]:
    """What a user types, with a hook that tells of every remote command; `more`: arguments of the engine."""
    match engine:
        case "pyinfra":
            hook = ("-m", "pyinfra", "--config", str(HERE / "hook.py"), "-y")
            return [sys.executable, "-P", *hook, *more, "inventory.py", "deploy.py"]
        case "ansible":
            return [sys.executable, "-P", str(HERE / "ansible_hook.py"), *more, "-i", "inventory.py", "site.yml"]


class Kill(Frozen):
    """Die at a remote command, by number or by what it is about: `delay` seconds after it was sent, or, without, right
    after it returned."""

    at: int | str
    delay: float | None = None


class Run(Frozen):
    """One run of an engine that has ended."""

    code: int
    output: str
    titles: tuple[str, ...]
    """Of each remote command in order: a resource's name, `probe`, `reboot`, `boot-id`."""
    seconds: tuple[float, ...]
    """How long each took; -1 for one that the run did not see the end of."""
    connections: int
    """That pyinfra made; Ansible's stay behind it for a while, and are not counted."""
    operations: tuple[str, ...]
    """Resources that were carried out."""
    asked: tuple[str, ...]
    """Resources that had their turn in a run with `--full`."""

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Project:
    """An inventory and an engine's entry in `folder`; `state` is the controller's own memory, one per controller."""

    def __init__(
        self, folder: Path, nodes: Sequence[Node], *, state: str = "state", engine: Engine = "pyinfra", **keys: Any
    ) -> None:
        self.folder, self.engine = folder, engine
        self.state = folder / state
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "deploy.py").write_text(DEPLOY)
        (folder / "site.yml").write_text(SITE)
        self.declare(nodes, **keys)

    def declare(self, nodes: Sequence[Node], more: str = "", **keys: Any) -> None:
        """Writes the inventory: these nodes, these keys; `more` is Python that follows."""
        given = {"gpu": "H100", "hardware": "absent", "sudo": True, **keys}
        given |= {"os": "debian13", "arch": os.uname().machine, "ssh_config_file": str(nodes[0].ssh_config)}
        told = ", ".join(f"{key}={value!r}" for key, value in given.items())
        names = [node.name for node in nodes]
        (self.folder / "inventory.py").write_text(
            f"from provision import fleet\n\nlab = fleet({names}, {told})\n{more}"
        )

    def run(self, kill: Kill | None = None, seconds: float = 300, more: Sequence[str] = ()) -> Run:
        """`more`: arguments of the engine."""
        with self.started(kill, more) as process:
            return process.wait(seconds)

    def started(self, kill: Kill | None = None, more: Sequence[str] = ()) -> Started:
        """A run in the background; ended when the block is left."""
        return Started(self, kill, more)

    @property
    def environment(self) -> dict[str, str]:
        ours = ("PROVISION_", "INTERRUPT_", "ANSIBLE_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **kept,
            **settings(self.folder),
            "PROVISION_STATE": str(self.state),
            "PROVISION_ROLES": str(HERE / "roles"),
            "PYTHONPATH": os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYINFRA_PROGRESS": "off",
        }


class Started:
    """An engine's process, and where it tells of its commands."""

    def __init__(self, project: Project, kill: Kill | None, more: Sequence[str]) -> None:
        self._more = more
        number = sum(1 for _ in project.folder.glob("commands-*"))
        self._log = project.folder / f"commands-{number}.jsonl"
        self._log.touch()
        self._output = project.folder / f"output-{number}.txt"
        self._events = project.folder / f"run-{number}"
        self._events.mkdir()
        environment = project.environment | {"INTERRUPT_LOG": str(self._log), "PROVISION_RUN": str(self._events)}
        if kill is not None:
            environment["INTERRUPT_AT"] = str(kill.at)
            environment |= {} if kill.delay is None else {"INTERRUPT_DELAY": str(kill.delay)}
        self._project, self._environment = project, environment

    def __enter__(self) -> Started:
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                command(self._project.engine, self._more),
                cwd=self._project.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def until(self, title: str, seconds: float = 120) -> None:
        """Returns when a command of this title was sent."""
        deadline = time.monotonic() + seconds
        while not any(fact.get("what") == title for fact in self._facts()):
            assert self.process.poll() is None, self._output.read_text()
            assert time.monotonic() < deadline, f"{title} was never sent: {self._output.read_text()}"
            time.sleep(0.02)

    def wait(self, seconds: float = 300) -> Run:
        code = self.process.wait(timeout=seconds)
        facts = self._facts()
        sent = [fact for fact in facts if "sent" in fact]
        returned = {fact["returned"]: fact["at"] for fact in facts if "returned" in fact}
        events = _lines(self._events / "events.jsonl")
        return Run(
            code=code,
            output=self._output.read_text(),
            titles=tuple(fact["what"] for fact in sent),
            seconds=tuple(returned.get(fact["sent"], fact["at"] - 1) - fact["at"] for fact in sent),
            connections=sum("connected" in fact for fact in facts),
            operations=tuple(event["resource"] for event in events if event["event"] == "begin"),
            asked=tuple(event["resource"] for event in events if event["event"] == "asked"),
        )

    def _facts(self) -> list[dict[str, Any]]:
        return _lines(self._log)


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; a killed run may leave half of one."""
    whole, _, _ = path.read_text().rpartition("\n") if path.exists() else ("", "", "")
    return [json.loads(line) for line in whole.splitlines()]
