"""Several runs, and runs that meet a node at a bad moment: they wait for each other, and do nothing twice.

The node stands on stand-ins (see `standins`); roles, resolver and engine are the real ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from interrupt import Kill, Project, Run, differences, read_state
from standins import provide, sudo

from provision.engines.node import REBOOT_SECONDS
from provision.lab import Lab, Node

NAME = "two-runs"
GATES = {
    "modules-built",
    "boot-files",
    "one-driver-version",
    "one-kernel-flavour",
    "peer-memory-fits",
    "other-modules-built",
}
"""They are asked whenever something before them changes, and change nothing."""

UNREACHABLE = 'away = fleet(["away"], os="debian13", arch="{arch}", gpu="H100", ssh_hostname="127.0.0.1", ssh_port=1)\n'


@pytest.fixture
def node(lab: Lab) -> Iterator[Node]:
    (fresh,) = lab.up([NAME], layer=provide(lab))
    yield fresh
    lab.down([NAME])


@pytest.fixture
def project(node: Node, tmp_path: Path) -> Project:
    return Project(tmp_path, [node])


def runs_in_ledger(node: Node) -> list[str]:
    """The run of each line in the node's own ledger, repetitions in a row taken together."""
    runs = [line.split()[1] for line in sudo(node, "cat /var/lib/provision/ledger").splitlines()]
    return [run for number, run in enumerate(runs) if number == 0 or runs[number - 1] != run]


def changed(run: Run) -> set[str]:
    return {name for name in run.operations if not name.startswith("preflight-")} - GATES


def test_a_rerun_waits_for_a_node_in_the_middle_of_its_reboot_and_for_no_other(node: Node, project: Project) -> None:
    killed = project.run(Kill(at="reboot"))
    assert killed.killed
    project.declare([node], UNREACHABLE.format(arch=sudo(node, "uname -m").strip()))

    begun = time.monotonic()
    again = project.run()

    assert time.monotonic() - begun < REBOOT_SECONDS / 6, "the host that is away was waited for"
    assert again.code == 1
    assert "[away]" in again.output
    assert changed(again) == {"late-unit", "late-configuration", "late-restart"}
    assert node.boots == 2
    project.declare([node])
    assert project.run().operations == ()


def test_two_runs_of_one_controller_come_one_after_the_other(node: Node, project: Project) -> None:
    with project.started() as first:
        first.until("preflight-machine")
        with project.started() as second:
            one, two = first.wait(), second.wait()

    assert (one.code, two.code) == (0, 0), one.output + two.output
    assert two.operations == ()
    assert set(two.titles) == {"probe"}
    assert len(runs_in_ledger(node)) == 1
    assert node.boots == 2


def test_runs_of_two_controllers_do_not_interleave(node: Node, project: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other", [node])
    with project.started() as first:
        first.until("kernel-packages")
        with other.started() as second:
            one, two = first.wait(), second.wait()

    assert one.code == 0, one.output
    assert two.code == 1, "its lease refused it, or the reboot of the first run took its connection"
    (only,) = runs_in_ledger(node)
    assert changed(two) == set()
    assert node.boots == 2
    again = other.run()
    assert (again.code, again.operations) == (0, ())
    assert runs_in_ledger(node) == [only]


def test_an_input_edited_by_hand_is_repaired_with_what_derives_from_it(node: Node, project: Project) -> None:
    assert project.run().code == 0
    before = read_state(node)
    stamps = "cd /var/lib/provision/derived && stat -c '%n %y' *"
    stamped = sudo(node, stamps).splitlines()
    sudo(node, "echo '# by hand' >>/etc/modprobe.d/provision-rivals.conf")

    repair = project.run()

    assert repair.code == 0, repair.output
    assert changed(repair) == {"rival-drivers", "initrd"}
    assert differences(read_state(node), before) == []
    new = set(sudo(node, stamps).splitlines()) - set(stamped)
    assert [line.split()[0] for line in new] == ["initrd"]
    assert project.run().operations == ()
