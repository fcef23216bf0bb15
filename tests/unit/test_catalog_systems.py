"""Systems, DOCA-OFED, containers and combinations: what is true of their rows, and that the checks can fail."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
import yaml

from provision.catalog import Catalog, Combination, Kernel, find_gpus, load
from provision.catalog.checks.systems import systems

CATALOG = load()
K64 = 65536


def test_the_rows_have_no_defect() -> None:
    assert list(systems(CATALOG)) == []


def test_a_key_of_the_table_of_sources_stands_in_one_file_only() -> None:
    data = files("provision.catalog").joinpath("data")
    content = (
        yaml.safe_load(file.read_text(encoding="utf-8")) for file in data.iterdir() if file.name.endswith(".yaml")
    )
    keys = Counter(key for one in content for key in one["sources"])
    assert [key for key, count in keys.items() if count > 1] == []


# The operating system tables


GUIDES = {
    # edition: rows printed in the tables for x86_64, arm64-sbsa, Grace only
    "cuda-guide-130u1": (18, 7, 7),
    "cuda-guide-130u2": (18, 7, 8),
    "cuda-guide-132": (20, 8, 10),
}


@pytest.mark.parametrize(("edition", "printed"), GUIDES.items())
def test_every_row_of_the_guides_that_were_read_is_there(edition: str, printed: tuple[int, int, int]) -> None:
    rows = [row for row in CATALOG.supported_systems if row.source == edition]
    tables = Counter((row.arch, row.grace) for row in rows)
    assert (tables["x86_64", False], tables["aarch64", False], tables["aarch64", True]) == printed
    assert all(row.verified for row in rows)


@pytest.mark.parametrize("edition", GUIDES)
@pytest.mark.parametrize("os", ["ubuntu22.04", "ubuntu24.04", "rhel9", "sles15"])
def test_each_of_them_lists_the_servers_distributions_in_all_three_tables(edition: str, os: str) -> None:
    tables = {(r.arch, r.grace) for r in CATALOG.supported_systems if (r.source, r.os) == (edition, os)}
    assert tables == {("x86_64", False), ("aarch64", False), ("aarch64", True)}


def test_pages_of_64k_are_listed_for_grace_only_and_always_with_a_kernel_that_says_so() -> None:
    large = [row for row in CATALOG.supported_systems if row.page_size is not None]
    assert {row.page_size for row in large} == {K64}
    assert all(row.grace and row.kernel.endswith("64k") for row in large)
    assert {row.os for row in large} == {"ubuntu22.04", "ubuntu24.04", "rhel9"}


def test_no_jetson_row_slipped_in() -> None:
    assert not any("tegra" in row.kernel for row in CATALOG.supported_systems)


def test_what_was_remembered_or_quoted_is_not_called_verified() -> None:
    unread = [row for row in CATALOG.supported_systems if row.source in ("systems-remembered", "cuda-guide-134-quoted")]
    assert unread
    assert not any(row.verified for row in unread)
    assert all(row.note for row in unread)


# Kernels


def test_only_ubuntu_on_arm_has_64k_kernels_and_nvidias_is_the_one_taken_unasked() -> None:
    large = [row for row in CATALOG.kernels if row.page_size == K64]
    assert {(row.os, row.arch) for row in large} == {("ubuntu22.04", "aarch64"), ("ubuntu24.04", "aarch64")}
    assert {row.flavour for row in large if row.default} == {"nvidia-64k-hwe"}


def test_a_flavour_says_its_page_size() -> None:
    for row in CATALOG.kernels:
        told = {"64k": K64, "16k": K64 // 4}
        assert row.page_size == next((size for word, size in told.items() if word in row.flavour), K64 // 16), row.id


@pytest.mark.parametrize("row", CATALOG.kernels, ids=lambda row: row.id)
def test_a_release_is_of_one_flavour_of_its_system(row: Kernel) -> None:
    rivals = [other for other in CATALOG.kernels if (other.os, other.arch) == (row.os, row.arch)]
    for release in row.releases:
        assert [other.id for other in rivals if re.fullmatch(other.release, release)] == [row.id]


# DOCA-OFED


def test_doca_and_kernels_are_a_matrix_and_not_a_range() -> None:
    pairs = [pair for pair in CATALOG.kernel_doca_pairs if pair.release]
    failing = [pair for pair in pairs if not pair.builds]
    assert failing
    for bad in failing:
        series = bad.release.rpartition(".")[0]
        assert any(
            p.builds and p.doca == bad.doca and p.release.startswith(series) and p.release < bad.release for p in pairs
        )
    assert any(good.builds and good.release == bad.release for good in pairs for bad in failing)


def test_a_train_of_ofed_is_long_term_as_a_whole() -> None:
    trains: dict[str, set[bool]] = {}
    for row in CATALOG.doca_releases:
        trains.setdefault(row.ofed, set()).add(row.long_term)
    assert all(len(terms) == 1 for terms in trains.values())
    assert {True} in trains.values()


def test_ready_made_modules_ended_once_and_never_came_for_64k_kernels() -> None:
    in_order = [row.prebuilt for row in CATALOG.doca_releases]
    assert in_order == sorted(in_order, reverse=True)
    assert not any("64k" in release for row in CATALOG.doca_prebuilt for release in row.releases)


def test_only_the_user_space_profile_has_no_kernel_modules() -> None:
    assert [row.id for row in CATALOG.doca_profiles if not row.kernel_modules] == ["doca-ofed-userspace"]


# Containers


def test_one_container_toolkit_is_faulty_and_the_next_one_cures_it() -> None:
    rows = sorted(CATALOG.container_toolkits, key=lambda row: row.date)
    (faulty,) = (index for index, row in enumerate(rows) if not row.good)
    assert "nvidia-container-cli" in rows[faulty].fault
    assert "fixes #1093" in rows[faulty + 1].changes
    assert "#1093" in rows[faulty].fault


def test_releases_and_their_days_are_in_the_same_order() -> None:
    def by_number(release: str) -> list[int]:
        return [int(part) for part in release.split(".")]

    by_day = [row.id for row in sorted(CATALOG.container_toolkits, key=lambda row: row.date)]
    # 1.x.y of an older minor is tagged beside a newer one, but never before its own predecessor.
    for minor in {tuple(by_number(release)[:2]) for release in by_day}:
        own = [release for release in by_day if tuple(by_number(release)[:2]) == minor]
        assert own == sorted(own, key=by_number)


def test_what_is_concluded_about_enroot_is_named_as_such() -> None:
    beside = [row for row in CATALOG.container_toolkits if row.not_with]
    assert beside
    assert all(row.not_with == ("enroot",) and row.derived == ("not_with",) and row.good for row in beside)


# Combinations


def test_there_are_sets_that_work_and_sets_that_each_kind_of_rule_refuses() -> None:
    assert sum(row.works for row in CATALOG.combinations) >= 20
    broken = {row.breaks for row in CATALOG.combinations if not row.works}
    assert {"doca-builds", "modules-build", "gpu-open-only", "gpu-proprietary-only", "lockstep", "cuda-runs"} <= broken


def test_no_published_set_names_what_is_known_to_fail() -> None:
    faulty = {row.id for row in CATALOG.container_toolkits if not row.good}
    fails = {(pair.release, pair.doca) for pair in CATALOG.kernel_doca_pairs if not pair.builds}
    for row in CATALOG.combinations:
        if row.works:
            assert row.container_toolkit not in faulty
            assert (row.kernel, row.doca) not in fails


def test_a_failing_kernel_is_recorded_as_a_pair_too() -> None:
    doca = {(pair.release, pair.doca) for pair in CATALOG.kernel_doca_pairs if not pair.builds}
    driver = {(pair.last, pair.driver) for pair in CATALOG.kernel_driver_pairs if not pair.builds}
    for row in CATALOG.combinations:
        if row.breaks == "doca-builds":
            assert (row.kernel, row.doca) in doca
        if row.breaks == "modules-build":
            assert (row.kernel, row.driver) in driver


def _flavours(row: Combination) -> set[str]:
    return {gpu.modules for gpu in find_gpus(CATALOG.gpus, row.gpu or "")}


def test_a_set_that_breaks_the_flavour_rule_does_so_by_the_gpus_row() -> None:
    for row in CATALOG.combinations:
        if row.breaks == "gpu-open-only":
            assert _flavours(row) == {"open"}
            assert "proprietary" in row.features
        if row.breaks == "gpu-proprietary-only":
            assert _flavours(row) == {"proprietary"}
            assert "open" in row.features


# The checks can fail


def _with(kind: str, number: int, change: dict[str, Any]) -> Catalog:
    """The catalog with one row of a kind changed."""
    rows = list(getattr(CATALOG, kind))
    rows[number] = rows[number].model_copy(update=change)
    return CATALOG.model_copy(update={kind: tuple(rows)})


def _first(kind: str, holds: Callable[[Any], bool]) -> int:
    return next(number for number, row in enumerate(getattr(CATALOG, kind)) if holds(row))


def _twin(kind: str, number: int, change: dict[str, Any]) -> Catalog:
    """The catalog with a changed copy of one row added."""
    rows = getattr(CATALOG, kind)
    return CATALOG.model_copy(update={kind: (*rows, rows[number].model_copy(update={"id": "twin", **change}))})


GRACE_64K = _first("supported_systems", lambda row: row.page_size == K64)
READY = CATALOG.doca_prebuilt[0]
FAILING = _first("kernel_doca_pairs", lambda row: not row.builds and row.release)
BUILDING = _first("kernel_doca_pairs", lambda row: row.builds)
SYSTEM = _first("kernel_doca_pairs", lambda row: not row.release)

FAULTS: list[tuple[Catalog, str]] = [
    (_with("doca_releases", 0, {"id": "newest"}), "the id is not a release"),
    (_with("doca_releases", 0, {"ofed": "MLNX"}), "is not an OFED release"),
    (_with("container_toolkits", 0, {"id": "latest"}), "the id is not a release"),
    (_with("container_toolkits", 0, {"date": "last autumn"}), "is not a day"),
    (_with("container_toolkits", 0, {"good": False}), "says its fault"),
    (_with("container_toolkits", 0, {"fault": "unknown"}), "says its fault"),
    (_with("cdi_runtimes", 0, {"first": "new"}), "is not a release"),
    (_with("supported_systems", 0, {"cuda": "0"}), "there is no CUDA"),
    (_with("supported_systems", 0, {"kernel": "newest"}), "is not a version"),
    (_with("supported_systems", 0, {"gcc": "gcc"}), "is not a version"),
    (_with("supported_systems", 0, {"glibc": "new"}), "is not a version"),
    (_with("supported_systems", 0, {"page_size": 5000}), "do not fit its kernel"),
    (_with("supported_systems", 0, {"grace": True}), "is about aarch64"),
    (_with("supported_systems", GRACE_64K, {"page_size": None}), "do not fit its kernel"),
    (_with("supported_systems", GRACE_64K, {"grace": False}), "in the Grace tables only"),
    (_twin("supported_systems", 0, {}), "another row of its edition"),
    (_with("kernel_doca_pairs", BUILDING, {"doca": "0"}), "there is no DOCA release"),
    (_with("kernel_doca_pairs", BUILDING, {"release": "newest"}), "is not a kernel release"),
    (_with("kernel_doca_pairs", SYSTEM, {"os": ""}), "neither a kernel nor an operating system"),
    (_with("kernel_doca_pairs", BUILDING, {"cause": "none"}), "a failure has a cause"),
    (_with("kernel_doca_pairs", FAILING, {"cause": ""}), "a failure has a cause"),
    (_twin("kernel_doca_pairs", FAILING, {"builds": True, "cause": ""}), "contradicts"),
    (_twin("kernel_doca_pairs", SYSTEM, {"builds": True, "cause": ""}), "contradicts"),
    (_twin("kernel_doca_pairs", FAILING, {"release": READY.releases[0], "doca": READY.doca}), "doca_prebuilt"),
    (_twin("kernel_doca_pairs", SYSTEM, {"os": READY.os, "doca": READY.doca.rpartition(".")[0]}), "doca_prebuilt"),
    (_with("doca_prebuilt", 0, {"doca": "0"}), "there is no DOCA release"),
    (_with("combinations", 0, {"works": False}), "names the rule it breaks"),
    (_with("combinations", 0, {"breaks": "lockstep"}), "names the rule it breaks"),
    (_with("combinations", 0, {"works": False, "breaks": "no-such-rule"}), "there is no rule"),
    (_with("combinations", 0, {"driver": "0"}), "there is no driver branch"),
    (_with("combinations", 0, {"driver": f"{CATALOG.driver_branches[0].id}.beta"}), "is not a version"),
    (_with("combinations", 0, {"cuda": "0"}), "there is no CUDA"),
    (_with("combinations", 0, {"doca": "0"}), "there is no DOCA release"),
    (_with("combinations", 0, {"container_toolkit": "0"}), "there is no container toolkit"),
    (_with("combinations", 0, {"gpu": "GH20X"}), "there is no GPU"),
    (_with("combinations", 0, {"kernel": "newest"}), "is not a version"),
    (_with("combinations", 0, {"gcc": "gcc"}), "is not a version"),
]


@pytest.mark.parametrize(("broken", "defect"), FAULTS, ids=[defect for _, defect in FAULTS])
def test_a_broken_row_is_reported(broken: Catalog, defect: str) -> None:
    found = list(systems(broken))
    assert found
    assert all(defect in told for told in found if told not in systems(CATALOG))
