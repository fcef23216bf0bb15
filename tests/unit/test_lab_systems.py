"""What a lab node can be by `provision lab up --os`, and how it is known what one is."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from provision.lab import base, systems
from provision.lab.command import _machine, _refuse_beside_os
from provision.lab.container import Container, ContainerRecord
from provision.lab.error import InputError
from provision.lab.mirror import SUITE, SYSTEM, Mirror
from provision.lab.network import Network
from provision.lab.node import Site
from provision.lab.ssh import Ssh

MIRROR = Mirror(archive="http://a.example.org/debian", security="http://s.example.org/debian-security")


def node(tmp_path: Path, written: dict[str, str], layer: dict[str, str], below: dict[str, str]) -> Container:
    """A node that does not run, of which these files lie in what it wrote, in its layer and in its base."""
    roots = [tmp_path / "node" / "upper", tmp_path / "layer", tmp_path / "base"]
    for root, texts in zip(roots, (written, layer, below), strict=True):
        for path, text in texts.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
    address = IPv4Address("192.0.2.1")
    record = ContainerRecord(name="n1", address=address, machine_id="m", base=roots[2], layers=(roots[1],))
    site = Site(Network(lab="l", subnet=IPv4Network("192.0.2.0/24")), Ssh(tmp_path), MIRROR, tmp_path)
    return Container(tmp_path / "node", record, site)


DEBIAN = {"usr/lib/os-release": 'ID=debian\nVERSION_ID="13"\n'}
UBUNTU = {
    "etc/os-release": 'ID="ubuntu"\nVERSION_ID="22.04"\nNAME="a name = with a sign"\n',
    "etc/provision-standins": "Ubuntu 22.04 by name only\nmore\n",
}


@pytest.mark.parametrize(
    ("layer", "system", "standins"), [({}, "debian13", ""), (UBUNTU, "ubuntu22.04", "Ubuntu 22.04 by name only")]
)
def test_a_node_is_what_its_topmost_layer_says(
    tmp_path: Path, layer: dict[str, str], system: str, standins: str
) -> None:
    found = node(tmp_path, {}, layer, DEBIAN)
    (tmp_path / "base" / "etc").mkdir()
    (tmp_path / "base" / "etc" / "os-release").symlink_to("../usr/lib/os-release")
    assert (found.system, found.standins) == (system, standins)


def test_an_unknown_system_is_told_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"no 'ubuntu99' .* it has: debian12, debian13, ubuntu22\.04, ubuntu24\.04\."):
        systems.check("ubuntu99")


def test_a_node_of_that_name_that_is_another_system_is_told(tmp_path: Path) -> None:
    there = node(tmp_path, {}, UBUNTU, DEBIAN)
    systems.refuse_others([there], ["n1"], systems.check("ubuntu22.04"))
    systems.refuse_others([there], ["n2"], systems.check("debian12"))
    with pytest.raises(InputError, match=r"n1 exists already, as ubuntu22\.04 and not as debian12: .*down n1"):
        systems.refuse_others([there], ["n1"], systems.check("debian12"))


@pytest.mark.parametrize("others", [{"--layer": "x"}, {"--vm": True}, {"--converged": Path("x")}])
def test_what_new_nodes_stand_on_is_said_once(others: dict[str, object]) -> None:
    _refuse_beside_os({"--layer": None, "--vm": False, "--converged": None})
    with pytest.raises(InputError, match=f"--os and {next(iter(others))} each say"):
        _refuse_beside_os(others)


def test_every_release_of_debian_that_is_known_can_be_made() -> None:
    debian = [row for row in systems.known().values() if row.family == "debian"]
    assert {row.codename for row in debian} == set(base.RECIPES)
    assert next(row.codename for row in debian if row.id == SYSTEM) == SUITE


def test_each_release_has_a_root_of_its_own() -> None:
    assert len({base.recipe_digest(MIRROR, suite) for suite in base.RECIPES}) == len(base.RECIPES)
    assert base.recipe_digest(MIRROR) == base.recipe_digest(MIRROR, SUITE)


def test_an_older_ssh_server_is_not_told_what_it_does_not_know() -> None:
    assert "PerSourcePenalties" in base.RECIPES[SUITE].customize
    assert "PerSourcePenalties" not in base.RECIPES["bookworm"].customize


@pytest.mark.parametrize("option", [{"arch": "aarch64"}, {"firmware": "secure"}], ids=["--arch", "--firmware"])
def test_what_only_a_machine_has_is_refused_without_one(option: dict[str, str]) -> None:
    given = {"arch": "", "firmware": "", **option}
    with pytest.raises(InputError, match=f"--{next(iter(option))} is of virtual machines.*add --vm"):
        _machine(vm=False, **given)
    assert _machine(vm=True, **given) == (option.get("arch") or os.uname().machine)
