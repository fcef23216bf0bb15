"""A role's variables become a vendor's repository, or a sentence about the variable that cannot be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import provision
from provision.model import NodeSpec, Repository
from provision.model.openpgp import fingerprints
from provision.planning import NoPlan, assemble, rooms

ROOMS = rooms([Path(provision.__file__).parent.parent / "roles"])
KEY = (Path(__file__).parents[1] / "lab" / "archive" / "vendor.asc").read_text()
KEYS = {"key": KEY, "key_fingerprints": list(fingerprints(KEY))}
ROLES = {
    "doca_ofed": "ofed-repository",
    "open_kernel_modules": "driver-repository",
    "container_toolkit": "container-toolkit",
}


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
