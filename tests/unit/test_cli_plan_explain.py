"""`provision plan --explain`: one choice, why, and what lost against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from provision.catalog import load
from provision.cli.main import app
from provision.model import NodeSpec
from provision.stack import NoFit, resolve

ROOT = Path(__file__).parents[2]
BARE = {"os": "ubuntu24.04", "arch": "x86_64", "gpu": "H100"}


@pytest.fixture(autouse=True)
def _nothing_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(ROOT)


def invoked(component: str, *options: str, **keys: str) -> Any:
    arguments = [a for key, value in {**BARE, **keys}.items() for a in ("--set", f"{key}={value}")]
    return CliRunner().invoke(app, ["plan", *arguments, "--explain", component, *options])


def data(component: str, **keys: str) -> Any:
    said = invoked(component, "--json", **keys)
    assert said.exit_code == 0, said.stderr
    [one] = json.loads(said.stdout)["explained"]
    return one


@pytest.mark.parametrize("component", ["kernel", "driver", "modules", "page_size"])
def test_the_reasons_are_those_of_the_plan_with_their_sources(component: str) -> None:
    choice = resolve(NodeSpec.model_validate(BARE), load()).choices[component]
    told = data(component)
    assert (told["component"], told["version"]) == (component, choice.version)
    assert [reason["text"] for reason in told["why"]] == [reason.text for reason in choice.reasons]
    text = invoked(component).stdout
    for reason in choice.reasons:
        assert reason.text in text
        assert reason.source in text


def test_it_says_what_was_asked() -> None:
    assert data("driver")["asked"].startswith("nothing about driver; ")
    pin = resolve(NodeSpec.model_validate(BARE), load()).version("driver")
    assert data("driver", driver=pin)["asked"].startswith(f"driver {pin}, and with it: ")


@pytest.mark.parametrize(("gpu", "arch"), [("H100", "x86_64"), ("V100", "x86_64"), ("GB200", "aarch64")])
def test_every_alternative_is_what_the_resolver_says_of_it(gpu: str, arch: str) -> None:
    for other in data("driver", gpu=gpu, arch=arch)["alternatives"]:
        pinned = NodeSpec.model_validate({**BARE, "gpu": gpu, "arch": arch, "driver": other["version"]})
        try:
            resolve(pinned, load())
        except NoFit:
            assert not other["fits"]
            assert other["why"]
        else:
            assert other["fits"]


def test_the_choice_is_not_among_what_lost() -> None:
    told = data("driver")
    assert told["version"] not in [other["version"] for other in told["alternatives"]]


def test_the_other_flavour_lost_for_a_reason() -> None:
    [other] = data("modules", gpu="V100")["alternatives"]
    assert (other["version"], other["fits"]) == ("open", False)
    assert any("V100" in reason["text"] for reason in other["why"])


def test_a_component_that_is_not_there_is_told_with_what_is_close() -> None:
    said = invoked("drivr")
    assert said.exit_code == 2
    assert "did you mean 'driver'?" in said.stderr


def test_a_conflict_is_told_as_ever() -> None:
    said = invoked("driver", driver="9999999")
    assert said.exit_code == 2
    assert "nothing fits" in said.stderr
