"""`--full`: after the usual way every resource is asked for by itself, and nothing may be found.

The node stands on stand-ins (see `standins`); roles, resolver and engine are the real ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from interrupt import Project, differences, read_state
from standins import provide, sudo

from provision.inventory import read_inventory
from provision.lab import Lab, Node
from provision.ledger import Reading
from provision.model import Gate, Plan
from provision.planning import assemble, rooms
from provision.planning.rooms import PATH_VARIABLE

NAME = "in-full"
FULL = ("--data", "full=true")
EDITED = "/etc/modprobe.d/provision-rivals.conf"

MEANWHILE = f"""\
from pyinfra.operations import server
from provision.pyinfra import converge

server.shell(name="meanwhile, by hand", commands=["echo '# by hand' >>{EDITED}"], _sudo=True)
converge()
"""
"""pyinfra executes a deploy.py first, which is when the node is read, and carries operations out afterwards."""


@pytest.fixture(scope="module")
def node(lab: Lab) -> Iterator[Node]:
    (fresh,) = lab.up([NAME], layer=provide(lab))
    yield fresh
    lab.down([NAME])


@pytest.fixture(scope="module")
def project(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Of a node that has been brought up, with `--full`."""
    project = Project(tmp_path_factory.mktemp("full"), [node])
    brought_up = project.run(more=FULL)
    assert brought_up.code == 0, brought_up.output
    return project


@pytest.fixture
def plan(project: Project, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv(PATH_VARIABLE, project.environment[PATH_VARIABLE])
    spec = read_inventory(project.folder / "inventory.py")[NAME]
    return assemble(spec, rooms(), Reading(NAME, project.state).fitting(spec)).plan


def apply(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provision", "apply", "inventory.py", *arguments],
        check=False,
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_on_a_converged_node_every_resource_has_its_turn_and_nothing_is_to_be_done(
    node: Node, project: Project, plan: Plan
) -> None:
    before = read_state(node)

    run = project.run(more=FULL)

    assert run.code == 0, run.output
    assert run.asked == tuple(entry.name for entry in plan.entries)
    assert run.operations == ()
    assert run.connections == 1
    preconditions = [e for e in plan.entries if isinstance(e.resource, Gate) and e.resource.precondition]
    assert run.titles == ("probe",) * (1 + len(plan.entries) - len(preconditions))
    total, unchanged = re.findall(r"Grand total +(\d+) +- +- +(\d+)", run.output)[0]
    assert int(total) == int(unchanged) == len(plan.entries)
    assert differences(read_state(node), before) == []


def test_without_it_the_node_is_asked_once(project: Project) -> None:
    run = project.run()
    assert (run.code, run.titles, run.asked) == (0, ("probe",), ())


def test_apply_tells_how_many_were_asked(project: Project) -> None:
    done = apply(project, "--full")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "converged, nothing was due" in done.stdout
    assert re.search(r"\d+ resources asked for one by one: nothing was found", done.stdout)


def test_a_file_changed_by_hand_is_repaired_the_usual_way_and_then_there_is_nothing_to_find(
    node: Node, project: Project, plan: Plan
) -> None:
    sudo(node, f"echo '# by hand' >>{EDITED}")

    run = project.run(more=FULL)

    assert run.code == 0, run.output
    assert "rival-drivers" in run.operations
    assert run.asked == tuple(entry.name for entry in plan.entries)


def test_what_the_reading_of_the_whole_node_did_not_see_fails_the_run_and_the_next_one_mends_it(
    node: Node, project: Project
) -> None:
    deploy = project.folder / "deploy.py"
    usual = deploy.read_text()
    deploy.write_text(MEANWHILE)
    try:
        unseen, repaired = project.run(), project.run()
        seen = apply(project, "--full")
    finally:
        deploy.write_text(usual)

    assert (unseen.code, unseen.operations) == (0, ()), "the usual way read the node before it was changed"
    assert (repaired.code, "rival-drivers" in repaired.operations) == (0, True), repaired.output
    assert seen.returncode == 1
    assert f"{NAME}: failed" in seen.stdout
    assert f"rival-drivers, asked for alone, is not as declared ({EDITED} has another content)" in seen.stdout
    assert "run again" in seen.stdout
    mended = project.run(more=FULL)
    assert mended.code == 0, mended.output
    assert "rival-drivers" in mended.operations
