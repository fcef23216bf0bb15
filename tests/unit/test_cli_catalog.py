"""`provision catalog`: rows with their sources, counts, defects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from typer.testing import CliRunner

from provision.catalog import Catalog, Row, kinds, load
from provision.catalog.lookup import ALIASES, fact, facts, kind_of
from provision.cli.catalog import Share, plain
from provision.cli.main import app

CATALOG = load()
TOOLKIT = CATALOG.cuda_toolkits[0]
BRANCH = CATALOG.driver_branches[0]
PACKAGE = CATALOG.cuda_compat[0]
KERNEL = next(row for row in CATALOG.kernels if row.releases)
DEVICE = CATALOG.gpus[0]


def invoked(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["catalog", *arguments])


def printed(*arguments: str) -> Any:
    said = invoked(*arguments, "--json")
    assert said.exit_code == 0, said.stderr
    return json.loads(said.stdout)


def shown(*arguments: str) -> list[str]:
    return [row["fact"] for row in printed("show", *arguments)["rows"]]


# show


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        pytest.param(("cuda", TOOLKIT.id), [TOOLKIT], id="a release"),
        pytest.param(
            ("cuda", TOOLKIT.minor),
            [row for row in CATALOG.cuda_toolkits if row.minor == TOOLKIT.minor],
            id="the releases of a minor",
        ),
        pytest.param(("driver", BRANCH.id), [BRANCH], id="a branch"),
        pytest.param(("driver", BRANCH.newest), [BRANCH], id="the branch of a version"),
        pytest.param(("compat", PACKAGE.id), [PACKAGE], id="a compatibility package"),
        pytest.param(("compat", PACKAGE.cuda), [PACKAGE], id="the compatibility package of a CUDA"),
        pytest.param(("gpu", DEVICE.id), [DEVICE], id="a PCI id"),
        pytest.param(("gpu", "GH200"), [row for row in CATALOG.gpus if row.name == "GH200"], id="a GPU by name"),
        pytest.param(
            ("gpu", "NVIDIA GH200 480GB"), [row for row in CATALOG.gpus if row.name == "GH200"], id="as nvidia-smi says"
        ),
        pytest.param(("kernel", KERNEL.id), [KERNEL], id="a kernel flavour"),
        pytest.param(("kernel", KERNEL.releases[0]), [KERNEL], id="the flavour of a kernel release"),
        pytest.param((f"cuda_toolkits/{TOOLKIT.id}",), [TOOLKIT], id="a fact's id"),
        pytest.param((f"cuda/{TOOLKIT.id}",), [TOOLKIT], id="a short fact's id"),
    ],
)
def test_what_a_person_types_finds_the_rows(arguments: Sequence[str], rows: Sequence[Row]) -> None:
    assert shown(*arguments) == [CATALOG.ref(row) for row in rows]


@pytest.mark.parametrize("kind", kinds(CATALOG))
def test_every_fact_is_found_by_its_id(kind: str) -> None:
    for row in kinds(CATALOG)[kind]:
        assert fact(CATALOG, CATALOG.ref(row)) is row
        assert facts(CATALOG, kind, row.id) == (row,)


@pytest.mark.parametrize("word", ALIASES)
def test_a_short_name_means_a_kind(word: str) -> None:
    assert kind_of(CATALOG, word) in kinds(CATALOG)


@pytest.mark.parametrize("kind", kinds(CATALOG))
def test_a_kind_is_called_by_its_name_in_any_writing(kind: str) -> None:
    singular = kind.removesuffix("s").replace("branche", "branch").replace("ilitie", "ility").replace("torie", "tory")
    for word in (kind, kind.upper(), kind.replace("_", "-"), singular):
        assert kind_of(CATALOG, word) == kind


def test_a_row_is_told_with_its_source_spelled_out_its_date_and_whether_it_was_verified() -> None:
    for row in (TOOLKIT, BRANCH, DEVICE):
        said = invoked("show", CATALOG.ref(row)).stdout
        for key in row.source.split("+"):
            source = CATALOG.sources[key]
            assert source.what in said
            assert source.date in said
        assert f"verified {'yes' if row.verified else 'no'}" in " ".join(said.split())


def test_json_has_every_field_and_the_source_spelled_out() -> None:
    [row] = printed("show", "cuda", TOOLKIT.id)["rows"]
    assert row == {
        "fact": CATALOG.ref(TOOLKIT),
        **TOOLKIT.model_dump(mode="json"),
        "cited": CATALOG.cite(TOOLKIT.source),
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("cdua", "1"), ["no kind of row 'cdua'", "cuda"], id="misspelt kind"),
        pytest.param(("zzz", "1"), ["no kind of row 'zzz'", "the kinds are", "gpus"], id="nothing like it"),
        pytest.param(("gpu", "GH20"), ["'GH20'", "GH200"], id="misspelt GPU"),
        pytest.param(("cuda", TOOLKIT.id + "9"), [TOOLKIT.id], id="no such release"),
        pytest.param(("driver", "9999"), ["driver_branches has no '9999'"], id="no such branch"),
        pytest.param(("cuda",), ["cuda_toolkits has no 'cuda'"], id="a kind alone"),
        pytest.param((f"cuda_toolkits/{TOOLKIT.id}9",), [TOOLKIT.id], id="no such fact"),
        pytest.param(("cdua/1",), ["cuda"], id="misspelt kind in a fact"),
    ],
)
def test_what_is_not_there_is_told_with_what_is_close(arguments: Sequence[str], words: Sequence[str]) -> None:
    said = invoked("show", *arguments)
    assert said.exit_code == 2
    assert said.stdout == ""
    assert len(said.stderr.splitlines()) == 1
    for word in words:
        assert word in said.stderr


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (65536, "65536"),
        (("a", "b"), "a, b"),
        ({"open": ("a", "b"), "proprietary": ("c",)}, "open: a, b; proprietary: c"),
    ],
)
def test_a_value_is_written_as_people_write(value: object, words: str) -> None:
    assert plain(value) == words


# stats


def test_stats_count_the_rows_and_the_share_verified() -> None:
    data = printed("stats")
    assert data["kinds"].keys() == kinds(CATALOG).keys()
    for kind, rows in kinds(CATALOG).items():
        assert data["kinds"][kind] == {"rows": len(rows), "verified": sum(row.verified for row in rows)}
    assert data["all"]["rows"] == sum(map(len, kinds(CATALOG).values()))


def test_stats_are_a_table_with_the_sum_last() -> None:
    lines = invoked("stats").stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [*kinds(CATALOG), "all"]
    assert CATALOG.as_of in lines[-1]


@pytest.mark.parametrize(
    ("rows", "verified", "percent"), [(0, 0, 0), (3, 3, 100), (1000, 999, 99)], ids=["none", "all", "nearly all"]
)
def test_a_share_is_never_rounded_up_to_all(rows: int, verified: int, percent: int) -> None:
    assert Share(rows=rows, verified=verified).percent == percent


# check


def test_the_catalog_that_is_shipped_has_no_defect() -> None:
    said = invoked("check")
    assert (said.exit_code, said.stdout.split(", ")[1]) == (0, "no defect\n")
    assert printed("check")["defects"] == []


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Catalog:
    row = DEVICE.model_copy(update={"source": ""})
    catalog = CATALOG.model_copy(update={"gpus": (row, *CATALOG.gpus[1:])})
    monkeypatch.setattr("provision.cli.catalog.load", lambda: catalog)
    return catalog


def test_a_defect_is_told_with_exit_code_1(broken: Catalog) -> None:
    said = invoked("check")
    assert (said.exit_code, said.stdout) == (1, f"gpus {DEVICE.id}: no source\n")
    said = invoked("check", "--json")
    assert (said.exit_code, json.loads(said.stdout)["defects"]) == (1, [f"gpus {DEVICE.id}: no source"])
