"""What Ansible reads of a role is written from its model, and checked in."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from provision.engines.ansible.role_files import argument_specs, defaults, files, stale, tasks
from provision.planning import Room, rooms

ROLES = Path(__file__).parents[2] / "roles"
FOUND = rooms([ROLES])

SITE_ROLE = '''\
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from provision.model import Resource
from provision.planning import Context, Role


class Mine(Role):
    """A site's own role.

    Second paragraph.
    """

    component: ClassVar[str] = "mine"
    follows: ClassVar[tuple[str, ...]] = ("driver",)

    must: str = Field(description="has no default")
    pin: str | None = Field(default=None, description="a pin")
    size: int = Field(default=3, ge=1, description="how many")
    names: tuple[str, ...] = ("a",)
    mode: Literal["one", "two"] = "one"
    deep: dict[str, int] = Field(default_factory=dict)

    def resources(self, ctx: Context) -> Iterator[Resource]:
        yield from ()
'''


@pytest.fixture
def mine(tmp_path: Path) -> Room:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "spec.py").write_text(SITE_ROLE)
    return rooms([tmp_path])["mine"]


@pytest.mark.parametrize("room", FOUND.values(), ids=list(FOUND))
def test_the_generated_files_of_every_role_are_as_its_model_says(room: Room) -> None:
    assert stale(room) == (), "run `provision roles render`"


def test_a_pin_has_no_default(mine: Room) -> None:
    assert defaults(mine) == {"mine_size": 3, "mine_names": ["a"], "mine_mode": "one", "mine_deep": {}}


def test_options_name_only_the_type_that_ansible_refuses_nothing_of(mine: Room) -> None:
    main = argument_specs(mine)["argument_specs"]["main"]
    assert main["short_description"] == "A site's own role."
    told = {name: (option["type"], option["description"]) for name, option in main["options"].items()}
    assert {name: kind for name, kind in told.items() if name.startswith("mine_")} == {
        "mine_must": ("str", ["has no default"]),
        "mine_pin": ("str", ["a pin"]),
        "mine_size": ("raw", ["how many", "A whole number."]),
        "mine_names": ("raw", ["See the role's page.", "A list."]),
        "mine_mode": ("str", ["See the role's page."]),
        "mine_deep": ("raw", ["See the role's page.", "A dictionary."]),
    }
    assert "provision_driver" in told
    assert "provision_roles" not in told


def test_a_roles_own_tasks_are_about_it_alone(mine: Room) -> None:
    (block,) = tasks(mine)
    assert block["vars"] == {"provision_role": "mine"}
    assert [task["provision.core.step"] for task in block["block"] if "provision.core.step" in task] == [
        {"boot": 0},
        {"boot": 1},
        {"boot": 2},
        {"last": True},
    ]


def test_what_is_written_is_yaml_and_found_stale_when_it_is_changed(mine: Room) -> None:
    assert stale(mine) == tuple(files(mine))
    for path, text in files(mine).items():
        target = mine.path / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
        assert path.endswith(".md") or yaml.safe_load(text) is not None
    assert stale(mine) == ()
    (mine.path / "defaults/main.yml").write_text("---\nmine_size: 4\n")
    assert stale(mine) == ("defaults/main.yml",)
