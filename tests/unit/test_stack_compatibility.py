"""How toolkits stand to drivers: NVIDIA's table and matrix row by row, told again without the resolver's code."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from provision.catalog import CudaCompat, CudaToolkit, Gpu, branch_of, driver_key, find_gpus, load
from provision.stack import standing

CATALOG = load()
BRANCHES = {row.id: row for row in CATALOG.driver_branches}
TOOLKITS = {row.id: row for row in CATALOG.cuda_toolkits}
DRIVERS = sorted(
    {row.newest for row in CATALOG.driver_branches} | {row.driver for row in CATALOG.cuda_toolkits if row.driver},
    key=driver_key,
)
DATA_CENTRE = find_gpus(CATALOG.gpus, "H100")
OTHER = tuple(gpu for gpu in CATALOG.gpus if not gpu.data_centre)[:1]


def told(toolkit: CudaToolkit, driver: str, gpus: Sequence[Gpu]) -> str:
    """The rule of the facts (15, R02), as one expression per line."""
    version, branch = driver_key(driver), BRANCHES.get(branch_of(driver))
    if toolkit.driver is not None and version >= driver_key(toolkit.driver):
        return "native"
    if toolkit.driver is None and toolkit.branch is None:
        return "no"
    if toolkit.driver is None and toolkit.branch is not None and version[0] >= int(toolkit.branch):
        return "native"
    floor = next(row.driver for row in CATALOG.cuda_majors if row.id == toolkit.id.split(".")[0])
    if version >= driver_key(floor):
        return "minor"
    minor = ".".join(toolkit.id.split(".")[:2])
    packages = [row for row in CATALOG.cuda_compat if row.cuda == minor]
    listed = branch is not None and any(row.on.get(branch.id) == "compatible" for row in packages)
    newer = all(driver_key(row.driver) > version for row in packages if row.driver)
    allowed = all(gpu.data_centre for gpu in gpus)
    return "forward" if listed and newer and allowed and branch is not None and branch.type != "NFB" else "no"


@pytest.mark.parametrize("gpus", [(), DATA_CENTRE, OTHER], ids=["no gpu named", "data-centre", "other"])
@pytest.mark.parametrize("toolkit", TOOLKITS.values(), ids=lambda row: row.id)
def test_the_whole_table_of_toolkits_and_drivers(toolkit: CudaToolkit, gpus: Sequence[Gpu]) -> None:
    expected = {driver: told(toolkit, driver, gpus) for driver in DRIVERS}
    assert {driver: standing(CATALOG, toolkit, driver, gpus).how for driver in DRIVERS} == expected


@pytest.mark.parametrize("package", CATALOG.cuda_compat, ids=lambda row: row.id)
def test_the_whole_forward_compatibility_matrix(package: CudaCompat) -> None:
    """Where NVIDIA's page says C, the package is used unless the driver needs none or is of a new feature branch."""
    toolkits = [row for row in CATALOG.cuda_toolkits if row.id.startswith(f"{package.cuda}.") and not row.preview]
    assert toolkits
    for base, stands in package.on.items():
        hows = {standing(CATALOG, row, base, DATA_CENTRE).how for row in toolkits}
        if stands == "native":
            assert "native" in hows, base
        elif stands == "not_compatible":
            assert hows == {"native"}, f"{base} is newer"
        elif BRANCHES[base].type == "NFB":
            assert "forward" not in hows, base
        else:
            assert hows <= {"minor", "forward"}, base


def test_every_answer_names_rows_of_the_catalog() -> None:
    ids = {f"{name}/{row.id}" for name in type(CATALOG).model_fields for row in _rows(name)}
    for toolkit in CATALOG.cuda_toolkits:
        for driver in DRIVERS:
            answer = standing(CATALOG, toolkit, driver)
            assert answer.why
            assert answer.text
            assert set(answer.why) <= ids


def _rows(name: str) -> tuple[CudaToolkit, ...]:
    rows = getattr(CATALOG, name)
    return rows if isinstance(rows, tuple) else ()


@pytest.mark.parametrize("toolkit", TOOLKITS.values(), ids=lambda row: row.id)
def test_a_newer_driver_never_loses_a_toolkit(toolkit: CudaToolkit) -> None:
    """Of native and minor: the order no < minor < native never falls. A base of a package may well be newer than it."""
    rank = {"no": 0, "forward": 0, "minor": 1, "native": 2}
    ranks = [rank[standing(CATALOG, toolkit, driver).how] for driver in DRIVERS]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_older_toolkit_runs_where_a_newer_one_runs_natively(driver: str) -> None:
    native = [row for row in CATALOG.cuda_toolkits if standing(CATALOG, row, driver).how == "native"]
    known = [row for row in CATALOG.cuda_toolkits if row.driver is not None]
    for newest in native:
        older = [
            row for row in known if row.driver and newest.driver and driver_key(row.driver) <= driver_key(newest.driver)
        ]
        assert {standing(CATALOG, row, driver).how for row in older} <= {"native"}


def test_a_branch_stands_for_its_newest_version() -> None:
    for branch in CATALOG.driver_branches:
        for toolkit in CATALOG.cuda_toolkits:
            assert standing(CATALOG, toolkit, branch.id) == standing(CATALOG, toolkit, branch.newest)


def test_a_toolkit_without_a_published_driver_is_never_given_one() -> None:
    unknown = next(iter(CATALOG.cuda_toolkits)).model_copy(update={"driver": None, "branch": None})
    assert {standing(CATALOG, unknown, driver).how for driver in DRIVERS} == {"no"}
