"""The suite against this machine: what holds passes, a wrong node fails, and nobody knows more than was asked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from provision.inventory import WrongInventory
from provision.planning import rooms
from provision.verify.nodes import Target, targets
from provision.verify.run import verify
from provision.verify.ssh import host_spec, ssh_config
from provision.verify.summary import Check, Outcome, Summary

PYTEST = [
    *(sys.executable, "-m", "pytest", "-p", "provision.verify.plugin", "-p", "no:cacheprovider"),
    *("--pyargs", "provision.verify.suite"),
]

INVENTORY = """\
from provision import fleet

lab = fleet({hosts}, os="debian13", arch="x86_64", {keys})
"""

ROLE = """\
from collections.abc import Iterator
from typing import ClassVar

from provision.model import Directory, Gate, NodeSpec, Resource
from provision.planning import Context, Role


class Sample(Role):
    component: ClassVar[str] = "sample"
    mode: str = "755"
    answer: str = "yes"

    @classmethod
    def wanted(cls, spec: NodeSpec) -> bool:
        return {wanted}

    def resources(self, ctx: Context) -> Iterator[Resource]:
        yield Directory(name="etc", path="/etc", mode=self.mode)
        yield Gate(name="answer", test=f"echo {{self.answer}}; [ {{self.answer}} = yes ]", expect="yes", remedy="none")
        yield Gate(name="gpu", test="false", expect="a GPU", remedy="none", needs=("hardware",))
        yield Gate(name="room", test="false", expect="room", remedy="none", precondition=True)
"""

CHECKS = """\
import pytest


def test_the_plan_is_that_of_the_node(host, planned):
    assert planned.spec.os == "debian13"
    assert host.run("true").rc == 0


def test_a_user_is_there(host):
    users = host.check_output("cut -d: -f1 /etc/passwd").split()
    assert {user} in users


@pytest.mark.needs("hardware")
def test_a_gpu_is_there(host):
    raise AssertionError("must not be asked")
"""

Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of one role of its own: it shadows the installed ones with roles that no node wants."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROVISION_ROLES", raising=False)
    for name in rooms():
        write(tmp_path / "roles" / name / "spec.py", ROLE.format(wanted="False"))

    def made(hosts: object = ("here",), user: str = "'root'", **keys: object) -> Path:
        write(tmp_path / "roles" / "sample" / "spec.py", ROLE.format(wanted='spec.hardware == "present"'))
        write(tmp_path / "roles" / "sample" / "verify.py", CHECKS.format(user=user))
        told = ", ".join(f"{key}={value!r}" for key, value in keys.items())
        return write(tmp_path / "inventory.py", INVENTORY.format(hosts=list(hosts), keys=told))  # type: ignore[call-overload]

    return made


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def run_here(inventory: Path, *options: str, hosts: str | None = "local://") -> tuple[int, Summary | None, str]:
    """The suite as a user runs it, on this very machine."""
    summary = inventory.parent / "summary.json"
    given = [f"--hosts={hosts}"] if hosts is not None else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ended = subprocess.run(
        [*PYTEST, f"--provision-inventory={inventory}", f"--provision-summary={summary}", *given, *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    told = Summary.model_validate_json(summary.read_text()) if summary.exists() else None
    return ended.returncode, told, ended.stdout + ended.stderr


def outcomes(summary: Summary | None) -> dict[str, Outcome]:
    assert summary is not None
    return {check.resource: check.outcome for check in summary.checks}


ALL_WELL: dict[str, Outcome] = {
    "reached": "holds",
    "etc": "holds",
    "answer": "holds",
    "gpu": "fails",
    "room": "skipped",
    "the_plan_is_that_of_the_node": "holds",
    "a_user_is_there": "holds",
    "a_gpu_is_there": "fails",
}
"""`gpu` fails: this machine is no lab node, whatever it is declared to be."""


def test_every_resource_and_every_check_of_the_roles_is_asked(project: Project) -> None:
    code, summary, log = run_here(project())
    assert outcomes(summary) == ALL_WELL, log
    assert code == 1
    assert summary is not None and set(summary.plans) == {"here"}
    assert {check.role for check in summary.checks if check.resource != "reached"} == {"sample"}


@pytest.mark.parametrize(
    ("keys", "resource", "evidence"),
    [
        ({"sample_mode": "700"}, "etc", "/etc has mode 755, not 700"),
        ({"sample_answer": "no"}, "answer", "not so: yes (no)"),
        ({"user": "'no-such-user'"}, "a_user_is_there", "no-such-user"),
    ],
)
def test_a_wrong_node_fails_and_the_evidence_is_kept(
    project: Project, keys: dict[str, str], resource: str, evidence: str
) -> None:
    code, summary, _ = run_here(project(**keys), f"--junitxml={Path.cwd() / 'junit.xml'}")
    assert code == 1
    assert outcomes(summary) == {**ALL_WELL, resource: "fails"}
    assert summary is not None and summary.exit_code == 1
    assert evidence in next(check.evidence for check in summary.checks if check.resource == resource)
    assert evidence in ElementTree.parse("junit.xml").getroot().findtext(
        f".//*[@name='resource'][@value='{resource}']/../../failure", ""
    )


def test_a_plan_that_cannot_be_made_ends_before_any_node_is_asked(project: Project) -> None:
    code, summary, log = run_here(project(sample_mod="700"))
    assert (code, summary) == (4, None)
    assert "did you mean 'sample_mode'" in log


def test_without_an_inventory_the_suite_asks_nothing_and_says_so(tmp_path: Path) -> None:
    ended = subprocess.run(PYTEST, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode != 0
    assert "--provision-inventory" in ended.stdout + ended.stderr


def test_a_node_that_does_not_answer_is_unknown_not_wrong(project: Project, tmp_path: Path) -> None:
    config = write(tmp_path / "ssh_config", "Host *\n  ProxyCommand false\n")
    code = verify(project(hosts=("a1", "a2"), ssh_config_file="ssh_config"), (), tmp_path / "out")
    summary = Summary.model_validate_json((tmp_path / "out" / "verify.json").read_text())
    assert code == 4
    assert {check.outcome for check in summary.checks} == {"unknown"}
    assert {check.node for check in summary.checks} == {"a1", "a2"}
    assert "does not answer" in next(check.evidence for check in summary.checks if check.resource == "reached")
    assert config.exists()


GONE = """\
from testinfra.backend.base import CommandResult

def result(host, stderr):
    return RuntimeError(CommandResult(backend=host.backend, exit_status=255, command=b"id", _stdout=b"", _stderr=stderr))

def test_a_command_that_says_255(host):
    raise result(host, b"no such luck")

def test_a_node_that_goes_away(host):
    def silence(*_arguments):
        raise result(host, b"Connection timed out")

    host.run = silence
    raise result(host, b"Connection reset by peer")
"""


def test_a_node_that_goes_away_meanwhile_is_told_of_in_words(project: Project, tmp_path: Path) -> None:
    inventory = project()
    write(tmp_path / "roles" / "sample" / "verify.py", GONE)
    _code, summary, output = run_here(inventory)
    assert summary is not None
    told = {check.resource: (check.outcome, check.evidence) for check in summary.checks}
    assert told["a_command_that_says_255"] == (
        "fails", "a command of this check ended with exit code 255: no such luck",
    )  # fmt: skip
    assert told["a_node_that_goes_away"] == ("unknown", "the node does not answer: Connection timed out")
    assert "CommandResult(" not in output


def test_only_the_nodes_that_are_named_are_asked(project: Project, tmp_path: Path) -> None:
    write(tmp_path / "ssh_config", "Host *\n  ProxyCommand false\n")
    inventory = project(hosts=("a1", "a2"), ssh_config_file="ssh_config")
    verify(inventory, ("a2",), tmp_path / "out")
    summary = Summary.model_validate_json((tmp_path / "out" / "verify.json").read_text())
    assert {check.node for check in summary.checks} == {"a2"}
    with pytest.raises(WrongInventory, match="declares no a3"):
        verify(inventory, ("a3",), tmp_path / "out")


def test_a_node_is_asked_only_what_its_own_plan_holds(project: Project, tmp_path: Path) -> None:
    write(tmp_path / "ssh_config", "Host *\n  ProxyCommand false\n")
    inventory = project(hosts=("a1", ("a2", {"hardware": "absent"})), ssh_config_file="ssh_config")
    _, summary, log = run_here(inventory, hosts=None)
    assert summary is not None, log
    asked = {node: {check.resource for check in summary.checks if check.node == node} for node in ("a1", "a2")}
    assert asked == {"a1": set(ALL_WELL), "a2": {"reached"}}


def test_a_role_whose_checks_cannot_be_read_leaves_the_node_unknown(project: Project, tmp_path: Path) -> None:
    inventory = project()
    write(tmp_path / "roles" / "sample" / "verify.py", "def test_half(host")
    code = verify(inventory, (), tmp_path / "out")
    summary = Summary.model_validate_json((tmp_path / "out" / "verify.json").read_text())
    assert code == 4
    assert [(check.node, check.outcome) for check in summary.checks] == [("here", "unknown")]
    assert "here.verify.log" in summary.checks[0].evidence
    assert "SyntaxError" in (tmp_path / "out" / "here.verify.log").read_text()


def check(outcome: Outcome) -> Check:
    return Check(node="a", role="r", resource="x", outcome=outcome, seconds=0.0)


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (("holds", "not applicable", "skipped"), 0),
        (("holds", "fails"), 1),
        (("fails", "unknown"), 1),
        (("holds", "unknown"), 4),
        (("not applicable",), 4),
        ((), 4),
    ],
)
def test_the_exit_code_says_what_is_known(seen: tuple[Outcome, ...], code: int) -> None:
    assert Summary(plans={}, checks=tuple(map(check, seen))).exit_code == code


def test_one_connection_per_node_with_what_the_inventory_says(project: Project, tmp_path: Path) -> None:
    write(tmp_path / "own_config", "Host *\n  User somebody\n  Port 2222\n")
    inventory = project(hosts=("a1",), ssh_config_file="own_config", ssh_user="deploy", sudo=True)
    target = targets(inventory)["a1"]
    config = write(tmp_path / "generated", ssh_config([target], tmp_path))
    told = subprocess.run(["ssh", "-G", "-F", config, "a1"], capture_output=True, text=True, check=True).stdout
    settings = dict(line.split(" ", 1) for line in told.splitlines() if " " in line)
    assert settings["user"] == "deploy"
    assert settings["port"] == "2222"
    assert settings["controlmaster"] == "auto"
    assert settings["controlpath"].startswith(str(tmp_path))
    assert settings["stricthostkeychecking"] == "accept-new"
    assert host_spec(target, config).endswith("&sudo=true")


def test_becoming_another_user_is_asked_of_testinfra() -> None:
    spec = {"os": "debian13", "arch": "x86_64"}
    target = Target.model_validate({"name": "fe80::1", "spec": spec, "ssh": {}, "sudo": True, "sudo_user": "ops"})
    assert (
        host_spec(target, Path("/a folder/c")) == "ssh://[fe80::1]?ssh_config=%2Fa%20folder%2Fc&sudo=true&sudo_user=ops"
    )
