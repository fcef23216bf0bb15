"""Roles that somebody declares in an order: a legal one is kept, any other is refused with the rule's source."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path

import pytest
from typer.testing import CliRunner

import provision
from provision.cli.main import app
from provision.engines.ansible.declared import declared
from provision.inventory import WrongInventory, checked_spec, read_inventory
from provision.model import NodeSpec, Packages
from provision.planning import assemble, order, rooms

ROOMS = rooms([Path(provision.__file__).parent.parent / "roles"])
NODE = {"os": "ubuntu24.04", "arch": "aarch64", "gpu": "GH200", "features": ["rdma", "containers", "gdrcopy"]}
ROLES = (
    "preflight",
    "kernel_64k",
    "doca_ofed",
    "open_kernel_modules",
    "cuda_drivers",
    "container_toolkit",
    "gdrcopy",
)
"""One for each kind of place in the order: before all, in the middle, and two that no rule tells apart."""
WRONG = ["cuda_drivers", "open_kernel_modules"]


def broken(names: Sequence[str]) -> list[tuple[str, str]]:
    """The rules that an order breaks, by the rules' own text: (the role that must stand before, the source)."""
    place = {ROOMS[name].role.component: (number, name) for number, name in enumerate(names)}
    return [
        (place[rule.before][1], rule.source)
        for rule in order().rules
        if rule.before in place and rule.after in place and place[rule.before] > place[rule.after]
    ]


def spec(names: Sequence[str]) -> NodeSpec:
    return checked_spec({**NODE, "roles": list(names)}, ROOMS)


LEGAL = [names for names in permutations(ROLES) if not broken(names)]


def test_every_order_but_the_legal_ones_is_refused_with_a_broken_rules_source() -> None:
    refused = 0
    for names in permutations(ROLES):
        rules = broken(names)
        if not rules:
            assert spec(names).roles == names
            continue
        with pytest.raises(WrongInventory) as caught:
            spec(names)
        (told,) = caught.value.mistakes
        assert told.startswith(f"roles={list(names)}: role ")
        assert any(f"[{source}]" in told for _role, source in rules), told
        refused += 1
    assert refused + len(LEGAL) == 5040
    assert len(LEGAL) == 3


@pytest.mark.parametrize("names", LEGAL)
def test_a_legal_order_is_kept_as_it_is_declared(names: Sequence[str]) -> None:
    boot = assemble(spec(names), ROOMS).plan.boots[0]
    bringing = list(dict.fromkeys(entry.role for entry in boot if isinstance(entry.resource, Packages)))
    assert bringing == [name for name in names if name in bringing]
    assert {"gdrcopy", "container_toolkit", "cuda_drivers"} < set(bringing)


def test_a_role_that_is_named_twice_is_told() -> None:
    with pytest.raises(WrongInventory, match="role 'preflight' is named twice"):
        spec(["preflight", "preflight"])


def by_an_inventory(folder: Path) -> str:
    path = folder / "fleet.py"
    path.write_text(f"from provision import fleet\none = fleet(['n1'], roles={WRONG}, **{NODE})\n")
    with pytest.raises(WrongInventory) as caught:
        read_inventory(path)
    return str(caught.value)


def by_variables_of_ansible(_folder: Path) -> str:
    variables = {f"provision_{key}": value for key, value in {**NODE, "roles": WRONG}.items()}
    with pytest.raises(WrongInventory) as caught:
        declared("n1", variables, ROOMS, lambda value: value)
    return str(caught.value)


def by_the_command_line(_folder: Path) -> str:
    said = CliRunner().invoke(
        app, ["plan", "--set", "os=ubuntu24.04", "--set", "arch=aarch64", "--set", f"roles={','.join(WRONG)}"]
    )
    assert said.exit_code == 2
    return said.stderr


def by_pyinfra(folder: Path) -> str:
    """An inventory that pyinfra itself reads; its host is an address of documentation's, which nobody can reach."""
    path = folder / "fleet.py"
    path.write_text(f"from provision import fleet\none = fleet(['192.0.2.1'], roles={WRONG}, **{NODE})\n")
    return pyinfra(folder, "from provision.pyinfra import converge\nconverge()\n", "fleet.py")


def by_a_deploy(folder: Path) -> str:
    """On this very machine, which is not looked at: the order alone is wrong."""
    return pyinfra(folder, f"from provision.pyinfra import converge\nconverge(roles={WRONG})\n", "machine.py")


def pyinfra(folder: Path, deploy: str, inventory: str) -> str:
    (folder / "deploy.py").write_text(deploy)
    (folder / "machine.py").write_text(f"one = [('@local', {NODE})]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pyinfra", "-y", inventory, "deploy.py"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list((folder / ".provision").glob("readings/*")), "a machine was read"
    (paragraph,) = (line for line in done.stderr.splitlines() if "must stand before" in line)
    return paragraph


@pytest.mark.parametrize(
    "way", [by_an_inventory, by_variables_of_ansible, by_the_command_line, by_pyinfra, by_a_deploy]
)
def test_it_is_refused_on_every_way_in_before_any_machine_is_touched(
    way: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / ".provision"))
    (source,) = (source for _role, source in broken(WRONG))
    told = way(tmp_path)
    assert "role open_kernel_modules must stand before cuda_drivers: " in told
    assert source in told
    assert len(told.strip().splitlines()) == 1
    assert told.strip().endswith("No machine was touched.")
