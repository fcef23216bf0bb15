"""What another version of the program left in a lab's folder is told, in a paragraph with the way out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provision.lab import Lab, LabError
from provision.lab.container import Container

WAY_OUT = (
    r"is of another version of this program \(Layer\.base is missing\)\. .*`provision lab clean`.*PROVISION_LAB=FOLDER"
)


def another(folder: Path, *path: str) -> Path:
    file = folder.joinpath(*path)
    file.parent.mkdir(parents=True)
    file.write_text('{"name": "word", "something": "new"}')
    return file


def test_a_layer(tmp_path: Path) -> None:
    file = another(tmp_path / "lab", "layers", "word", "layer.json")
    file.with_name(Container.kept_as).mkdir()
    with pytest.raises(LabError, match=WAY_OUT) as told:
        Lab(tmp_path / "lab").layer("word")
    assert str(told.value).startswith(str(file))


def test_the_settings_by_the_command(tmp_path: Path) -> None:
    file = another(tmp_path / "lab", "lab.json")
    done = subprocess.run(
        [sys.executable, "-m", "provision", "lab", "list"],
        env=os.environ | {"PROVISION_LAB": str(file.parent), "COLUMNS": "999"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "is of another version of this program" in done.stderr
