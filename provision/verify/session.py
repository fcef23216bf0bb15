"""One verification inside pytest: which tests run for which node, and what came of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from provision.inventory import WrongInventory
from provision.ledger import state
from provision.model import Entry, Gate, Limit, Resource, StandIns
from provision.planning import BrokenRole, Planned, Plans, Room, WrongVariables, rooms
from provision.stack import NoFit
from provision.verify.limits import limits_of
from provision.verify.nodes import Target, planned, resources, targets
from provision.verify.ssh import disconnect, host_spec, ssh_config
from provision.verify.standins import standins_of
from provision.verify.summary import Check, Outcome, Summary

REACHED = "reached"
"""The check that every node has: it answers, with the privileges that the inventory declares."""

CHECKS = "verify.py"
"""File of a role's room with its own tests."""

NOT_APPLICABLE = "not applicable: "
UNREACHED = "the node was not reached"
PRECONDITION = "asked only before a change"
EVIDENCE_LENGTH = 600


class VerifySession:
    """pytest hooks and fixtures of one verification."""

    def __init__(self, targets: Mapping[str, Target], plans: Mapping[str, Planned], rooms: Mapping[str, Room]) -> None:
        self._targets = targets
        self._plans = plans
        self._rooms = rooms
        self._unreached: dict[str, str] = {}
        self._limits: dict[str, frozenset[Limit]] = {}
        self._standins: dict[str, StandIns | None] = {}
        self._checks: list[Check] = []
        self._ssh_config: Path | None = None

    @classmethod
    def of(cls, config: pytest.Config) -> VerifySession:
        """The session that the command line asks for; testinfra is told its hosts. Raises: pytest.UsageError."""
        wanted = [name for name in config.getoption("--provision-nodes").split(",") if name]
        folder = Path(config.getoption("--provision-readings") or state())
        try:
            found = rooms()
            shared = Plans(found)
            chosen = targets(Path(config.getoption("--provision-inventory")), wanted)
            plans = {name: planned(target, shared, folder) for name, target in chosen.items()}
        except (WrongInventory, BrokenRole, NoFit, WrongVariables, LookupError) as error:
            raise pytest.UsageError(str(error)) from error
        session = cls(chosen, plans, found)
        session._prepare(config)
        return session

    def _prepare(self, config: pytest.Config) -> None:
        # Only this mode tells rooms' files apart, which all have one name.
        config.option.importmode = "importlib"
        # pytest's plain-assert messages are for files that match this.
        config.addinivalue_line("python_files", CHECKS)
        config.args += [path for path in self._role_files() if path not in config.args]
        if config.option.hosts is None:
            file = self._connect()
            config.option.hosts = ",".join(host_spec(target, file) for target in self._targets.values())

    def _role_files(self) -> list[str]:
        """The verify.py of every role in a plan."""
        roles = dict.fromkeys(entry.role for entry in resources(list(self._plans.values())))
        files = [self._rooms[role].path / CHECKS for role in roles]
        return [str(file) for file in files if file.exists()]

    def _connect(self) -> Path:
        """The ssh_config of this run."""
        folder = Path(tempfile.mkdtemp(prefix="pv-"))
        self._ssh_config = folder / "ssh_config"
        self._ssh_config.write_text(ssh_config(self._targets.values(), folder))
        return self._ssh_config

    @pytest.fixture
    def planned(self, host: Host) -> Planned:
        """Declaration, versions and plan of the node that this test asks."""
        return self._plans[self._node(host)]

    @pytest.fixture
    def limits(self, host: Host) -> frozenset[Limit]:
        """What the node that this test asks cannot hold."""
        return self._limits_of(host)

    @pytest.fixture
    def entry(self, planned: Planned, resource_name: str) -> Entry:
        return planned.plan.by_name[resource_name]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "resource_name" in metafunc.fixturenames:
            entries = resources(list(self._plans.values()))
            metafunc.parametrize(
                "resource_name", [e.name for e in entries], ids=[f"{e.role}-{e.name}" for e in entries]
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """testinfra asks every host everything: what is not in a node's plan is taken out again."""
        kept = [item for item in items if self._concerns(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    def _concerns(self, item: pytest.Item) -> bool:
        host = _host(item)
        if host is None:
            return True
        node = self._node(host)
        role, name = self._asked(item, node)
        item.user_properties += [("node", node), ("role", role), ("resource", name)]
        plan = self._plans[node].plan
        if "resource_name" in _params(item):
            return name in plan.by_name
        return not role or role in {entry.role for entry in plan.entries}

    def _asked(self, item: pytest.Item, node: str) -> tuple[str, str]:
        """Role and resource, or test function, that an item is about."""
        name = _params(item).get("resource_name")
        if name is not None:
            entry = self._plans[node].plan.by_name.get(name)
            return (entry.role if entry else "", name)
        function = getattr(item, "originalname", item.name).removeprefix("test_")
        role = next((room.name for room in self._rooms.values() if room.path == item.path.parent), "")
        return role, function

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        host = _host(item)
        if host is None:
            return
        node = self._node(host)
        if node not in self._unreached:
            self._unreached[node] = _silence(host)
        if self._unreached[node]:
            item.user_properties.append(("unknown", node))
            if dict(item.user_properties)["resource"] == REACHED:
                pytest.fail(self._unreached[node], pytrace=False)
            pytest.skip(UNREACHED)
        item.user_properties += self._marks(host, node)
        resource = self._resource(item, node)
        found = self._limits_of(host)
        limit = next((need for need in _needs(item, resource) if need in found), None)
        if limit is not None:
            pytest.skip(f"{NOT_APPLICABLE}{limit}")
        if isinstance(resource, Gate) and resource.precondition:
            pytest.skip(PRECONDITION)

    def _marks(self, host: Host, node: str) -> list[tuple[str, str]]:
        """What every check of a node with stand-ins says in the JUnit file, which knows of checks only."""
        if node not in self._standins:
            self._standins[node] = standins_of(host)
        found = self._standins[node]
        return [("stand-ins", found.told)] if found else []

    def _resource(self, item: pytest.Item, node: str) -> Resource | None:
        name = _params(item).get("resource_name")
        return None if name is None else self._plans[node].plan.by_name[name].resource

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """A node that went away while it was asked is not a node that differs."""
        host, error = _host(item), call.excinfo.value if call.excinfo is not None else None
        lost = error is not None and _is_lost(error)
        why = _silence(host) if host is not None and lost else ""
        if host is not None and why:
            self._unreached[self._node(host)] = why
            item.user_properties.append(("unknown", why))
        report = yield
        if error is not None and lost:
            # In words: of itself, pytest shows testinfra's object and its own way through the check.
            report.longrepr = why or f"a command of this check ended with exit code 255: {_said(error)}"
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self._checks.append(_check(report))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        file = session.config.getoption("--provision-summary")
        # A worker of pytest-xdist knows its own part only.
        if file is not None and not hasattr(session.config, "workerinput"):
            digests = {name: one.plan.digest for name, one in self._plans.items()}
            standins = {name: found for name, found in self._standins.items() if found}
            summary = Summary(plans=digests, checks=tuple(self._checks), standins=standins)
            Path(file).write_text(summary.model_dump_json(indent=1) + "\n")

    def pytest_unconfigure(self) -> None:
        if self._ssh_config is not None:
            disconnect(self._targets.values(), self._ssh_config)
            shutil.rmtree(self._ssh_config.parent)

    def _limits_of(self, host: Host) -> frozenset[Limit]:
        node = self._node(host)
        if node not in self._limits:
            self._limits[node] = limits_of(host, self._targets[node].spec)
        return self._limits[node]

    def _node(self, host: Host) -> str:
        """Who names testinfra's hosts himself names them as the inventory does, or has only one node."""
        name: str = host.backend.get_hostname()
        return name if name in self._targets or len(self._targets) != 1 else next(iter(self._targets))


def _silence(host: Host) -> str:
    """Why the node cannot be asked anything; empty when it answers."""
    try:
        answer = host.run("true")
    except RuntimeError as error:
        return f"the node does not answer: {_said(error)}"
    return f"the node refuses: {answer.stderr.strip()}" if answer.rc != 0 else ""


def _is_lost(error: BaseException) -> bool:
    """testinfra's ssh backend raises RuntimeError(CommandResult) when ssh ends with 255; so may a command of ours."""
    return isinstance(error, RuntimeError) and bool(error.args) and isinstance(error.args[0], CommandResult)


def _said(error: BaseException) -> str:
    if not _is_lost(error):
        return str(error)
    result: CommandResult = error.args[0]
    return (result.stderr.strip() or result.stdout.strip())[-300:] or "without a word"


def _params(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec is not None else {}


def _needs(item: pytest.Item, resource: Resource | None) -> Iterable[str]:
    yield from resource.needs if resource is not None else ()
    for mark in item.iter_markers("needs"):
        yield from mark.args


def _host(item: pytest.Item) -> Host | None:
    return _params(item).get("_testinfra_host")


def _check(report: pytest.TestReport) -> Check:
    told: dict[str, Any] = dict(report.user_properties)
    return Check(
        node=told.get("node", ""),
        role=told.get("role", ""),
        resource=told.get("resource", report.nodeid),
        outcome=_outcome(report, told),
        seconds=round(report.duration, 3),
        evidence=str(told.get("evidence", "")) if report.passed else _reason(report),
    )


def _outcome(report: pytest.TestReport, told: Mapping[str, Any]) -> Outcome:
    if "unknown" in told:
        return "unknown"
    if report.failed:
        return "fails"
    if report.skipped:
        return "not applicable" if _reason(report).startswith(NOT_APPLICABLE) else "skipped"
    return "holds"


def _reason(report: pytest.TestReport) -> str:
    told = report.longrepr
    if isinstance(told, tuple):
        return str(told[2]).removeprefix("Skipped: ")
    crash = getattr(told, "reprcrash", None)
    text = crash.message if crash is not None else str(told)
    return text.removeprefix("AssertionError: ").removeprefix("Failed: ")[:EVIDENCE_LENGTH]
