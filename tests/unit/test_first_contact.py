"""What somebody meets who has just unpacked this: typical mistakes, told in people's words on every way in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from provision.cli.main import app
from provision.cli.settings import declared_by, settings
from provision.engines.ansible.declared import declared
from provision.inventory import WrongInventory, read_hosts
from provision.model import NodeSpec, canonical
from provision.planning import rooms

GOOD = {"os": "ubuntu24.04", "arch": "aarch64", "gpu": "GH200"}

MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("another's word for an architecture", {"arch": "arm64"}, "arch='arm64': it must be one of x86_64, aarch64; did you mean 'aarch64'?"),
    ("a misspelt key", {"drivr": "580"}, "'drivr' is not a key, did you mean 'driver'?"),
    ("a number for a version", {"cuda": 13.0}, "cuda=13.0: a text belongs there, in quotes: '13.0'"),
    ("a word for a version", {"driver": "latest"}, "driver='latest': it is not written as it must be: driver branch (580) or exact version (580.159.04)"),
    ("a name with its vendor's prefix", {"driver": "nvidia-580"}, "driver='nvidia-580': it is not written as it must be: driver branch"),
    ("a word for a list", {"features": "rdma"}, "features='rdma': a list belongs there: ['rdma']"),
    ("a misspelt word in a list", {"features": ["container"]}, "features holds 'container': it must be one of "),
    ("the system's nickname", {"os": "noble"}, "os='noble': it is not written as it must be: distribution and release, e.g. ubuntu24.04"),
    ("a misspelt GPU", {"gpu": "GH20O"}, "GPU 'GH20O' is not in the catalog; did you mean GH200"),
    ("a yes where a truth belongs", {"fabricmanager": "perhaps"}, "fabricmanager='perhaps': True or False belongs there"),
    ("an unknown way to reboot", {"reboots": "stage"}, "reboots='stage': it must be one of staged, single; did you mean 'staged'?"),
    ("a role's variable, misspelt", {"kernel_64k_trial_minute": 5}, "'kernel_64k_trial_minute' is not a key, did you mean 'kernel_64k_trial_minutes'?"),
    ("a role's variable, too small", {"kernel_64k_trial_minutes": 0}, "kernel_64k_trial_minutes=0: it must be 2 or more"),
    ("a role's variable, no number", {"preflight_root_mib": "much"}, "preflight_root_mib='much': a whole number belongs there"),
    ("a role's variable, no list", {"kernel_64k_arguments": "quiet"}, "kernel_64k_arguments='quiet': a list belongs there: ['quiet']"),
    ("several words as one", {"kernel_64k_arguments": ["quiet splash"]}, "kernel_64k_arguments holds 'quiet splash': it is not written as it must be: words for the kernel's"),
    ("an unknown profile", {"doca_ofed_profile": "doca"}, "doca_ofed_profile='doca': it must be one of doca-ofed, "),
    ("a role that there is not", {"roles": ["kernel"]}, "there is no role 'kernel', did you mean 'kernel_64k'?"),
]  # fmt: skip
"""What somebody did, the keys, and the beginning of what is told."""

OURS_ALONE = ("pydantic", "Input should", "input should", "Traceback", "validation error", "^[", "type=", "\n")
"""Words of the tools beneath, which nobody who writes an inventory should have to read."""


def in_a_file(keys: Mapping[str, Any], folder: Path) -> str:
    path = folder / "fleet.py"
    path.write_text(f"from provision import fleet\n\none = fleet(['n1'], **{ {**GOOD, **keys}!r})\n")
    with pytest.raises(WrongInventory) as caught:
        read_hosts(path)
    return str(caught.value)


def on_the_command_line(keys: Mapping[str, Any], _folder: Path) -> str:
    texts = [f"{key}={_typed(value)}" for key, value in {**GOOD, **keys}.items()]
    with pytest.raises(WrongInventory) as caught:
        declared_by(settings(texts), rooms())
    return str(caught.value)


def _typed(value: object) -> str:
    return ",".join(value) if isinstance(value, list) and value[0] in {"kernel", "container"} else _json(value)


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def in_ansible(keys: Mapping[str, Any], _folder: Path) -> str:
    found = rooms()
    names = {key: key if key.startswith(tuple(f"{name}_" for name in found)) else f"provision_{key}" for key in keys}
    variables = {f"provision_{key}": value for key, value in GOOD.items()}
    variables |= {names[key]: value for key, value in keys.items()}
    with pytest.raises(WrongInventory) as caught:
        declared("n1", variables, found, lambda value: value)
    return str(caught.value)


@pytest.mark.parametrize("way", [in_a_file, on_the_command_line, in_ansible], ids=lambda way: way.__name__)
@pytest.mark.parametrize(("keys", "told"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_typical_mistake_is_told_in_one_paragraph_of_peoples_words(
    way: Any, keys: dict[str, Any], told: str, tmp_path: Path
) -> None:
    if way is on_the_command_line and ("cuda" in keys or "a list belongs there" in told):
        pytest.skip("on the command line everything is text, and words are lists")
    paragraph = way(keys, tmp_path)
    assert told in paragraph
    assert not [word for word in OURS_ALONE if word in paragraph], paragraph
    assert paragraph.endswith("No machine was touched.")


def test_the_order_in_which_variables_were_typed_decides_nothing() -> None:
    keys = {
        "kernel_64k_tools": False,
        "preflight_root_mib": 7,
        "kernel_64k_fallback_kernels": 2,
        "doca_ofed_firmware": True,
    }
    one, other = ({**GOOD, **dict(items)} for items in (keys.items(), reversed(keys.items())))
    first, second = (declared_by({k: _json(v) for k, v in typed.items()}, rooms()) for typed in (one, other))
    assert first.model_dump_json() == second.model_dump_json()
    assert canonical(first) == canonical(second)
    plain = {"preflight": {"root_mib": 7, "boot_mib": 8}, "dcgm": {}}
    assert list(NodeSpec.model_validate({**GOOD, "variables": plain}).variables) == ["dcgm", "preflight"]


@pytest.mark.parametrize("gpu", ["GH200", "GB200", "NVIDIA GH200 480GB"])
def test_a_grace_gpu_in_another_machine_than_graces_is_refused(gpu: str) -> None:
    done = CliRunner().invoke(app, ["plan", "--set", "os=ubuntu24.04", "--set", "arch=x86_64", "--set", f"gpu={gpu}"])
    assert done.exit_code == 2
    assert "aarch64 machines only" in done.output
    assert "arch=aarch64" in done.output


SHIPPED = sorted((Path(__file__).parents[2] / "inventories").glob("*.py"))


@pytest.mark.parametrize("inventory", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_inventory_has_a_plan_that_tells_what_its_nodes_must_know(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path))
    done = CliRunner().invoke(app, ["plan", str(inventory), "--json"])
    assert done.exit_code == 0, done.output
    (group,) = json.loads(done.stdout)["groups"]
    told = CliRunner().invoke(app, ["plan", str(inventory)]).stdout
    assert ("The node must know" in told) == bool(group["needs"])
    assert all(need["title"] in told for need in group["needs"])


@pytest.mark.parametrize("gpu", ["GH200", "H100"])
def test_a_new_project_has_a_plan_and_says_where_keys_go(
    gpu: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    project = tmp_path / "site"
    made = CliRunner().invoke(app, ["init", str(project), "--gpu", gpu])
    assert made.exit_code == 0, made.output
    plain = CliRunner().invoke(app, ["plan", str(project / "inventory.py")])
    assert plain.exit_code == 0, plain.output
    more = ["--set", "cuda=13.0", "--set", "features=containers,rdma"]
    wanting = CliRunner().invoke(app, ["plan", str(project / "inventory.py"), *more, "--json"])
    assert wanting.exit_code == 0, wanting.output
    (group,) = json.loads(wanting.stdout)["groups"]
    readme = (project / "README.md").read_text()
    assert {need["variables"] for need in group["needs"]} == {"open_kernel_modules", "doca_ofed", "container_toolkit"}
    assert all(f"{need['variables']}_key" in readme for need in group["needs"])
