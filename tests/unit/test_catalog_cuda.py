"""The rows of CUDA say what NVIDIA's tables say, typed here a second time, and their checks can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from provision.catalog import Catalog, check, driver_key, load
from provision.catalog.checks.cuda import cuda

CATALOG = load()

# Forward-compatibility page at CUDA 13.4, read 2026-11-20: C compatible, N native (printed N/A), X not compatible.
FORWARD = """
CUDA  535 570 580 590 595 610 615
13.4   C   C   C   C   C   C   N
13.3   C   C   C   C   C   N   X
13.2   C   C   C   C   N   X   X
13.1   C   C   C   N   X   X   X
13.0   C   C   N   X   X   X   X
12.9   C   C   X   X   X   X   X
12.8   C   N   X   X   X   X   X
12.6   C   X   X   X   X   X   X
12.5   C   X   X   X   X   X   X
12.4   C   X   X   X   X   X   X
12.3   C   X   X   X   X   X   X
12.2   N   X   X   X   X   X   X
"""
LETTERS = {"C": "compatible", "N": "native", "X": "not_compatible"}

# Release notes, table 3, edition 13.2 Update 2, and manifests: the drivers of a minor's releases from .0 on; of two the larger.
# `=` is that of the release before, `-` is one that was not released.
DRIVERS = """
11.0  -           450.36.06   450.51.05   450.51.06
11.1  455.23      455.32
11.2  460.27.03   460.32.03   460.32.03
11.3  465.19.01   465.19.01
11.4  470.42.01   470.57.02   470.57.02   470.82.01  470.82.01
11.5  495.29.05   495.29.05   495.29.05
11.6  510.39.01   510.47.03   510.47.03
11.7  515.43.04   515.65.01
11.8  520.61.05
12.0  525.60.13   525.85.12
12.1  530.30.02   530.30.02
12.2  535.54.03   535.86.10   535.104.05
12.3  545.23.06   545.23.08   545.23.08
12.4  550.54.14   550.54.15
12.5  555.42.02   555.42.06
12.6  560.28.03   560.35.03   560.35.03   560.35.05
12.8  570.86.10   570.124.06  =
12.9  575.51.03   575.57.08   =
13.0  580.65.06   580.82.07   580.95.05   =
13.1  590.44.01   590.48.01   =
13.2  595.45.04   595.58.03   595.71.05
13.3  610.43.02   610.43.02
"""

# crt/host_config.h (from 12.0 on), nixpkgs' nvcc.nix and Spack: highest gcc and clang.
COMPILERS = """
11.0 9 9,   11.1 10 10, 11.2 10 11, 11.3 10 11, 11.4 10 12, 11.5 10 12, 11.6 11 12, 11.7 11 13, 11.8 11 14
12.0 12 14, 12.1 12 15, 12.2 12 16, 12.3 12 16, 12.4 13 17, 12.5 13 17, 12.6 13 18, 12.8 14 19, 12.9 14 19
13.0 15 20, 13.1 15 21, 13.2 15 21, 13.3 15 21, 13.4 16 22, 13.5 16 22
"""


def forward() -> Iterator[tuple[str, str, str]]:
    """(CUDA, base branch, standing) of the page's table."""
    head, *lines = FORWARD.strip().splitlines()
    for line in lines:
        cuda_version, *letters = line.split()
        yield from ((cuda_version, base, LETTERS[x]) for base, x in zip(head.split()[1:], letters, strict=True))


def drivers() -> dict[str, str]:
    """Release -> driver of the table above."""
    table: dict[str, str] = {}
    for line in DRIVERS.strip().splitlines():
        minor, *releases = line.split()
        for digit, driver in enumerate(releases):
            if driver != "-":
                table[f"{minor}.{digit}"] = table[f"{minor}.{digit - 1}"] if driver == "=" else driver
    return table


def test_the_whole_forward_matrix_is_that_of_the_page() -> None:
    rows = [(row.cuda, base, standing) for row in CATALOG.cuda_compat for base, standing in row.on.items()]
    assert sorted(rows) == sorted(forward())
    assert len(rows) == 12 * 7


def test_every_release_has_the_driver_of_the_table() -> None:
    assert {row.id: row.driver for row in CATALOG.cuda_toolkits if row.driver} == drivers()


def test_a_toolkit_without_a_driver_bundles_none_and_is_known_by_its_branch() -> None:
    for row in CATALOG.cuda_toolkits:
        assert row.bundles_driver == (row.driver is not None), row.id
        assert row.branch or row.driver, row.id


def test_no_toolkit_was_ever_called_as_what_branch_565_reports() -> None:
    assert "12.7" not in {row.minor for row in CATALOG.cuda_toolkits}
    assert "12.7" not in {row.cuda for row in CATALOG.cuda_compat}


def test_where_release_notes_and_manifest_disagree_the_note_tells_both() -> None:
    told = {row.id: row for row in CATALOG.cuda_toolkits if "the larger" in row.note}
    assert sorted(told) == ["11.7.1", "12.2.1", "12.8.0"]
    for row in told.values():
        assert row.driver and row.driver in row.note


def test_what_was_concluded_or_quoted_is_not_called_read() -> None:
    doubtful = {row.id for row in CATALOG.cuda_toolkits if not row.verified}
    assert doubtful == {"12.8.2", "12.9.2", "13.0.3", "13.1.2", "13.3.0", "13.3.1", "13.4.0"}
    assert all(row.note for row in CATALOG.cuda_toolkits if not row.verified)


def test_the_floors_of_minor_version_compatibility() -> None:
    assert {row.id: row.driver for row in CATALOG.cuda_majors} == {"11": "450.80.02", "12": "525.60.13", "13": "580"}


def test_the_ceilings_of_the_host_compilers() -> None:
    table = [tuple(cell.split()) for cell in COMPILERS.strip().replace("\n", ",").split(",")]
    assert [(row.id, row.gcc, row.clang) for row in reversed(CATALOG.host_compilers) if row.id.count(".") == 1] == table


def test_the_first_release_of_two_minors_accepts_less_than_the_later_ones() -> None:
    rows = {row.id: row for row in CATALOG.host_compilers}
    own = [row for row in CATALOG.host_compilers if row.id.count(".") == 2]
    assert sorted(row.id for row in own) == ["11.4.0", "12.2.0"]
    for row in own:
        assert int(row.clang) == int(rows[row.id.removesuffix(".0")].clang) - 1


def test_which_compilers_know_which_gpu() -> None:
    known = {row.id: (row.first_cuda, row.last_cuda) for row in CATALOG.capabilities}
    assert known["7.0"][1] == known["5.2"][1] == "12.9"
    assert known["8.0"] == ("11.0", None)
    assert known["9.0"] == ("11.8", None)
    assert known["10.0"] == known["12.0"] == ("12.8", None)
    assert known["10.3"] == ("12.9", None)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("222", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"),
        ("802", "CUDA_ERROR_SYSTEM_NOT_READY"),
        ("803", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
        ("804", "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"),
    ],
)
def test_errors_are_found_by_their_number(code: str, name: str) -> None:
    assert [(row.name, row.verified) for row in CATALOG.cuda_errors if row.id == code] == [(name, True)]


# The checks


def test_the_rows_have_no_defect() -> None:
    assert list(cuda(CATALOG)) == []


def holding(kind: str, rows: tuple[Any, ...]) -> Catalog:
    """The catalog with other rows of one kind; built anew, because a copy would keep what the catalog has cached."""
    return Catalog(**{name: getattr(CATALOG, name) for name in Catalog.model_fields} | {kind: rows})


def changed(kind: str, row_id: str, **update: Any) -> Catalog:
    """The catalog with one row changed."""
    rows = getattr(CATALOG, kind)
    assert row_id in {row.id for row in rows}
    return holding(kind, tuple(row.model_copy(update=update) if row.id == row_id else row for row in rows))


def without(kind: str, row_id: str) -> Catalog:
    """The catalog less one row."""
    rows = getattr(CATALOG, kind)
    assert row_id in {row.id for row in rows}
    return holding(kind, tuple(row for row in rows if row.id != row_id))


def rebased(package: str, **standings: str) -> Catalog:
    """The catalog with other standings of a package: `_570="native"`."""
    on = next(row for row in CATALOG.cuda_compat if row.id == package).on
    new = {base.removeprefix("_"): standing for base, standing in standings.items()}
    return changed("cuda_compat", package, on={**on, **new})


def older_gpu() -> Catalog:
    return changed("gpus", CATALOG.gpus[0].id, compute_capability="1.0")


FAULTS: list[tuple[Callable[[], Catalog], str]] = [
    (lambda: changed("cuda_toolkits", "12.8.1", id="12.8"), "'12.8' is not a version"),
    (lambda: changed("cuda_toolkits", "12.8.1", driver="570.124.06-1"), "'570.124.06-1' is not a version"),
    (lambda: changed("cuda_toolkits", "12.8.1", branch="571"), "12.8.1: there is no driver branch 571"),
    (lambda: changed("cuda_toolkits", "12.8.1", branch="575"), "12.8.1: driver 570.124.06 is not of branch 575"),
    (lambda: changed("driver_branches", "570", cuda="12.6"), "12.8.1: driver branch 570 reports CUDA 12.6"),
    (lambda: changed("cuda_toolkits", "12.8.1", driver="570.26"), "12.8.1: needs driver 570.26, less than 570.86.10"),
    (lambda: changed("cuda_toolkits", "13.4.1", branch="595"), "13.4.1: needs driver 595, less than 615"),
    (lambda: without("cuda_majors", "12"), "12.8.1: cuda_majors has no row 12"),
    (lambda: changed("cuda_majors", "12", id="12.x"), "'12.x' is not a version"),
    (lambda: changed("cuda_majors", "12", driver="526.60.13"), "cuda_majors 12: there is no driver branch 526"),
    (lambda: changed("cuda_compat", "cuda-compat-12-8", cuda="12.7"), "there is no toolkit of CUDA 12.7"),
    (lambda: changed("cuda_compat", "cuda-compat-12-8", cuda="12.9"), "is not called after CUDA 12.9"),
    (lambda: changed("cuda_compat", "cuda-compat-12-8", driver="575.57.08"), "575.57.08 is not of branch 570"),
    (lambda: rebased("cuda-compat-12-8", _536="compatible"), "there is no driver branch 536"),
    (lambda: rebased("cuda-compat-12-8", _R570="native"), "'R570' is not a version"),
    (lambda: rebased("cuda-compat-12-8", _570="compatible"), "native is 570, but 570 is compatible"),
    (lambda: rebased("cuda-compat-12-8", _535="native"), "native is 570, but 535 is native"),
    (lambda: rebased("cuda-compat-12-8", _580="compatible"), "compatible over 580, which is newer"),
    (lambda: without("host_compilers", "12.8"), "host_compilers: there is no row for CUDA 12.8"),
    (lambda: changed("host_compilers", "12.2.0", id="12.2.9"), "host_compilers 12.2.9: there is no such toolkit"),
    (lambda: changed("host_compilers", "12.8", gcc="14.2"), "'14.2' is not a version"),
    (lambda: changed("host_compilers", "12.8", gcc_least="15"), "host_compilers 12.8: accepts no compiler"),
    (lambda: changed("host_compilers", "12.8", clang_least_grace="20"), "host_compilers 12.8: accepts no compiler"),
    (lambda: changed("capabilities", "9.0", first_cuda="11"), "'11' is not a version"),
    (lambda: changed("capabilities", "7.0", last_cuda="8.0"), "capabilities 7.0: ends with CUDA 8.0"),
    (older_gpu, "capabilities has no row 1.0"),
]


@pytest.mark.parametrize(("broken", "defect"), FAULTS, ids=[defect for _, defect in FAULTS])
def test_a_seeded_fault_is_found(broken: Callable[[], Catalog], defect: str) -> None:
    assert any(defect in told for told in check(broken()))


def test_a_package_whose_own_branch_is_no_base_needs_no_native_one() -> None:
    row = next(row for row in CATALOG.cuda_compat if "native" not in row.on.values())
    assert not {toolkit.branch for toolkit in CATALOG.cuda_toolkits if toolkit.minor == row.cuda} & set(row.on)
    assert not any(row.id in told for told in cuda(CATALOG))


def test_the_driver_of_a_toolkit_never_falls_with_the_release() -> None:
    rows = sorted(CATALOG.cuda_toolkits, key=lambda row: driver_key(row.id))
    keys = [driver_key(row.driver) for row in rows if row.driver]
    assert keys == sorted(keys)
