"""Nodes that are another system than the lab's own: a real older Debian, and Ubuntu by name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from provision.lab import Lab, Node, systems
from provision.probe import parse, probe_program


@pytest.fixture(scope="module")
def bookworm(lab: Lab) -> Iterator[Node]:
    ground = systems.ground(lab, systems.check("debian12"))
    (node,) = lab.up(["d12"], layer=ground.layer, suite=ground.suite)
    yield node
    lab.down(["d12"])


def command(lab: Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provision", "lab", *arguments],
        check=False,
        env=os.environ | {"PROVISION_LAB": str(lab.state)},
        capture_output=True,
        text=True,
    )


def test_debian_12_is_real(bookworm: Node) -> None:
    reading = parse(bookworm.sudo("sh -s", stdin=probe_program()).stdout, bookworm.name)
    assert (reading.os, bookworm.system, reading.lab) == ("debian12", "debian12", True)
    assert (reading.standins, bookworm.standins) == (None, "")
    assert "VERSION_CODENAME=bookworm" in bookworm.sudo("cat /etc/os-release").stdout
    assert bookworm.sudo("systemctl is-system-running").stdout.strip() in {"running", "starting"}


def test_debian_12_has_its_own_archive(bookworm: Node) -> None:
    updated = bookworm.sudo("apt-get -qq update")
    assert updated.returncode == 0, updated.stderr
    policy = bookworm.sudo("apt-cache policy nvidia-open-kernel-dkms").stdout
    assert "bookworm/contrib" in policy
    assert "trixie" not in bookworm.sudo("apt-cache policy").stdout


def test_debian_12_comes_back_after_a_reboot_and_a_power_cut(bookworm: Node) -> None:
    before = bookworm.boot_id()
    assert bookworm.reboot() != before
    bookworm.power_cut()
    bookworm.power_on()
    assert bookworm.sudo("true").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--os", "ubuntu99"], "The lab has no 'ubuntu99' for this machine; it has: debian12, debian13, ubuntu22.04"),
        (["--os", "debian13"], "d12 exists already, as debian12 and not as debian13: `provision lab down d12` first."),
        (["--os", "debian12", "--vm"], "--os and --vm each say what new nodes stand on: give one of them."),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_tried(lab: Lab, bookworm: Node, arguments: list[str], said: str) -> None:
    refused = command(lab, "up", bookworm.name, *arguments)
    assert refused.returncode == 2
    assert said in refused.stderr


def test_a_node_that_runs_is_left_as_it_is(lab: Lab, bookworm: Node) -> None:
    again = command(lab, "up", bookworm.name, "--os", "debian12")
    assert (again.returncode, "was running already" in again.stdout) == (0, True), again.stderr
    assert f" {os.uname().machine} debian12 running" in command(lab, "list").stdout
