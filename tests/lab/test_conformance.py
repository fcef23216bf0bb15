"""Every kind of the vocabulary, on a real node: what pyinfra applies is what the probe observes and testinfra asserts.

apply -> observed clean -> assertion holds -> broken by hand -> observed as drift -> assertion fails -> repaired
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import get_args

import pytest
import testinfra
from testinfra.host import Host

from provision.lab import Lab, Node
from provision.model import (
    BootEntry,
    Derived,
    Directory,
    File,
    Frozen,
    Gate,
    Package,
    Packages,
    Plan,
    Resource,
    Unit,
)
from provision.planning import rooms
from provision.platforms import platform_for
from provision.probe import parse, probe_program
from provision.steps import drift
from provision.verify.assertions import assert_resource
from provision.verify.nodes import planned, targets
from provision.verify.run import verify
from provision.verify.ssh import disconnect, host_spec, ssh_config
from provision.verify.summary import Summary

OS, ARCH = "debian13", os.uname().machine

NOT_WANTED = """\
from typing import ClassVar
from provision.planning import Role

class Absent(Role):
    component: ClassVar[str] = "absent"

    @classmethod
    def wanted(cls, spec):
        return False

    def resources(self, ctx):
        return iter(())
"""

CONFORMANCE = """\
from typing import ClassVar
from provision.model import Resource
from provision.planning import Role

class Conformance(Role):
    component: ClassVar[str] = "conformance"
    items: tuple[Resource, ...]

    def resources(self, ctx):
        return iter(self.items)
"""
"""A role whose variable is what it declares."""

DEPLOY = "from provision.pyinfra import converge\n\nconverge()\n"

STAND_IN_MENU = """\
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
else
   set default="${saved_entry}"
fi
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-1' {
	linux	/boot/vmlinuz-9.2-new root=UUID=1 ro
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-1' {
	menuentry 'Debian GNU/Linux, with Linux 9.2-new' $menuentry_id_option 'gnulinux-9.2-new-advanced-1' {
		linux	/boot/vmlinuz-9.2-new root=UUID=1 ro
	}
	menuentry 'Debian GNU/Linux, with Linux 9.1-old' $menuentry_id_option 'gnulinux-9.1-old-advanced-1' {
		linux	/boot/vmlinuz-9.1-old root=UUID=1 ro
	}
}
"""
"""A stand-in: grub-mkconfig asks for the root file system's device, and a container has none. GRUB's tools are real."""

SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


def written(text: str, path: str) -> str:
    return f"mkdir -p {quote(str(Path(path).parent))} && printf %s {quote(text)} >{quote(path)}"


class Row(Frozen):
    """`resources`: the last one is put to the test, those before are what it stands on. Commands run as root."""

    resources: tuple[Resource, ...]
    broken_by: tuple[str, ...]
    prepare: str = "true"

    @property
    def tested(self) -> Resource:
        return self.resources[-1]


TABLE = (
    Row(
        resources=(Packages(name="greeting", packages=(Package(name="hello"),), hold=True),),
        broken_by=("apt-mark unhold hello", "apt-mark unhold hello && dpkg --purge hello"),
    ),
    Row(
        resources=(File(name="text", path="/etc/conformance/a file's name", content="it's 100% \\ ü\n", mode="640"),),
        broken_by=(
            "echo more >>'/etc/conformance/a file'\\''s name'",
            "chmod 600 /etc/conformance/*name",
            "chown lab /etc/conformance/*name",
            "rm /etc/conformance/*name",
            "cd /etc/conformance && mv *name elsewhere && ln -s elsewhere 'a file'\\''s name'",
        ),
    ),
    Row(
        resources=(Directory(name="folder", path="/srv/conformance/of some kind", mode="750"),),
        broken_by=("chmod 755 /srv/conformance/*", "chown lab /srv/conformance/*", "rmdir /srv/conformance/*"),
    ),
    Row(
        resources=(Unit(name="daemon", unit="conformance.service"),),
        prepare=written(SERVICE, "/etc/systemd/system/conformance.service") + " && systemctl daemon-reload",
        broken_by=("systemctl stop conformance", "systemctl disable conformance"),
    ),
    Row(
        resources=(Unit(name="quiet", unit="quiet.service", enabled=False, running=False),),
        prepare=written(SERVICE, "/etc/systemd/system/quiet.service")
        + " && systemctl daemon-reload && systemctl -q enable --now quiet",
        broken_by=("systemctl start quiet", "systemctl enable quiet"),
    ),
    Row(
        resources=(BootEntry(name="default-kernel", release="9.1-old"),),
        prepare=" && ".join(
            (
                "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install grub2-common",
                written(STAND_IN_MENU, "/boot/grub/grub.cfg"),
                written("a stand-in for a kernel", "/boot/vmlinuz-9.1-old"),
                written("a stand-in for a kernel", "/boot/vmlinuz-9.2-new"),
                "grub-editenv /boot/grub/grubenv create",
            )
        ),
        broken_by=("grub-set-default gnulinux-simple-1", "grub-editenv - unset saved_entry", "grub-set-default gone"),
    ),
    Row(
        resources=(
            File(name="source", path="/etc/conformance/source", content="low\n"),
            Derived(
                name="shouting",
                inputs=("source",),
                outputs=("/etc/conformance/shouting",),
                command="tr a-z A-Z </etc/conformance/source >/etc/conformance/shouting",
            ),
        ),
        broken_by=("rm /etc/conformance/shouting", "rm /var/lib/provision/derived/shouting"),
    ),
    Row(
        resources=(
            File(name="answer", path="/etc/conformance/answer", content="yes\n"),
            Gate(
                name="says-yes",
                test="cat /etc/conformance/answer; grep -qx yes /etc/conformance/answer",
                expect="the answer is yes",
                remedy="say yes",
            ),
        ),
        broken_by=("echo no >/etc/conformance/answer", "rm /etc/conformance/answer"),
    ),
)


class Bench:
    """Nodes, and a project whose only role declares what a row asks for."""

    def __init__(self, folder: Path, *nodes: Node) -> None:
        self.folder = folder
        self.nodes = nodes
        self.node = nodes[0]
        self.inventory = folder / "inventory.py"
        self._write("deploy.py", DEPLOY)
        self._write("roles/conformance/spec.py", CONFORMANCE)
        for name in rooms():
            if name != "conformance":
                self._write(f"roles/{name}/spec.py", NOT_WANTED)

    def declare(self, *resources: Resource) -> Plan:
        keys = {
            "os": OS,
            "arch": ARCH,
            "hardware": "absent",
            "sudo": True,
            "ssh_config_file": str(self.node.ssh_config),
            "conformance_items": [resource.model_dump(mode="json") for resource in resources],
        }
        told = ", ".join(f"{key}={value!r}" for key, value in keys.items())
        self._write(
            "inventory.py",
            f"from provision import fleet\n\nlab = fleet({[node.name for node in self.nodes]}, {told})\n",
        )
        return planned(targets(self.inventory)[self.node.name], rooms(), self.folder / ".provision").plan

    def apply(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pyinfra", "-y", "inventory.py", "deploy.py"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def due(self, plan: Plan) -> set[str]:
        """Names of what the probe observes to differ."""
        program = probe_program(plan, default_kernel=platform_for(OS, ARCH).default_kernel())
        answer = self.node.sudo("sh -s", stdin=program)
        return {due.entry.name for boot in drift(plan, parse(answer.stdout, self.node.name)) for due in boot}

    def by_hand(self, command: str) -> None:
        done = self.node.sudo(command)
        assert done.returncode == 0, done.stdout + done.stderr

    def _write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture(scope="module")
def bench(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    (node,) = lab.up(["conformance"])
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("project")
        patch.chdir(folder)
        patch.delenv("PROVISION_ROLES", raising=False)
        patch.delenv("PROVISION_STATE", raising=False)
        yield Bench(folder, node)
    lab.down([node.name])


@pytest.fixture(scope="module")
def asked(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The node as testinfra sees it."""
    bench.declare(*TABLE[0].resources)
    target = targets(bench.inventory)[bench.node.name]
    folder = tmp_path_factory.mktemp("pv")
    (folder / "ssh_config").write_text(ssh_config([target], folder))
    yield testinfra.get_host(host_spec(target, folder / "ssh_config"))
    disconnect([target], folder / "ssh_config")


def test_the_table_covers_every_kind() -> None:
    assert {type(row.tested) for row in TABLE} == set(get_args(get_args(Resource)[0]))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.tested.name)
def test_what_is_applied_is_what_is_observed_and_asserted(bench: Bench, asked: Host, row: Row) -> None:
    bench.by_hand(row.prepare)
    plan = bench.declare(*row.resources)

    def amiss() -> None:
        assert row.tested.name in bench.due(plan)
        with pytest.raises(AssertionError):
            assert_resource(asked, plan, row.tested)

    def well() -> None:
        assert bench.due(plan) == set()
        assert_resource(asked, plan, row.tested)

    amiss()
    bench.apply()
    well()
    for hand in row.broken_by:
        bench.by_hand(hand)
        amiss()
        bench.apply()
        well()


def verified(bench: Bench, out: Path) -> tuple[int, Summary]:
    code = verify(bench.inventory, (), out)
    return code, Summary.model_validate_json((out / "verify.json").read_text())


def test_verify_passes_what_is_right_and_fails_what_is_wrong(bench: Bench, tmp_path: Path) -> None:
    rows = [row for row in TABLE if not isinstance(row.tested, (BootEntry, Packages))]
    boot = BootEntry(name="own-kernel", release="9.1-old", needs=("boot",))
    bench.declare(*(resource for row in rows for resource in row.resources), boot)
    bench.apply()
    logins = "journalctl --sync; journalctl -q -u ssh | grep -c Accepted"
    before = int(bench.node.sudo(logins).stdout)
    code, summary = verified(bench, tmp_path)
    assert int(bench.node.sudo(logins).stdout) - before == 1
    seen = {check.resource: (check.outcome, check.evidence) for check in summary.checks}
    assert code == 0, seen
    assert seen.pop("own-kernel") == ("not applicable", "not applicable: boot")
    assert {outcome for outcome, _ in seen.values()} == {"holds"}

    bench.by_hand("systemctl stop conformance")
    code, summary = verified(bench, tmp_path)
    assert code == 1
    assert [check.resource for check in summary.checks if check.outcome == "fails"] == ["daemon"]


def gate(name: str, test: str) -> Gate:
    return Gate(name=name, test=test, expect="it is so", remedy="none")


def test_a_node_that_goes_away_while_it_is_asked_is_unknown_from_then_on(bench: Bench, tmp_path: Path) -> None:
    away = "systemctl stop ssh.service ssh.socket 2>/dev/null; pkill -KILL sshd"
    bench.declare(gate("first", "true"), gate("ssh-says-255", "exit 255"), gate("away", away), gate("last", "true"))
    code, summary = verified(bench, tmp_path)
    assert {check.resource: check.outcome for check in summary.checks} == {
        "reached": "holds",
        "first": "holds",
        "ssh-says-255": "fails",
        "away": "unknown",
        "last": "unknown",
    }
    assert code == 1


def test_two_nodes_are_asked_at_once_over_one_connection_each(pair: tuple[Node, Node], bench: Bench) -> None:
    both = Bench(bench.folder, *pair)
    resources = [row.resources for row in TABLE if isinstance(row.tested, (File, Directory, Derived, Gate))]
    both.declare(*(resource for group in resources for resource in group))
    both.apply()
    logins = "journalctl --sync; journalctl -q -u ssh | grep -c Accepted"
    before = [int(node.sudo(logins).stdout) for node in pair]
    code, summary = verified(both, bench.folder / "both")
    after = [int(node.sudo(logins).stdout) for node in pair]
    assert code == 0, summary
    assert [late - early for early, late in zip(before, after, strict=True)] == [1, 1]

    pair[1].sudo("rm /etc/conformance/shouting")
    code, summary = verified(both, bench.folder / "both")
    assert code == 1
    wrong = [(check.node, check.resource) for check in summary.checks if check.outcome == "fails"]
    assert wrong == [(pair[1].name, "shouting")]
    assert {check.node for check in summary.checks} == {node.name for node in pair}
