"""`provision plan --json`: the contract with whatever reads it, held for plans and for conflicts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from provision.catalog import load
from provision.catalog.lookup import fact
from provision.cli.main import app
from provision.cli.plan import planned
from provision.cli.plan_data import as_data
from provision.inventory import read_inventory
from provision.planning import NoPlan, rooms

ROOT = Path(__file__).parents[2]
GH200 = ROOT / "inventories" / "gh200.py"
MIXED = """
from provision import fleet
fits = fleet(["a", "b"], os="debian13", arch="x86_64", gpu="H100")
misfits = fleet(["c", "d"], os="debian13", arch="x86_64", gpu="V100", features=["open"])
"""
REASON = {"text", "source", "verified", "fact"}


@pytest.fixture(autouse=True)
def _nothing_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(ROOT)


def printed(*arguments: str, code: int = 0) -> Any:
    said = CliRunner().invoke(app, ["plan", *arguments, "--json"])
    assert said.exit_code == code, said.stderr
    return json.loads(said.stdout)


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    path = tmp_path / "fleet.py"
    path.write_text(MIXED)
    return str(path)


def names(group: Any) -> list[str]:
    return [resource["name"] for stretch in group["plan"] for resource in stretch["resources"]]


def test_a_group_is_nodes_stack_plan_and_warnings() -> None:
    data = printed(str(GH200))
    assert (data["schema"], data["conflicts"]) == (1, [])
    [group] = data["groups"]
    assert group["nodes"] == ["gh200-01", "gh200-02"]
    assert group["versions_from"] == "catalog"
    assert group["declared"]["gpu"] == "GH200"
    assert all(isinstance(warning, str) for warning in group["warnings"])


def test_every_version_has_reasons_that_can_be_looked_up() -> None:
    [group] = printed(str(GH200))["groups"]
    assert {"kernel", "driver", "modules"} <= group["stack"].keys()
    for choice in group["stack"].values():
        assert choice["version"]
        assert choice["why"]
        for reason in choice["why"]:
            assert reason.keys() == REASON
            assert not reason["fact"] or fact(load(), reason["fact"])


def test_the_plan_is_every_resource_in_order_by_role_and_boot() -> None:
    [group] = printed(str(GH200))["groups"]
    [expected] = planned(read_inventory(GH200), rooms()).groups
    assert names(group) == [entry.name for entry in expected.planned.plan.entries]
    assert [stretch["boot"] for stretch in group["plan"]] == sorted(stretch["boot"] for stretch in group["plan"])
    told = [(s["boot"], s["role"], r["name"]) for s in group["plan"] for r in s["resources"]]
    assert told == [(n, e.role, e.name) for n, boot in enumerate(expected.planned.plan.boots) for e in boot]


def test_a_conflict_is_data_beside_the_plans_of_the_others(mixed: str) -> None:
    data = printed(mixed, code=2)
    assert [group["nodes"] for group in data["groups"]] == [["a", "b"]]
    [conflict] = data["conflicts"]
    assert conflict["nodes"] == ["c", "d"]
    assert "V100" in conflict["asked"]
    assert len(conflict["rules"]) > 1
    assert all(rule.keys() == REASON and rule["text"] and rule["source"] for rule in conflict["rules"])
    assert conflict["nearest"]
    assert all(isinstance(text, str) for text in conflict["nearest"])


def test_a_conflict_is_told_on_stderr_as_well(mixed: str) -> None:
    said = CliRunner().invoke(app, ["plan", mixed, "--json"])
    assert said.stderr.startswith("c, d: ")
    assert len(said.stderr.splitlines()) == 1


def test_a_plan_that_the_roles_cannot_make_is_a_conflict_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise NoPlan("the role r has nothing for this machine")

    monkeypatch.setattr("provision.cli.plan.assemble", refused)
    [conflict] = printed(str(GH200), code=2)["conflicts"]
    assert conflict["nodes"] == ["gh200-01", "gh200-02"]
    assert conflict["rules"][0]["text"] == "the role r has nothing for this machine"


def test_the_same_question_gives_the_same_bytes(mixed: str) -> None:
    first, second = (CliRunner().invoke(app, ["plan", mixed, "--json"]).stdout for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    "arguments",
    [("nowhere.py",), ("--set", "drvier=1"), ()],
    ids=["no such file", "misspelt key", "nothing named"],
)
def test_wrong_input_prints_no_data(arguments: Sequence[str]) -> None:
    said = CliRunner().invoke(app, ["plan", *arguments, "--json"])
    assert said.exit_code == 2
    assert said.stdout == ""


def test_nothing_is_a_plan_as_well() -> None:
    assert as_data([], []) == {"schema": 1, "groups": [], "conflicts": []}
