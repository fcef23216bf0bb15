"""Vendors' repositories: from a role's variables, or on the node already, or a sentence about what is nowhere."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import pytest

import provision
from provision.catalog import PackageSource, VendorRepository, find_repository, load
from provision.model import NodeSpec, Package, Packages, Plan, Repository, Snapshot, canonical
from provision.model.openpgp import fingerprints
from provision.planning import NoPlan, NoRepository, assemble, rooms
from provision.platforms import platform_for

ROOMS = rooms([Path(provision.__file__).parent.parent / "roles"])
KEY = (Path(__file__).parents[1] / "lab" / "archive" / "vendor.asc").read_text()
KEYS = {"key": KEY, "key_fingerprints": list(fingerprints(KEY))}
ROLES = {
    "doca_ofed": "ofed-repository",
    "open_kernel_modules": "driver-repository",
    "container_toolkit": "container-toolkit",
}
GH200 = {
    "os": "ubuntu24.04",
    "arch": "aarch64",
    "gpu": "GH200",
    "cuda": "13.0",
    "features": ["rdma", "containers", "gdrcopy", "dcgm"],
}
PAGE = (Path(__file__).parents[2] / "docs" / "repositories.md").read_text()


def repositories(role: str, **variables: Any) -> list[Repository]:
    declared = {"os": "ubuntu24.04", "arch": "x86_64", "gpu": "H100", "features": ["rdma", "containers"]}
    made = assemble(NodeSpec.model_validate({**declared, "variables": {role: variables}}), ROOMS).plan
    return [entry.resource for entry in made.entries if isinstance(entry.resource, Repository)]


@pytest.mark.parametrize("role", ROLES)
def test_with_a_key_there_is_a_repository_and_its_address_is_filled_in(role: str) -> None:
    (made,) = repositories(role, **KEYS)
    assert made.name == ROLES[role]
    assert made.key.armour == KEY
    assert not set("{}") & set("".join(made.uris))


@pytest.mark.parametrize("role", ROLES)
def test_without_one_there_is_none(role: str) -> None:
    assert repositories(role) == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"key": ""}, "_key is not the key of {role}_key_fingerprints: the key text holds no public key"),
        ({"key_fingerprints": ["0" * 40]}, "_key is not the key of {role}_key_fingerprints: the key text holds"),
        ({"key_fingerprints": []}, "_key is not the key of {role}_key_fingerprints: "),
        ({"url": "https://user:secret@vendor.example/"}, "_url: "),
        ({"url": "https://vendor.example/ {nothing}"}, "_url: "),
    ],
)
def test_what_cannot_be_right_is_told_by_its_name(role: str, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(NoPlan) as refused:
        repositories(role, **{**KEYS, **wrong})
    assert str(refused.value).startswith(role + told.format(role=role))
    assert "secret" not in str(refused.value)


def test_a_key_without_a_fingerprint_is_not_believed_where_none_is_known() -> None:
    with pytest.raises(NoPlan, match="doca_ofed_key_fingerprints is missing: no source tells the fingerprint"):
        repositories("doca_ofed", key=KEY)


def test_a_key_is_held_against_the_fingerprint_that_the_catalog_has_for_the_system() -> None:
    declared = {"arch": "x86_64", "gpu": "H100", "variables": {"open_kernel_modules": {"key": KEY}}}
    for os in ("debian12", "debian13", "ubuntu24.04"):
        row = find_repository(load().repositories, "cuda", os, "x86_64")
        assert row is not None
        with pytest.raises(NoPlan, match=f"declared is {row.fingerprints[0]}"):
            assemble(NodeSpec.model_validate({**declared, "os": os}), ROOMS)


@pytest.mark.parametrize("row", load().repositories, ids=lambda row: row.id)
def test_every_repository_has_a_role_that_declares_it_and_a_place_on_the_page(row: VendorRepository) -> None:
    assert {"url", "key", "key_fingerprints"} <= ROOMS[row.role].role.model_fields.keys()
    assert f"{row.role}_key" in PAGE
    assert all(text in PAGE for text in (row.url, row.key, row.key_url, *row.fingerprints))
    assert all(text in PAGE for text in row.os)
    assert row.verified or "verified: false" in PAGE


def test_every_repository_that_has_packages_has_a_row() -> None:
    assert {row.repository for row in load().repositories} == set(get_args(PackageSource)) - {"archive"}


def test_where_none_is_known_for_a_system_the_plan_says_so() -> None:
    spec = NodeSpec.model_validate({"os": "debian13", "arch": "aarch64", "gpu": "GH200", "features": ["dcgm"]})
    assert "NVIDIA's CUDA repository (none is known for debian13 on aarch64)" in [
        need.title for need in assemble(spec, ROOMS).needs
    ]


def made(**keys: Any) -> Plan:
    return assemble(NodeSpec.model_validate({**GH200, **keys}), ROOMS).plan


def vendors(plan: Plan) -> dict[str, Package]:
    packages = [one for e in plan.entries if isinstance(e.resource, Packages) for one in e.resource.packages]
    return {one.name: one for one in packages if one.repository != "archive"}


def reading(*repositories: str, **fields: Any) -> Snapshot:
    """A first reading of a node that has the distribution's archive and, of the vendors' packages, those of some."""
    spec = NodeSpec.model_validate(GH200)
    asked = platform_for(spec.os, spec.arch).offered_names(spec)
    plan = made()
    names = {one.name: ("1.2-artificial",) for one in vendors(plan).values() if one.repository in repositories}
    archive = [one for e in plan.entries if isinstance(e.resource, Packages) for one in e.resource.packages]
    distribution = {one.name: ("580.95.05-0artificial",) for one in archive if one.repository == "archive"}
    given = {
        "os": spec.os, "arch": spec.arch, "machine_id": "m", "boot_id": "b", "kernel": "6.8.0-artificial", "page_size": 4096,
        "asked": asked, "offers": {**distribution, **names},
    }  # fmt: skip
    return Snapshot.model_validate({**given, **fields})


def planned_after(first: Snapshot, **keys: Any) -> Any:
    return assemble(NodeSpec.model_validate({**GH200, **keys}), ROOMS, first)


def test_before_the_node_is_asked_a_plan_says_what_the_node_must_know() -> None:
    needed = assemble(NodeSpec.model_validate(GH200), ROOMS).needs
    assert {need.repository for need in needed} == {"cuda", "doca", "container-toolkit", "site"}
    assert {role for need in needed for role in need.roles} == {
        "cuda_toolkit", "dcgm", "doca_ofed", "container_toolkit", "gdrcopy",
    }  # fmt: skip


def test_what_the_inventory_declares_the_node_need_not_know() -> None:
    declared = {"open_kernel_modules": KEYS, "gdrcopy": {**KEYS, "url": "https://site.example/apt/"}}
    needed = assemble(NodeSpec.model_validate({**GH200, "variables": declared}), ROOMS).needs
    assert {need.repository for need in needed} == {"doca", "container-toolkit"}


def test_a_bare_node_is_refused_before_anything_is_changed_and_told_every_key() -> None:
    with pytest.raises(NoRepository) as refused:
        planned_after(reading())
    told = str(refused.value)
    assert "\n" not in told
    for row in load().repositories:
        if not row.os or GH200["os"] in row.os:
            assert f"declare {row.role}_key" in told
            assert all(text in told for text in (row.title, row.key, *row.fingerprints))
    assert "docs/repositories.md" in told


def test_a_role_that_is_left_out_adds_no_repository_and_the_plan_says_so() -> None:
    """A build host wants the toolkit alone; the key of its repository is the variable of another role."""
    alone = {"roles": ["preflight", "cuda_toolkit"], "features": [], "variables": {"open_kernel_modules": KEYS}}
    (need,) = assemble(NodeSpec.model_validate({**GH200, **alone}), ROOMS).needs
    assert "which open_kernel_modules adds, and `roles` leaves that out" in str(need)
    with pytest.raises(NoRepository, match="put open_kernel_modules into `roles`"):
        planned_after(reading(), **alone)


def test_what_the_node_knows_is_not_asked_for() -> None:
    assert planned_after(reading("cuda", "doca", "container-toolkit", "site")).needs
    with pytest.raises(NoRepository) as refused:
        planned_after(reading("cuda", "doca", "site"))
    assert "container_toolkit_key" in str(refused.value)
    assert "doca_ofed_key" not in str(refused.value)


def test_declared_repositories_are_believed_before_the_node_knows_them() -> None:
    given = {"open_kernel_modules": KEYS, "doca_ofed": KEYS, "container_toolkit": KEYS}
    with pytest.raises(NoRepository, match="gdrcopy_key with gdrcopy_url and gdrcopy_key_fingerprints"):
        planned_after(reading(), variables=given)
    assert planned_after(reading("site"), variables=given).plan


def test_a_reading_that_was_not_asked_about_them_has_no_say() -> None:
    first = reading()
    short = tuple(name for name in first.asked if name.startswith(("linux-", "nvidia-", "libnvidia-compute")))
    short = tuple(name for name in short if "container" not in name)
    wanted = {**GH200, "features": ["rdma"], "cuda": None}
    assert assemble(NodeSpec.model_validate(wanted), ROOMS, first.model_copy(update={"asked": short})).needs


def test_a_node_without_package_lists_is_told_to_fetch_them() -> None:
    with pytest.raises(NoRepository, match="no package lists yet, or no source at all"):
        planned_after(reading(offers={}))


def test_whose_package_it_is_is_no_part_of_what_should_be() -> None:
    ours, theirs = Package(name="a"), Package(name="a", repository="cuda")
    assert canonical(ours) == canonical(theirs)
    assert "repository" not in theirs.model_dump()


@pytest.mark.parametrize(("os", "driver"), [("debian13", "archive"), ("ubuntu24.04", "cuda")])
def test_a_first_reading_asks_about_every_package_that_only_vendors_have(os: str, driver: str) -> None:
    keys = {"os": os, "arch": "x86_64", "gpu": "B200" if driver == "cuda" else "H100", "driver_repository": driver}
    spec = NodeSpec.model_validate({**GH200, **keys, "cuda": None, "features": ["rdma", "containers", "dcgm"]})
    globs = platform_for(os, spec.arch).offered_names(spec)
    names = vendors(assemble(spec, ROOMS).plan)
    assert names
    assert [name for name in names if not any(fnmatchcase(name, glob) for glob in globs)] == []
