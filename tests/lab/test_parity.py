"""pyinfra and Ansible end in the same state, judged by our probe and by the node's own listings.

Two fresh nodes of the stand-ins' layer; one engine each; then each engine on the other's node.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from interrupt import Project
from interrupt.state import differences, read_state
from playbook import Play, events, play
from standins import provide

from provision.lab import Lab, Node
from provision.model import Snapshot

pytest.importorskip("ansible", reason="ansible-core is not installed: pip install ansible-core")

LISTING = r"""
export LC_ALL=C
dpkg -l | sed 's/^/dpkg /'
apt-mark showhold | sed 's/^/hold /'
systemctl list-unit-files --no-legend --no-pager | grep -v '[.]scope ' | sed 's/^/unit-file /'
find /boot -type f ! -name 'initrd.img-*' -exec sha256sum {} + | sed 's/^/boot /'
"""

OWN = {"node", "machine_id", "boot_id", "reboot_due", "ledger", "gates"}
"""What of a snapshot is the node's own, or a gate's evidence in words, such as how much room there is."""

COMMANDS = "journalctl --sync; journalctl -q _COMM=sudo | grep -c COMMAND= || :"
"""Every command of either engine comes through sudo."""


class Both:
    """A node for each engine, and a controller of its own for each."""

    def __init__(self, folder: Path, by_pyinfra: Node, by_ansible: Node) -> None:
        self.by_pyinfra, self.by_ansible, self.folder = by_pyinfra, by_ansible, folder

    def project(self, name: str, node: Node) -> Project:
        return Project(self.folder / name, [node])

    def ansible(self, name: str, node: Node, *arguments: str) -> tuple[Project, Play]:
        project = self.project(name, node)
        return project, self.play(project, *arguments)

    def play(self, project: Project, *arguments: str) -> Play:
        ours = {key: value for key, value in project.environment.items() if key.startswith("PROVISION_")}
        told = {"PYTHONPATH": project.environment["PYTHONPATH"]}
        return play(project.folder, arguments, **ours, **told)


def gates_before(project: Project, resource: str) -> list[str]:
    """Gates that stand before a resource in its boot, as `provision plan` tells."""
    command = [sys.executable, "-m", "provision", "plan", "inventory.py", "--json"]
    told = subprocess.run(
        command, cwd=project.folder, env=project.environment, stdout=subprocess.PIPE, text=True, check=True
    )
    (group,) = json.loads(told.stdout)["groups"]
    entries = [(part["boot"], one["name"], one["kind"]) for part in group["plan"] for one in part["resources"]]
    (place,) = (number for number, (_, name, _) in enumerate(entries) if name == resource)
    return [name for boot, name, kind in entries[:place] if (boot, kind) == (entries[place][0], "gate")]


def listing(node: Node) -> list[str]:
    done = node.sudo("sh -s", stdin=LISTING)
    assert done.returncode == 0, done.stderr
    return sorted({*done.stdout.splitlines(), *read_state(node)})


def observed(folder: Path) -> dict[str, object]:
    """What the last reading of the only run in this project's folder said of the node."""
    (reading,) = folder.glob("**/*.after.json")
    told = Snapshot.model_validate_json(reading.read_text()).model_dump(exclude=OWN)
    for path, state in told["files"].items():
        if not path.startswith("/etc/"):
            # An initrd holds the time, and a module the signature, of when it was built.
            del state["sha256"]
    return told


def commands(node: Node) -> int:
    return int(node.sudo(COMMANDS).stdout)


@pytest.fixture(scope="module")
def both(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    names = ["parity1", "parity2"]
    first, second = lab.up(names, layer=provide(lab))
    yield Both(tmp_path_factory.mktemp("parity"), first, second)
    lab.down(names)


def test_a_check_on_a_fresh_node_tells_what_would_be_done_and_changes_nothing(both: Both) -> None:
    before = listing(both.by_ansible)
    project, checked = both.ansible("check", both.by_ansible, "--check", "--diff")
    assert checked.code == 0, checked.output
    assert differences(listing(both.by_ansible), before) == []
    (drift,) = events(project.state, "drift")
    due = [one["resource"] for boot in drift["boots"] for one in boot]  # type: ignore[attr-defined]
    told = checked.items("changed", "parity2")
    assert [name for name in due if name in told] == told
    assert {"early-restart", "module-build", "initrd", "late-restart"} <= set(told), "deriveds are due, too"
    assert "+ExecStart=" in checked.output
    assert checked.output.count("not applicable: boot") >= 4


def test_both_engines_end_in_the_same_state_and_find_nothing_on_each_others_node(both: Both) -> None:
    pyinfra = both.project("pyinfra", both.by_pyinfra)
    ran = pyinfra.run()
    assert ran.code == 0, ran.output
    _, foretold = both.ansible("foretold", both.by_ansible, "--check")
    ansible, played = both.ansible("ansible", both.by_ansible)
    assert played.code == 0, played.output
    assert [event["resource"] for event in events(ansible.state, "begin")] == list(ran.operations)
    assert played.items("changed", "parity2") == foretold.items("changed", "parity2"), "a check told the truth"

    assert differences(listing(both.by_ansible), listing(both.by_pyinfra)) == []
    assert observed(ansible.folder) == observed(pyinfra.folder)

    crossed = both.project("pyinfra-on-the-other", both.by_ansible).run()
    assert (crossed.code, crossed.titles, crossed.operations) == (0, ("probe", "probe"), ()), crossed.output
    _, again = both.ansible("ansible-on-the-other", both.by_pyinfra)
    assert (again.code, again.changed) == (0, {"parity1": 0}), again.output


def test_a_converged_node_costs_ansible_one_command(both: Both) -> None:
    before = commands(both.by_ansible)
    project, again = both.ansible("ansible", both.by_ansible)
    assert (again.code, again.changed) == (0, {"parity2": 0}), again.output
    assert commands(both.by_ansible) - before - 1 == 1
    assert len(events(project.state, "done")) == 1


def test_a_change_by_hand_is_told_with_its_consequence_and_repaired_with_it(both: Both) -> None:
    both.by_ansible.sudo("echo hand >>/etc/stand-in-early.conf")
    _, checked = both.ansible("ansible", both.by_ansible, "--check", "--diff")
    assert checked.items("changed", "parity2") == ["early-configuration", "early-restart"]
    assert "-hand" in checked.output
    _, repaired = both.ansible("ansible", both.by_ansible)
    assert repaired.items("changed", "parity2") == ["early-configuration", "early-restart"], repaired.output
    assert differences(listing(both.by_ansible), listing(both.by_pyinfra)) == []


def test_tags_bring_a_roles_items_and_leave_the_others_as_they_are(both: Both) -> None:
    both.by_ansible.sudo("echo hand >>/etc/stand-in-early.conf; echo hand >>/etc/modprobe.d/provision-rivals.conf")
    project, tagged = both.ansible("ansible", both.by_ansible, "--tags", "daemons")
    assert tagged.code == 0, tagged.output
    assert tagged.items("changed", "parity2") == ["early-configuration", "early-restart"]
    assert both.by_ansible.sudo("grep -c hand /etc/modprobe.d/provision-rivals.conf").stdout.strip() == "1"
    kept = gates_before(project, "early-restart")
    asked = [name for name in kept if name in tagged.items("ok", "parity2")]
    skipped = [name for name in kept if name in tagged.items("skipping", "parity2")]
    assert sorted([*asked, *skipped]) == sorted(kept), "every gate before the role's items is kept"
    assert "preflight-space" in asked
    _, rest = both.ansible("ansible", both.by_ansible)
    assert rest.code == 0, rest.output
    assert {"rival-drivers", "initrd"} <= set(rest.items("changed", "parity2"))
    assert "early-configuration" in rest.items("ok", "parity2")


def test_a_gate_that_does_not_hold_ends_a_run_for_a_tag_too(both: Both) -> None:
    both.by_ansible.sudo("echo hand >>/etc/stand-in-early.conf")
    before = listing(both.by_ansible)
    project = both.project("ansible", both.by_ansible)
    project.declare([both.by_ansible], preflight_boot_mib=10**9)
    refused = both.play(project, "--tags", "daemons")
    assert refused.code == 2
    assert "/boot has " in refused.output
    assert " are needed" in refused.output
    assert refused.items("failed", "parity2") == ["preflight-space"]
    assert differences(listing(both.by_ansible), before) == []
    _, mended = both.ansible("ansible", both.by_ansible, "--tags", "daemons")
    assert mended.code == 0, mended.output


def test_the_same_command_with_either_engine_tells_the_same(both: Both) -> None:
    """`provision apply --engine ansible` on the node that pyinfra brought up."""
    project = both.project("apply", both.by_pyinfra)
    for entry in ("deploy.py", "site.yml"):
        (project.folder / entry).unlink()
    both.by_pyinfra.sudo("echo hand >>/etc/stand-in-late.conf")
    environment = project.environment
    command = [sys.executable, "-m", "provision", "apply", "inventory.py", "--engine", "ansible"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=project.folder, env=environment, capture_output=True, text=True, check=False
        )

    dry = run("--dry")
    assert dry.returncode == 3, dry.stdout + dry.stderr
    assert "late-configuration" in dry.stdout
    applied = run()
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "late-restart done in" in applied.stdout
    assert "parity1: converged in" in applied.stdout
    assert run().returncode == 0
