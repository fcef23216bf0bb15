"""`provision plan --set key=value`: over an inventory, and instead of one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from provision.catalog import branch_of, load
from provision.cli.main import app
from provision.cli.settings import declared_by, settings
from provision.inventory import WrongInventory, checked_spec
from provision.model import NodeSpec
from provision.planning import Room, rooms

ROOT = Path(__file__).parents[2]
GH200 = str(ROOT / "inventories" / "gh200.py")
BARE = ("os=ubuntu24.04", "arch=aarch64")
LONG_TERM = next(
    branch for branch in load().driver_branches if branch.type == "LTSB" and not branch.ended(load().as_of)
)


@pytest.fixture(autouse=True)
def _nothing_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(ROOT)


def invoked(*settings: str, inventory: Sequence[str] = (), options: Sequence[str] = ("--json",)) -> Any:
    arguments = [argument for text in settings for argument in ("--set", text)]
    return CliRunner().invoke(app, ["plan", *inventory, *arguments, *options])


def spec(*texts: str, base: NodeSpec | None = None) -> NodeSpec:
    return declared_by(settings(texts), rooms(), base)


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("gpu=GB200", "gpu", "GB200"),
        ("driver=1.2", "driver", "1.2"),
        ("cuda=1.2", "cuda", "1.2"),
        ("kernel=1.2-a", "kernel", "1.2-a"),
        ("doca=1.2", "doca", "1.2"),
        ("gcc=1", "gcc", "1"),
        ("driver_repository=cuda", "driver_repository", "cuda"),
        ("features=mig, gds,cdmm,fabricmanager,open", "features", ("mig", "gds", "cdmm", "fabricmanager", "open")),
        ("cuda_compat=true", "cuda_compat", True),
        ("fabricmanager=no", "fabricmanager", False),
        ("reboots=staged", "reboots", "staged"),
        ("hardware=absent", "hardware", "absent"),
        ("roles=preflight,kernel_64k", "roles", ("preflight", "kernel_64k")),
        ("preflight_root_mib=7", "variables", {"preflight": {"root_mib": 7}}),
        ('features=["mig", "gds"]', "features", ("mig", "gds")),
        ("kernel_64k_arguments=quiet, a=1", "variables", {"kernel_64k": {"arguments": ["quiet", "a=1"]}}),
        ('kernel_64k_arguments=["a=1,2"]', "variables", {"kernel_64k": {"arguments": ["a=1,2"]}}),
    ],
)
def test_every_key_of_an_inventory_is_a_key(setting: str, field: str, value: object) -> None:
    assert getattr(spec(*BARE, setting), field) == value


def list_valued(found: Mapping[str, Room]) -> Iterator[str]:
    """Every key that is a list of words in an inventory."""
    yield from ("features", "roles")
    for name, room in found.items():
        for variable, field in room.role.model_fields.items():
            if isinstance(field.default, tuple):
                yield f"{name}_{variable}"


@pytest.mark.parametrize("key", list(list_valued(rooms())))
def test_every_list_of_an_inventory_is_taken_and_refused_as_there(key: str) -> None:
    words = ["no such word", "$(reboot)"]
    told: list[tuple[str, ...] | NodeSpec] = []
    for way in (lambda: spec(*BARE, f"{key}={','.join(words)}"),
                lambda: checked_spec({"os": "ubuntu24.04", "arch": "aarch64", key: words}, rooms())):  # fmt: skip
        try:
            told.append(way())
        except WrongInventory as error:
            told.append(error.mistakes)
    assert told[0] == told[1]


def test_the_keys_above_are_all_there_are() -> None:
    assert set(NodeSpec.model_fields) == {
        "os", "arch", "gpu", "driver", "driver_repository", "cuda", "kernel", "doca", "gcc", "features", "cuda_compat", "fabricmanager",
        "reboots", "hardware", "roles", "variables",
    }  # fmt: skip


def test_of_one_key_the_last_counts() -> None:
    assert spec(*BARE, "driver=1", "driver=2").driver == "2"


def test_a_value_replaces_and_an_empty_one_takes_back() -> None:
    base = spec(*BARE, "driver=1", "features=mig,gds", "preflight_root_mib=7")
    changed = spec("driver=2", "features=cdmm", base=base)
    assert (changed.driver, changed.features, changed.variables) == ("2", ("cdmm",), base.variables)
    taken_back = spec("driver=", "features=", "preflight_root_mib=", base=base)
    assert taken_back == spec(*BARE)


def test_without_an_inventory_one_nameless_node_is_planned() -> None:
    said = invoked(*BARE, "gpu=GB200", f"driver={LONG_TERM.id}")
    assert said.exit_code == 0, said.stderr
    [group] = json.loads(said.stdout)["groups"]
    assert group["nodes"] == []
    assert branch_of(group["stack"]["driver"]["version"]) == LONG_TERM.id
    assert group["stack"]["modules"]["version"] == "open"
    assert group["plan"]


def test_a_nameless_node_reads_as_one() -> None:
    said = invoked(*BARE, "gpu=GB200", options=())
    assert said.stdout.startswith("a node\n  ubuntu24.04, aarch64, gpu=GB200\n")


def test_every_node_of_an_inventory_is_changed() -> None:
    said = invoked("reboots=staged", inventory=(GH200,))
    [group] = json.loads(said.stdout)["groups"]
    assert group["nodes"] == ["gh200-01", "gh200-02"]
    assert group["declared"]["reboots"] == "staged"


def test_what_fits_nothing_in_the_file_may_fit_when_it_is_set_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "fleet.py"
    path.write_text(
        'from provision import fleet\none = fleet(["a"], os="debian13", arch="x86_64", gpu="V100", features=["open"])\n'
    )
    assert invoked(inventory=(str(path),)).exit_code == 2
    assert invoked("features=proprietary", inventory=(str(path),)).exit_code == 0


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        pytest.param(["drvier=1"], ["'drvier' is not a key", "'driver'"], id="misspelt key"),
        pytest.param(["features=mgi"], ["'mgi'", "did you mean 'mig'?"], id="misspelt feature"),
        pytest.param(["reboots=stagd"], ["'stagd'", "did you mean 'staged'?"], id="misspelt word"),
        pytest.param(["arch=arm64"], ["'arm64'", "'aarch64'"], id="another name of an architecture"),
        pytest.param(["gpu=GB20"], ["'GB20' is not in the catalog", "GB200"], id="misspelt GPU"),
        pytest.param(["os=ubuntu2404"], ["ubuntu2404", "ubuntu24.04"], id="misspelt system"),
        pytest.param(["driver=58O;reboot"], ["driver="], id="no version"),
        pytest.param(["cuda_compat=perhaps"], ["cuda_compat="], id="no yes or no"),
        pytest.param(["roles=kernel_64"], ["kernel_64", "kernel_64k"], id="misspelt role"),
        pytest.param(["driver"], ["--set driver: it takes key=value"], id="no value"),
        pytest.param(["preflight_root_mib=much"], ["preflight_root_mib"], id="wrong variable"),
        pytest.param(["drvier=1", "features=mgi"], ["2 mistakes", "driver", "mig"], id="two at once"),
    ],
)
def test_a_wrong_setting_is_one_paragraph_with_what_is_close(texts: list[str], words: list[str]) -> None:
    said = invoked(*BARE, *texts, options=())
    assert said.exit_code == 2
    assert said.stdout == ""
    assert len(said.stderr.splitlines()) == 1
    for word in words:
        assert word in said.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((), "name an INVENTORY"),
        (("os=debian13",), "arch is missing"),
    ],
    ids=["nothing", "no architecture"],
)
def test_without_an_inventory_a_node_must_be_declared(settings: Sequence[str], words: str) -> None:
    said = invoked(*settings)
    assert said.exit_code == 2
    assert words in said.stderr


def test_a_mistake_for_many_nodes_is_told_once() -> None:
    said = invoked("features=mgi", inventory=(GH200,))
    assert said.stderr.count("mgi") == 1


def test_a_key_without_value_is_a_mistake_of_its_own() -> None:
    with pytest.raises(WrongInventory, match="key=value"):
        settings(["driver"])
