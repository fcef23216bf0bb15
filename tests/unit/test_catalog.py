"""The catalog is evidence: every row has a source, and the checks that say so can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provision.catalog import Catalog, branch_of, check, driver_key, find_gpus, kinds, load, matches_pin
from provision.catalog.load import merged_sources


def test_the_catalog_has_no_defect() -> None:
    assert check(load()) == []


def test_every_kind_has_rows_and_every_row_a_citation() -> None:
    for kind, rows in kinds(load()).items():
        assert rows, kind
        for row in rows:
            assert load().cite(row.source).strip(), (kind, row.id)


def _with(kind: str, change: Callable[[Any], dict[str, Any]]) -> Catalog:
    """The catalog with the first row of a kind changed."""
    rows = list(getattr(load(), kind))
    rows[0] = rows[0].model_copy(update=change(rows[0]))
    return load().model_copy(update={kind: tuple(rows)})


BROKEN: list[tuple[str, Callable[[Any], dict[str, Any]], str]] = [
    ("gpus", lambda _: {"source": ""}, "no source"),
    ("gpus", lambda _: {"source": "nowhere"}, "not in the table of sources"),
    ("kernels", lambda _: {"id": load().kernels[1].id}, "2 rows have this id"),
    ("kernels", lambda _: {"os": "plan9"}, "there is no plan9"),
    ("kernels", lambda row: {"releases": (f"{row.releases[0]}x",)}, "is not a release of"),
    ("driver_packages", lambda _: {"os": "plan9"}, "there is no plan9"),
    ("driver_packages", lambda _: {"offered": {"open": ("1.2",)}}, "there is no driver branch 1"),
    ("driver_branches", lambda row: {"newest": f"{row.id}.beta"}, "is not a driver version"),
    ("driver_branches", lambda _: {"eol": "soon"}, "is not a day or month"),
    ("kernel_driver_pairs", lambda _: {"kernel": "none"}, "there is no kernel none"),
    ("kernel_driver_pairs", lambda row: {"last": f"{row.last}x"}, "is not a release of"),
]


@pytest.mark.parametrize(("kind", "change", "defect"), BROKEN)
def test_a_broken_row_is_reported(kind: str, change: Callable[[Any], dict[str, Any]], defect: str) -> None:
    assert any(kind in told and defect in told for told in check(_with(kind, change)))


def test_a_pair_that_both_builds_and_fails_is_reported() -> None:
    pair = load().kernel_driver_pairs[0]
    twin = pair.model_copy(update={"id": "twin", "builds": not pair.builds})
    broken = load().model_copy(update={"kernel_driver_pairs": (*load().kernel_driver_pairs, twin)})
    assert any("contradicts" in told for told in check(broken))


def test_driver_versions_compare_as_numbers() -> None:
    major = driver_key(load().driver_branches[0].id)[0]
    assert driver_key(f"{major}.26") < driver_key(f"{major}.86.10") < driver_key(f"{major}.178.04")


@pytest.mark.parametrize("branch", load().driver_branches, ids=lambda branch: branch.id)
def test_a_branch_pin_matches_its_newest_version_only_within_the_branch(branch: Any) -> None:
    assert branch_of(branch.newest) == branch.id
    assert matches_pin(branch.newest, branch.id)
    assert not matches_pin(branch.newest, f"{branch.id}0")


def test_end_of_life_is_judged_by_day_or_month() -> None:
    branch = load().driver_branches[0]
    month = branch.model_copy(update={"eol": "2026-06"})
    assert month.ended("2026-07-01")
    assert not month.ended("2026-06-30")
    assert not branch.model_copy(update={"eol": None}).ended("2999-01-01")


NAMES = [
    ("GH200", "GH200"),
    ("NVIDIA GH200 480GB", "GH200"),
    ("gb200", "GB200"),
    ("H200", "H200"),
    ("NVIDIA H100 80GB HBM3", "H100"),
    ("NVIDIA A100-SXM4-80GB", "A100"),
    ("L40S", "L40S"),
    ("Tesla V100-SXM2-32GB", "V100"),
    ("A16", "A2"),
    ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000"),
]


@pytest.mark.parametrize(("name", "model"), NAMES)
def test_the_longest_whole_name_wins(name: str, model: str) -> None:
    assert {gpu.name for gpu in find_gpus(load().gpus, name)} == {model}


@pytest.mark.parametrize("name", ["GH20X", "NVIDIA RTX A1000", "XH200"])
def test_an_unknown_gpu_is_not_guessed(name: str) -> None:
    with pytest.raises(LookupError, match="is not in the catalog"):
        find_gpus(load().gpus, name)


def test_a_misspelt_gpu_is_told_with_what_is_close() -> None:
    with pytest.raises(LookupError, match="did you mean GH200"):
        find_gpus(load().gpus, "GH20")


def test_grace_and_blackwell_are_open_only_and_volta_cannot_use_open() -> None:
    for gpu in load().gpus:
        if gpu.coherent or gpu.architecture == "Blackwell":
            assert gpu.modules == "open", gpu.id
        if gpu.architecture in ("Kepler", "Maxwell", "Pascal", "Volta"):
            assert gpu.modules == "proprietary", gpu.id


def test_a_source_is_one_thing_in_all_files() -> None:
    guide, tags = {"what": "the guide", "date": "2026-01-01"}, {"what": "the tags", "date": "2026-01-01"}
    assert merged_sources({"a": {"guide": guide}, "b": {"guide": guide, "tags": tags}}) == {
        "guide": guide,
        "tags": tags,
    }
    with pytest.raises(ValueError, match=r"source guide of b\.yaml is another one elsewhere"):
        merged_sources({"a": {"guide": guide}, "b": {"guide": tags}})
