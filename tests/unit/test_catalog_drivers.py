"""Drivers and GPUs of the catalog against tables that were typed from the sources, and faults that the checks find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provision.catalog import Catalog, DriverIssue, DriverNames, Gpu, driver_key, find_gpus, load
from provision.catalog.checks.drivers import drivers
from provision.model import NodeSpec
from provision.platforms import platform_for
from provision.stack.driver_rules import issues
from provision.stack.facts import Candidate, Facts

CATALOG = load()
GPUS = {gpu.id.removeprefix("10de:"): gpu for gpu in CATALOG.gpus}


def test_nothing_is_wrong_with_the_shipped_rows() -> None:
    assert list(drivers(CATALOG)) == []


# Branches: what nvidia-smi shows, and whether it was read on the forward-compatibility page

SHOWN = {
    "615": "13.4", "610": "13.3", "595": "13.2", "590": "13.1", "580": "13.0", "575": "12.9", "570": "12.8", "565": "12.7",
    "560": "12.6", "555": "12.5", "550": "12.4", "545": "12.3", "535": "12.2", "530": "12.1", "525": "12.0", "520": "11.8",
    "515": "11.7", "510": "11.6", "495": "11.5", "470": "11.4", "465": "11.3", "460": "11.2", "450": "11.0", "418": "10.1",
    "390": "9.1",
}  # fmt: skip
READ = {"535", "570", "580", "590", "595", "610", "615"}


def test_every_branch_shows_its_cuda() -> None:
    assert {row.id: row.cuda for row in CATALOG.driver_branches} == SHOWN
    assert {row.id for row in CATALOG.driver_branches if row.cuda_verified} == READ


# Names

PARTS = [
    # family, branch, part, packages
    ("ubuntu", "555", "open", {"nvidia-kernel-open-{branch}"}),
    ("ubuntu", "560", "open", {"nvidia-dkms-{branch}-open"}),
    ("ubuntu", "580", "open", {"nvidia-dkms-{branch}-open"}),
    ("ubuntu", "590", "open", {"nvidia-dkms-open"}),
    ("ubuntu", "615", "open", {"nvidia-dkms-open"}),
    ("ubuntu", "580", "proprietary", {"nvidia-dkms-{branch}"}),
    ("ubuntu", "580", "user", {"libnvidia-compute-{branch}"}),
    ("ubuntu", "590", "user", {"libnvidia-compute"}),
    ("ubuntu", "575", "fabricmanager", {"nvidia-fabricmanager-{branch}"}),
    ("ubuntu", "580", "fabricmanager", {"nvidia-fabricmanager"}),
    ("ubuntu", "575", "nscq", {"libnvidia-nscq-{branch}"}),
    ("ubuntu", "580", "nscq", {"libnvidia-nscq"}),
    ("ubuntu", "545", "imex", set()),
    ("ubuntu", "550", "imex", {"nvidia-imex-{branch}"}),
    ("ubuntu", "580", "imex", {"nvidia-imex"}),
    ("ubuntu", "555", "nvsdm", set()),
    ("ubuntu", "560", "nvsdm", {"libnvsdm-{branch}"}),
    ("ubuntu", "580", "nvsdm", {"libnvsdm"}),
    ("ubuntu", "565", "nvlsm", set()),
    ("ubuntu", "570", "nvlsm", {"nvlsm"}),
    ("debian", "580", "open", {"nvidia-kernel-open-dkms"}),
    ("debian", "590", "user", {"nvidia-driver-cuda"}),
    ("rhel", "575", "fabricmanager", {"nvidia-fabric-manager"}),
    ("rhel", "580", "fabricmanager", {"nvidia-fabricmanager"}),
    ("rhel", "580", "open", {"kmod-nvidia-open-dkms"}),
    ("sles", "550", "open", {"kernel-firmware-nvidia-gspx-G06"}),
    ("sles", "580", "open", {"nvidia-open-driver-G06"}),
    ("sles", "595", "open", {"nvidia-open-driver-G07"}),
]


def names(family: str, branch: str) -> DriverNames:
    (row,) = (
        row
        for row in CATALOG.driver_names
        if row.family == family and int(row.first) <= int(branch) <= int(row.last or branch)
    )
    return row


@pytest.mark.parametrize(("family", "branch", "part", "packages"), PARTS)
def test_parts_are_called_as_their_branch_calls_them(family: str, branch: str, part: str, packages: set[str]) -> None:
    row = names(family, branch)
    flavours: dict[str, tuple[str, ...]] = {flavour: row.kernel[flavour] for flavour in row.kernel}
    called = flavours[part] if part in flavours else getattr(row, part)
    assert packages <= set(called)
    assert bool(packages) == bool(called)


@pytest.mark.parametrize("branch", ["570", "580", "590"])
@pytest.mark.parametrize("family", ["ubuntu", "rhel"])
def test_the_library_of_nvlink5_switches_is_for_x86_alone(family: str, branch: str) -> None:
    assert names(family, branch).absent["aarch64"] == names(family, branch).nvsdm


def test_no_name_of_ubuntu_holds_the_branch_from_590_on() -> None:
    row = names("ubuntu", "590")
    assert "{branch}" not in "".join((*row.kernel["open"], *row.user, *row.fabricmanager, *row.imex, *row.nscq))


# GPUs

MIG_FROM = [
    ("A100", "450.80.02"),
    ("A30", "460.73.01"),
    ("H100", "525.85.12"),
    ("H20", "535.161.07"),
    ("H200", "550.90.07"),
    ("B200", "570.133.20"),
    ("GB200", "570.133.20"),
    ("B300", "580.82.07"),
    ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "575.51.03"),
    ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "575.57.08"),
    ("RTX PRO 5000", "575.57.08"),
]


@pytest.mark.parametrize(("gpu", "driver"), MIG_FROM)
def test_mig_begins_with_the_driver_that_the_guide_names(gpu: str, driver: str) -> None:
    rows = find_gpus(CATALOG.gpus, gpu)
    assert all(row.mig for row in rows)
    assert {row.mig_from for row in rows} == {driver}


@pytest.mark.parametrize("gpu", ["L40S", "L40", "L4", "T4", "V100", "A40", "A10", "P100"])
def test_gpus_outside_of_the_guide_have_no_mig(gpu: str) -> None:
    assert not any(row.mig for row in find_gpus(CATALOG.gpus, gpu))


@pytest.mark.parametrize("gpu", ["GH200", "GB300"])
def test_mig_without_a_floor_that_was_read_has_none(gpu: str) -> None:
    assert {(row.mig, row.mig_from) for row in find_gpus(CATALOG.gpus, gpu)} == {(True, None)}


SUPPORTED_FROM = {"A100": "450", "B200": "570.133.20", "RTX PRO 6000": "575.57.08"}


def test_only_what_a_source_names_has_a_supported_floor() -> None:
    assert {gpu.name: gpu.supported_from for gpu in CATALOG.gpus if gpu.supported_from} == SUPPORTED_FROM


def test_the_first_driver_that_lists_a_b200_does_not_support_it() -> None:
    listed = driver_key("570.86.15")
    assert driver_key(GPUS["2901"].supported_from or "") > listed


FABRICS = {
    "20b0": ("nvswitch", "none"),  # A100 SXM4
    "20b5": ("none",),  # A100 PCIe
    "2330": ("nvswitch", "none"),  # H100 SXM5
    "2331": ("none",),  # H100 PCIe
    "2335": ("nvswitch", "none"),  # H200 SXM
    "233b": ("none",),  # H200 NVL
    "2342": ("none",),  # GH200, whose name holds H200
    "2348": ("none",),
    "2901": ("nvlink5",),  # B200
    "3182": ("nvlink5",),  # B300
    "2941": ("rack", "none"),  # GB200 NVL72, NVL4
    "31c2": ("rack", "none"),  # GB300
    "26b9": ("none",),  # L40S
    "2bb5": ("none",),
}


@pytest.mark.parametrize(("device", "fabrics"), FABRICS.items())
def test_what_connects_the_gpus(device: str, fabrics: tuple[str, ...]) -> None:
    assert GPUS[device].fabrics == fabrics


def test_what_was_concluded_from_the_form_of_a_card_is_said() -> None:
    switched = [gpu for gpu in CATALOG.gpus if "nvswitch" in gpu.fabrics]
    assert switched
    assert all("fabrics" in gpu.derived for gpu in switched)


def test_workstations_and_small_machines_are_no_data_centre() -> None:
    outside = {gpu.id.removeprefix("10de:") for gpu in CATALOG.gpus if not gpu.data_centre}
    assert outside == {"17f0", "1430", "2bb1", "2bb2", "2bb3", "2bb4", "2bb9", "2e12", "2b00"}


def test_every_device_of_the_sources_has_a_row() -> None:
    assert len(CATALOG.gpus) == 98


def test_only_grace_machines_are_coherent() -> None:
    assert {gpu.name for gpu in CATALOG.gpus if gpu.coherent} == {"GH200", "GB200", "GB300"}


# Issues

CDMM_MIG = ("cdmm", "mig")
CONCERNED: list[tuple[str, str, str, tuple[str, ...], str, str, bool]] = [
    # issue, driver, modules, features, gpu, system, is it about this?
    ("cdmm-mig-580.65.06", "580.65.06", "open", CDMM_MIG, "GH200", "ubuntu24.04", True),
    ("cdmm-mig-580.65.06", "580.65.06", "open", ("cdmm",), "GH200", "ubuntu24.04", False),
    ("cdmm-mig-580.65.06", "580.65.06", "open", CDMM_MIG, "H200", "ubuntu24.04", False),
    ("cdmm-mig-580.65.06", "580.82.07", "open", CDMM_MIG, "GH200", "ubuntu24.04", False),
    ("cdmm-mig", "580.82.07", "open", CDMM_MIG, "GH200", "ubuntu24.04", True),
    ("cdmm-mig", "595.91.07", "open", CDMM_MIG, "GB200", "ubuntu24.04", True),
    ("cdmm-mig", "570.211.01", "open", CDMM_MIG, "GH200", "ubuntu24.04", False),
    ("cdmm-gds-580.65.06", "580.65.06", "open", ("gds", "cdmm"), "GB200", "ubuntu24.04", True),
    ("gds-needs-open", "580.178.04", "proprietary", ("gds",), "A100", "ubuntu22.04", True),
    ("gds-needs-open", "580.178.04", "open", ("gds",), "A100", "ubuntu22.04", False),
    ("rtx-pro-6000-mig-575.57.08", "575.57.08", "open", ("mig",), "RTX PRO 6000", "ubuntu24.04", True),
    ("rtx-pro-6000-mig-575.57.08", "575.57.08", "open", ("mig",), "A100", "ubuntu24.04", False),
    ("mig-mixed-570", "570.158.01", "open", ("mig",), "H100", "ubuntu24.04", True),
    ("mig-mixed-570", "570.172.08", "open", ("mig",), "H100", "ubuntu24.04", False),
    ("mig-mixed-570", "570", "open", ("mig",), "H100", "ubuntu24.04", False),
    ("sles16-fabricmanager-doca", "595.91.07", "open", ("fabricmanager", "rdma"), "H100", "sles16.0", True),
    ("sles16-fabricmanager-doca", "595.91.07", "open", ("fabricmanager", "rdma"), "H100", "sles15.6", False),
    ("gh200-nvl2-vbios", "565.57.01", "open", (), "GH200", "ubuntu22.04", True),
    ("gh200-nvl2-vbios", "550.163.01", "open", (), "GH200", "ubuntu22.04", False),
    ("rtx-pro-4500-590", "590.48.01", "open", (), "RTX PRO 4500", "ubuntu24.04", True),
    ("thor-jetpack", "595.91.07", "open", (), "Thor", "ubuntu24.04", True),
    ("thor-jetpack", "595.91.07", "open", (), "GH200", "ubuntu24.04", False),
]


@pytest.mark.parametrize("case", CONCERNED, ids=lambda case: "-".join(case[:3]))
def test_an_issue_concerns_what_it_names(case: tuple[str, str, str, tuple[str, ...], str, str, bool]) -> None:
    issue, driver, modules, features, gpu, system, is_so = case
    assert (issue in told(driver, modules, features, find_gpus(CATALOG.gpus, gpu), system)) is is_so


def told(driver: str, modules: str, features: tuple[str, ...], gpus: tuple[Gpu, ...], system: str) -> set[str]:
    """The issues that the resolver sees. The platform says nothing about them, so any will do."""
    spec = NodeSpec.model_validate({"os": system, "arch": "x86_64", "features": features})
    facts = Facts(spec, CATALOG, platform_for("ubuntu24.04", "x86_64"), gpus, None)
    return {row.id for row in issues(facts, Candidate("modules", modules, driver=driver))}


@pytest.mark.parametrize("row", [row for row in CATALOG.driver_issues if row.gpus], ids=lambda row: row.id)
def test_an_issue_of_some_gpus_says_nothing_where_no_gpu_is_known(row: DriverIssue) -> None:
    features = tuple(feature for feature in (row.with_feature, row.excludes) if feature)
    driver = row.driver or row.first or CATALOG.driver_branches[-1].newest
    assert row.covers(driver)
    assert row.id not in told(driver, row.with_modules or "open", features, (), "ubuntu24.04")


SPANS = [
    # driver, first, before, version, is it in?
    ("", "", "", "580.65.06", True),
    ("580", "", "", "580.65.06", True),
    ("580.65.06", "", "", "580.82.07", False),
    ("", "570.124.06", "570.172.08", "570.124.06", True),
    ("", "570.124.06", "570.172.08", "570.172.08", False),
    ("", "570.124.06", "570.172.08", "570.86.15", False),
    ("", "570.124.06", "", "580", True),
    ("", "", "580", "580.65.06", False),
    ("", "", "580", "575.57.08", True),
    ("", "", "570.172.08", "570", False),
]


@pytest.mark.parametrize(("driver", "first", "before", "version", "inside"), SPANS)
def test_a_span_ends_before_its_last_word_and_a_branch_stands_for_its_newest(
    driver: str, first: str, before: str, version: str, inside: bool
) -> None:
    row = CATALOG.driver_issues[0].model_copy(update={"driver": driver, "first": first, "before": before})
    assert row.covers(version) is inside


# Faults

Change = Callable[[Any], dict[str, Any]]


def _changed(kind: str, row_id: str, change: Change) -> Catalog:
    rows = [row.model_copy(update=change(row)) if row.id == row_id else row for row in getattr(CATALOG, kind)]
    assert rows != list(getattr(CATALOG, kind))
    return CATALOG.model_copy(update={kind: tuple(rows)})


def _to(**fields: Any) -> Change:
    return lambda _: fields


FAULTS: list[tuple[str, str, Change, str]] = [
    ("gpus", "10de:2901", _to(supported_from="57O.133.20"), "is not a driver version"),
    ("gpus", "10de:2901", _to(mig_from="999.1"), "there is no driver branch 999"),
    ("gpus", "10de:26b9", _to(mig_from="580.82.07"), "a first driver with MIG, but no MIG"),
    ("gpus", "10de:2330", _to(fabrics=()), "no fabric, or one of them twice"),
    ("gpus", "10de:2330", _to(fabrics=("nvswitch", "nvswitch")), "no fabric, or one of them twice"),
    ("gpus", "10de:2330", _to(derived=("colour",)), "colour is derived, but no field"),
    ("gpus", "10de:2330", _to(last_branch="580"), "a last branch, but the open modules go on"),
    ("gpus", "10de:2330", _to(modules="proprietary"), "open modules serve it, but cannot drive it"),
    ("driver_branches", "580", _to(newest="590.48.01"), "is of another branch"),
    ("driver_branches", "580", _to(cuda=None), "a CUDA version that is not there was read"),
    ("driver_branches", "580", _to(cuda="12.1"), "driver_branches 580: shows CUDA 12.1, and 575 before it 12.9"),
    ("driver_names", "ubuntu-580", _to(family="plan"), "there is no family plan"),
    ("driver_names", "ubuntu-580", _to(first="581"), "there is no driver branch 581"),
    ("driver_names", "ubuntu-580", _to(first="newest"), "is not a driver version"),
    ("driver_names", "ubuntu-580", _to(first="570"), "driver_names ubuntu-580: its branches overlap those of ubuntu-570"),
    ("driver_names", "ubuntu-580", _to(last=None), "driver_names ubuntu-590: its branches overlap those of ubuntu-580"),
    ("driver_names", "ubuntu-580", _to(last="575"), "575 is older than 580"),
    ("driver_names", "ubuntu-580", _to(imex=("nvidia-imex-{major}",)), "has a placeholder 'major'"),
    ("driver_names", "ubuntu-580", _to(nvsdm=()), "libnvsdm, absent on aarch64, is none of its packages"),
    ("driver_names", "ubuntu-580", _to(kernel={"open": ("x",)}), "a flavour of the kernel modules has no name"),
    ("driver_issues", "cdmm-mig-580.65.06", _to(driver="58O"), "is not a driver version"),
    ("driver_issues", "cdmm-mig-580.65.06", _to(first="581.1"), "there is no driver branch 581"),
    ("driver_issues", "cdmm-mig-580.65.06", _to(with_feature="mug"), "there is no feature mug"),
    ("driver_issues", "cdmm-mig-580.65.06", _to(excludes="cdmm"), "cdmm is excluded by nothing else"),
    ("driver_issues", "cdmm-mig-580.65.06", _to(gpus=("GH20",)), "there is no GPU GH20"),
    ("driver_issues", "cdmm-mig-580.65.06", _to(verified=False), "refuses what nobody read"),
    ("driver_issues", "cdmm-mig-580.65.06", _to(driver="", with_feature="", excludes=""), "concerns every driver"),
    ("driver_issues", "cdmm-mig-580.65.06", _to(first="590", before="580"), "580 is not newer than 590"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "row", "change", "fault"), FAULTS, ids=[fault[-1] for fault in FAULTS])
def test_a_fault_is_found(kind: str, row: str, change: Change, fault: str) -> None:
    found = list(drivers(_changed(kind, row, change)))
    assert [text for text in found if text.startswith(f"{kind} ") and fault in text]


def test_rows_of_two_families_may_share_branches() -> None:
    twin = names("ubuntu", "580").model_copy(update={"id": "twin", "family": "rocky", "first": "580"})
    found = list(drivers(CATALOG.model_copy(update={"driver_names": (*CATALOG.driver_names, twin)})))
    assert found == ["driver_names twin: there is no family rocky"]


def test_every_derived_field_is_a_field() -> None:
    assert {field for gpu in CATALOG.gpus for field in gpu.derived} <= set(Gpu.model_fields)
