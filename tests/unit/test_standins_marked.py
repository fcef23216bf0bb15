"""A node with stand-ins says so wherever it is shown; no other node does."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import testinfra
from rich.console import Console
from samples import gate, machine, plan

from provision.cli.apply import with_standins
from provision.cli.apply_view import conclude
from provision.cli.drift import DriftReport, NodeDrift
from provision.cli.drift import told as drift_told
from provision.cli.plan_data import group_as_data
from provision.cli.plan_view import Group, show, what
from provision.cli.records import Record
from provision.cli.summary import NodeReport
from provision.cli.verify import told as verify_told
from provision.ledger import Reading
from provision.model import NodeSpec, Snapshot, Stack, StandIns
from provision.model.places import STANDINS_MARK, STANDS_FOR
from provision.planning import Planned
from provision.probe import full_probe_program, parse, probe_program
from provision.report import Header, NodeEvidence, page
from provision.verify import standins as by_testinfra
from provision.verify.standins import standins_of
from provision.verify.summary import Check, Summary

SHELLS = [
    pytest.param(words, id=words[-1] if len(words) == 1 else "busybox")
    for words in (["dash"], ["bash"], ["/bin/busybox", "sh"])
    if shutil.which(words[0])
]

DATABASE = f"""\
Package: kernel-artificial
Status: hold ok installed
Version: 1
Architecture: all
{STANDS_FOR}: kernel-artificial of somebody's archive (read: a page)

Package: driver-artificial
Status: install ok half-configured
Version: 1
Architecture: all
{STANDS_FOR}: driver-artificial of somebody's archive (read: a page)

Package: evil
Status: install ok installed
Version: 1
Architecture: all
{STANDS_FOR}: evil of é \x1b[2J $(touch touched) nobody
 root\t0
 END

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: all
{STANDS_FOR}: gone of nobody

Package: real
Status: install ok installed
Version: 1
Architecture: all

"""

FOUND = StandIns(
    told="Artificial 1 by name only",
    packages={
        "kernel-artificial": "kernel-artificial of somebody's archive (read: a page)",
        "driver-artificial": "driver-artificial of somebody's archive (read: a page)",
        "toolkit-artificial": "toolkit-artificial of another's archive (unverified: nobody)",
    },
)
SAID = (
    "stand-ins: Artificial 1 by name only",
    "stand-ins of somebody's archive (read: a page): kernel-artificial, driver-artificial",
    "stand-ins of another's archive (unverified: nobody): toolkit-artificial",
)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """dpkg's own, as a node with stand-ins has it, beside its mark."""
    if not shutil.which("dpkg-query"):
        pytest.skip("there is no dpkg-query here")
    (tmp_path / "status").write_text(DATABASE)
    monkeypatch.setenv("DPKG_ADMINDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str, mark: Path, shell: Sequence[str]) -> Snapshot:
    moved = text.replace(STANDINS_MARK, str(mark))
    return parse(subprocess.run([*shell, "-s"], input=moved.encode(), capture_output=True, check=False).stdout.decode())


# What is read


@pytest.mark.parametrize("shell", SHELLS)
class TestReading:
    def test_a_node_without_the_mark_has_none(self, database: Path, shell: list[str]) -> None:
        assert read(probe_program(), database / "mark", shell).standins is None

    def test_installed_stand_ins_are_told_with_what_they_stand_for(self, database: Path, shell: list[str]) -> None:
        (database / "mark").write_text("Artificial 1 by name only\nmore\n")
        found = read(probe_program(), database / "mark", shell).standins
        assert found is not None
        assert found.told == "Artificial 1 by name only"
        assert found.packages["kernel-artificial"] == FOUND.packages["kernel-artificial"]
        assert {"kernel-artificial", "driver-artificial", "evil"} <= set(found.packages)
        assert not {"gone", "real"} & set(found.packages)

    def test_what_a_package_says_of_itself_stays_one_field(self, database: Path, shell: list[str]) -> None:
        (database / "mark").write_bytes("é\x1b]0;owned\x07 $(touch touched)\troot\t0".encode() + b"\xff\n")
        snapshot = read(probe_program(), database / "mark", shell)
        assert snapshot.standins is not None
        told = (snapshot.standins.told, *snapshot.standins.packages.values(), *snapshot.standins.packages)
        assert all(text.isascii() and text.isprintable() for text in told)
        assert not (database / "touched").exists()
        assert snapshot.root == (os.geteuid() == 0)

    def test_an_empty_mark_is_a_mark(self, database: Path, shell: list[str]) -> None:
        (database / "mark").touch()
        found = read(probe_program(), database / "mark", shell).standins
        assert found is not None
        assert found.told == ""


def test_a_full_reading_tells_the_same(database: Path) -> None:
    (database / "mark").write_text("Artificial 1 by name only\n")
    program = full_probe_program()
    assert STANDINS_MARK in program
    assert "kernel-artificial" in read(program, database / "mark", ["sh"]).standins.packages  # type: ignore[union-attr]


def test_the_verification_finds_them_by_its_own_means(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = testinfra.get_host("local://")
    monkeypatch.setattr(by_testinfra, "STANDINS_MARK", str(database / "mark"))
    assert standins_of(host) is None
    (database / "mark").write_text("Artificial 1 by name only\nmore\n")
    found = standins_of(host)
    assert found is not None
    assert found.told == "Artificial 1 by name only"
    assert {"kernel-artificial", "driver-artificial", "evil"} == set(found.packages)


# What is shown


def marked() -> Snapshot:
    return machine(lab=True).model_copy(update={"standins": FOUND})


def planned() -> Planned:
    spec = NodeSpec(os="debian13", arch="x86_64")
    return Planned(spec=spec, stack=Stack(choices={}), plan=plan([gate("power")]))


def of_plan(found: Snapshot) -> str:
    out = io.StringIO()
    show([Group(nodes=("n1",), planned=planned(), reading=found)], Console(file=out, width=100, highlight=False))
    return out.getvalue()


def of_plan_json(found: Snapshot) -> str:
    return json.dumps(group_as_data(Group(nodes=("n1",), planned=planned(), reading=found)))


def of_apply(found: Snapshot, count: int = 1, dry: bool = False) -> str:
    for number in range(count):
        Reading(f"n{number}").save(found)
    reports = [
        NodeReport(node=f"n{number}", outcome="unfinished" if dry else "converged", due=((1, "a", "b"),) if dry else ())
        for number in range(count)
    ]
    out = io.StringIO()
    conclude(
        Console(file=out, width=100, highlight=False),
        with_standins(reports, Record(Path("run"))),
        Path("run"),
        dry=dry,
        interrupted=False,
    )
    return out.getvalue()


def of_drift(found: Snapshot) -> str:
    return "\n".join(drift_told(NodeDrift(node="n1", verdict="converged", standins=found.standins)))


def of_drift_json(found: Snapshot) -> str:
    report = DriftReport(nodes=(NodeDrift(node="n1", verdict="converged", standins=found.standins),))
    return report.model_dump_json(by_alias=True)


def verified(found: Snapshot) -> Summary:
    check = Check(node="n1", resource="power", outcome="holds")
    return Summary(plans={"n1": "p"}, checks=(check,), standins={"n1": found.standins} if found.standins else {})


def of_verify(found: Snapshot) -> str:
    return "\n".join(verify_told("n1", verified(found)))


def of_report(found: Snapshot) -> str:
    known = NodeEvidence(node="n1", bring_up="converged", after=found, planned=planned())
    return page(Header(run="r", when="w", written="w", version="v"), [known], what).replace("&#39;", "'")


def of_report_of_a_verification(found: Snapshot) -> str:
    known = NodeEvidence(node="n1", planned=planned(), verified_standins=found.standins)
    return page(Header(run="r", when="w", written="w", version="v"), [known], what).replace("&#39;", "'")


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))


TEXTS = [of_plan, of_apply, of_drift, of_verify, of_report, of_report_of_a_verification]


@pytest.mark.parametrize("shown", TEXTS)
def test_every_text_says_which_packages_are_not_the_real_ones(shown) -> None:  # type: ignore[no-untyped-def]
    text = shown(marked())
    for line in SAID:
        assert line in text


@pytest.mark.parametrize("shown", [of_plan_json, of_drift_json])
def test_json_has_every_package(shown) -> None:  # type: ignore[no-untyped-def]
    assert json.dumps(FOUND.packages).replace(" ", "") in shown(marked()).replace(" ", "")


def test_a_big_fleet_names_the_nodes_with_stand_ins() -> None:
    assert "with stand-ins, not the real packages: n0, n1, n2, n3, n4\n" in of_apply(marked(), count=5)


def test_a_dry_run_says_so_too() -> None:
    assert SAID[0] in of_apply(marked(), dry=True)


@pytest.mark.parametrize("shown", [*TEXTS, of_plan_json, of_drift_json])
def test_nothing_is_said_of_a_node_without_stand_ins(shown) -> None:  # type: ignore[no-untyped-def]
    words = shown(machine(lab=True)).replace(".s-stand-in, .s-stand-ins", "")
    assert "stand-ins" not in words
    assert "standins" not in words
