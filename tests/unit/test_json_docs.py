"""docs/json.md: every example has the shape of what its command prints today."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from provision.cli.main import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^`provision ([^`\n]+ --json)`\n\n```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MORE = "…"
"""Stands where something was left out."""


@pytest.fixture(autouse=True)
def _nothing_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(ROOT)


def wrong(example: Any, output: Any, where: str = "") -> list[str]:
    """Where an output has not the shape of the example."""
    if isinstance(example, dict) and isinstance(output, dict):
        return _wrong_keys(example, output, where)
    if isinstance(example, list) and isinstance(output, list):
        return [fault for one in example if one != MORE for fault in _unlike_all(one, output, where)]
    alike = type(example) is type(output)
    return [] if alike else [f"{where}: {json.dumps(example)[:40]} is no longer {json.dumps(output)[:40]}"]


def _wrong_keys(example: dict[str, Any], output: dict[str, Any], where: str) -> list[str]:
    gone = [f"{where}/{key} is gone" for key in example if key != MORE and key not in output]
    new = [] if MORE in example else [f"{where}/{key} is not in the example" for key in output if key not in example]
    shared = [key for key in example if key in output]
    return [*gone, *new, *(fault for key in shared for fault in wrong(example[key], output[key], f"{where}/{key}"))]


def _unlike_all(example: Any, output: list[Any], where: str) -> list[str]:
    faults = [wrong(example, one, f"{where}[]") for one in output]
    return min(faults, key=len) if faults else [f"{where} is empty"]


def test_every_command_that_prints_json_has_an_example() -> None:
    commands = [command for command, _ in EXAMPLES]
    for start in ("plan --set", "match --driver", "match --cuda", "catalog show", "catalog stats", "catalog check"):
        assert any(command.startswith(start) for command in commands), start
    assert any("--explain" in command for command in commands)


@pytest.mark.parametrize(("command", "text"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_the_example_has_the_shape_of_the_output(command: str, text: str) -> None:
    said = CliRunner().invoke(app, command.split())
    assert wrong(json.loads(text), json.loads(said.stdout)) == []


def test_one_example_is_a_conflict() -> None:
    assert any(json.loads(text).get("conflicts") for _, text in EXAMPLES)


@pytest.mark.parametrize(
    ("example", "output", "faults"),
    [
        ({"a": 1}, {"a": 2}, 0),
        ({"a": 1}, {"a": "2"}, 1),
        ({"a": 1}, {}, 1),
        ({"a": 1}, {"a": 1, "b": 2}, 1),
        ({"a": 1, MORE: MORE}, {"a": 1, "b": 2}, 0),
        ([{"a": 1}, MORE], [{"b": 1}, {"a": 3}], 0),
        ([{"a": 1}], [], 1),
        ([], [1], 0),
    ],
)
def test_a_difference_would_be_seen(example: Any, output: Any, faults: int) -> None:
    assert len(wrong(example, output)) == faults
