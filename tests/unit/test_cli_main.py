"""The face: help without weight, suggestions, one table of exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest
import typer

from provision.cli.exits import Exit, table
from provision.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]

HEAVY = ("pyinfra", "testinfra", "pytest", "paramiko", "gevent", "yaml", "pydantic", "jinja2", "resolvelib", "rich")


def provision(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provision", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a program has loaded when it ends."""
    told = subprocess.run(
        [sys.executable, "-X", "importtime", *_as_arguments(code)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {line.rpartition("|")[2].strip().split(".")[0] for line in told.stderr.splitlines() if "|" in line}


def _as_arguments(code: str) -> Sequence[str]:
    return ["-c", f"import sys; sys.argv = {code.split()!r}\nfrom provision.cli.main import main\nmain()"]


def test_help_names_every_command() -> None:
    said = provision("--help")
    assert said.returncode == Exit.DONE
    for name, listed in COMMANDS.items():
        assert name in said.stdout
        assert listed.summary[:40] in said.stdout


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_by("provision --help")
    assert "typer" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_a_command_loads_only_what_it_needs() -> None:
    loaded = loaded_by("provision plan inventories/lab.py")
    assert "yaml" in loaded
    assert loaded.isdisjoint({"pyinfra", "testinfra", "pytest", "paramiko", "gevent"})


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_own_help_says(name: str) -> None:
    command = typer.main.get_command(import_module(COMMANDS[name].module).app)
    assert (command.help or "").startswith(COMMANDS[name].summary)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["plam"], ["plam", "plan"], id="misspelt command"),
        pytest.param(["plan"], ["INVENTORY"], id="no inventory"),
        pytest.param(["plan", "nowhere.py"], ["nowhere.py", "No such file"], id="no such file"),
        pytest.param(["apply", "inventories/lab.py", "--limit", "gpu9"], ["gpu9", "gpu1"], id="no such node"),
        pytest.param(["plan", "inventories/gh200.py", "--jsno"], ["--jsno"], id="misspelt option"),
    ],
)
def test_wrong_input_is_one_paragraph_and_exit_code_2(arguments: list[str], words: list[str]) -> None:
    said = provision(*arguments)
    assert said.returncode == Exit.WRONG_INPUT
    assert "Traceback" not in said.stderr
    for word in words:
        assert word in said.stderr


def test_exit_codes_are_documented_as_they_are() -> None:
    assert (ROOT / "docs" / "exit-codes.md").read_text() == table(), "stale: run `make docs`"


def test_exit_codes_are_those_of_the_design() -> None:
    assert {code.name: code.value for code in Exit} == {
        "DONE": 0,
        "FAILED": 1,
        "WRONG_INPUT": 2,
        "DRIFT": 3,
        "UNKNOWN": 4,
    }
