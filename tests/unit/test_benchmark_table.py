"""What the benchmarks make of their samples: medians, ratios to ours, and goals."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return import_module("bench.table")


def sample(
    table: ModuleType, contender: str, wall: float, *, rtt: int = 20, resources: int = 60, nodes: int = 1
) -> object:
    return table.Sample(
        contender=contender,
        nodes=nodes,
        resources=resources,
        rtt_ms=rtt,
        load=0.5,
        wall_s=wall,
        controller_cpu_s=wall / 2,
        controller_peak_mib=50,
        target_cpu_s=0.25,
        connections=1,
        sessions=1,
    )


def test_a_ratio_is_that_of_the_medians_at_the_same_round_trip_time_and_plan(table: ModuleType) -> None:
    samples = [sample(table, "provision", wall) for wall in (1.0, 9.0, 2.0)]
    samples += [sample(table, "pyinfra", wall) for wall in (10.0, 20.0, 30.0)]
    samples += [sample(table, "provision", 5.0, rtt=0), sample(table, "pyinfra", 5.0, rtt=0)]
    samples += [sample(table, "provision", 4.0, resources=10), sample(table, "pyinfra", 6.0, resources=10)]

    found = {(row.resources, row.rtt_ms, row.contender): row for row in table.rows(samples)}

    assert found[60, 20, "pyinfra"].times["wall_s"] == 10.0
    assert found[60, 20, "pyinfra"].spread == (10.0, 30.0)
    assert found[60, 0, "pyinfra"].times["wall_s"] == 1.0
    assert found[10, 20, "pyinfra"].times["wall_s"] == 1.5
    assert found[60, 20, "provision"].runs == 3


def test_other_numbers_of_nodes_are_other_rows(table: ModuleType) -> None:
    samples = [sample(table, "provision", wall, nodes=nodes) for nodes, wall in ((1, 1.0), (10, 2.0))]
    samples += [sample(table, "ansible", wall, nodes=nodes) for nodes, wall in ((1, 5.0), (10, 40.0))]

    found = {(row.nodes, row.contender): row.times["wall_s"] for row in table.rows(samples)}

    assert found == {(1, "provision"): 1.0, (1, "ansible"): 5.0, (10, "provision"): 1.0, (10, "ansible"): 20.0}


def test_what_a_further_node_costs_leaves_out_what_it_costs_to_begin(table: ModuleType) -> None:
    samples = [sample(table, "provision", wall, nodes=nodes) for nodes, wall in ((1, 1.0), (10, 2.0), (50, 5.9))]
    samples += [sample(table, "ansible", 7.0)]

    (found,) = table.growth(table.rows(samples))

    assert (found.contender, found.nodes) == ("provision", (1, 50))
    assert found.per_node["wall_s"] == pytest.approx(0.1)
    assert found.per_node["controller_cpu_s"] == pytest.approx(0.05)
    assert "50.0 ms of controller CPU" in found.told()


def test_without_ours_there_is_no_ratio(table: ModuleType) -> None:
    (row,) = table.rows([sample(table, "pyinfra", 3.0)])
    assert row.times == {}
    assert "pyinfra" in table.text([row])


@pytest.mark.parametrize(
    ("measured", "at_least", "told"),
    [
        (12.0, True, "wanted at least 10: met"),
        (7.5, True, "wanted at least 10: MISSED by 2.5 (25%)"),
        (7.5, False, "wanted at most 10: met"),
        (15.0, False, "wanted at most 10: MISSED by 5 (50%)"),
    ],
)
def test_a_missed_goal_tells_by_how_much(table: ModuleType, measured: float, at_least: bool, told: str) -> None:
    assert table.Goal(text="a", wanted=10.0, measured=measured, at_least=at_least).told().endswith(told)
