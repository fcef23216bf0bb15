"""`provision drift`: verdicts, exit codes, the JSON contract and the textfile, judged from snapshots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from samples import SETTINGS, converged, machine, plan
from typer.testing import CliRunner

from provision.cli.drift import WOULD, DriftReport, NodeDrift, app, exit_code, judge, textfile
from provision.cli.exits import Exit
from provision.inventory import read_inventory
from provision.model import NodeSpec, Resource, Snapshot, Stack
from provision.planning import Planned, assemble, rooms

INVENTORY = """\
from provision import fleet

nodes = fleet(["n1"], os="debian13", arch="x86_64", gpu="H100", hardware="absent")
"""


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    path = tmp_path / "inventory.py"
    path.write_text(INVENTORY)
    return path


@pytest.fixture
def planned(inventory: Path) -> Planned:
    return assemble(read_inventory(inventory)["n1"], rooms())


def lab_node(snapshot: Snapshot) -> Snapshot:
    return snapshot.model_copy(update={"lab": True, "limits": frozenset({"boot", "modules", "sysctl", "hardware"})})


def test_a_converged_node_is_converged_and_what_it_cannot_hold_is_listed(planned: Planned) -> None:
    seen = judge("n1", planned, lab_node(converged(planned.plan)), ())
    assert (seen.verdict, seen.due) == ("converged", ())
    assert seen.not_applicable["running-kernel"] == "boot"


def test_what_differs_is_told_with_what_would_be_done(planned: Planned) -> None:
    seen = judge("n1", planned, lab_node(converged(planned.plan)).model_copy(update={"files": {}}), ())
    (rivals,) = (due for due in seen.due if due.resource == "rival-drivers")
    assert seen.verdict == "drift"
    assert (rivals.boot, rivals.role, rivals.would) == (1, "open_kernel_modules", "write")
    assert rivals.differs.endswith("is missing")


@pytest.mark.parametrize("resource", SETTINGS, ids=lambda resource: resource.kind)
def test_every_kind_that_differs_is_told(resource: Resource) -> None:
    wanted = Planned(spec=NodeSpec(os="debian13", arch="x86_64"), stack=Stack(choices={}), plan=plan([resource]))
    (due,) = judge("n1", wanted, machine(), ()).due
    assert (due.kind, due.would) == (resource.kind, WOULD[resource.kind])


def test_there_is_a_word_for_every_kind() -> None:
    assert WOULD.keys() == {kind.model_fields["kind"].default for kind in get_args(get_args(Resource)[0])}


def test_a_reboot_that_is_due_is_drift_though_no_resource_differs(planned: Planned) -> None:
    snapshot = lab_node(converged(planned.plan))
    seen = judge("n1", planned, snapshot.model_copy(update={"reboot_due": snapshot.boot_id}), ())
    assert (seen.verdict, seen.due) == ("drift", ())
    assert seen.next.startswith("a reboot is due: ")


def test_what_could_not_be_read_makes_a_clean_node_unknown(planned: Planned) -> None:
    hidden = lab_node(converged(planned.plan)).model_copy(update={"hidden": {"file /x": "not readable for this user"}})
    assert judge("n1", planned, hidden, ()).verdict == "unknown"


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["converged"], Exit.DONE),
        (["converged", "drift"], Exit.DRIFT),
        (["drift", "unknown"], Exit.UNKNOWN),
        (["drift", "unknown", "unreachable"], Exit.FAILED),
    ],
)
def test_the_worst_verdict_is_the_exit_code(verdicts: list[str], code: Exit) -> None:
    assert exit_code([NodeDrift.model_validate({"node": "n", "verdict": verdict}) for verdict in verdicts]) == code


def test_a_snapshot_file_is_judged_without_a_connection(inventory: Path, planned: Planned, tmp_path: Path) -> None:
    file = tmp_path / "n1.json"
    file.write_text(converged(planned.plan, lab=True).model_dump_json())
    ran = CliRunner().invoke(app, [str(inventory), "--snapshot", str(file), "--json"])
    report = json.loads(ran.stdout)
    assert report["schema"] == 1
    assert [node["node"] for node in report["nodes"]] == ["n1"]
    assert ran.exit_code == {"converged": 0, "drift": 3}[report["nodes"][0]["verdict"]]


def test_a_snapshot_of_another_machine_is_a_conflict(inventory: Path, tmp_path: Path) -> None:
    file = tmp_path / "n1.json"
    file.write_text(machine(os="ubuntu24.04", lab=True).model_dump_json())
    ran = CliRunner().invoke(app, [str(inventory), "--snapshot", str(file)])
    assert ran.exit_code == Exit.UNKNOWN
    assert "declared os debian13, the node runs ubuntu24.04" in ran.stdout


def test_a_file_that_is_no_snapshot_is_wrong_input(inventory: Path, tmp_path: Path) -> None:
    (tmp_path / "n1.json").write_text("{}")
    ran = CliRunner().invoke(app, [str(inventory), "--snapshot", str(tmp_path / "n1.json")])
    assert ran.exit_code == Exit.WRONG_INPUT
    assert "is not a snapshot" in ran.output


def test_the_textfile_has_one_line_per_gauge_and_node_and_quotes_names() -> None:
    lines = list(textfile([NodeDrift(node='a"b', verdict="drift"), NodeDrift(node="c", verdict="converged")]))
    assert 'provision_node_converged{node="a\\"b"} 0' in lines
    assert 'provision_node_converged{node="c"} 1' in lines
    assert sum(line.startswith("provision_") for line in lines) == 10


def test_the_report_says_its_schema() -> None:
    assert json.loads(DriftReport(nodes=()).model_dump_json(by_alias=True)) == {"schema": 1, "nodes": []}
