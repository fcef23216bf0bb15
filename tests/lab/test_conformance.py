"""Every kind of the vocabulary, on a real node: what pyinfra applies is what the probe observes and testinfra asserts.

apply -> observed clean -> assertion holds -> broken by hand -> observed as drift -> assertion fails -> repaired
"""

from __future__ import annotations

import json
import os
import re
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
    Alternatives,
    BootEntry,
    Derived,
    Directory,
    File,
    Fragment,
    Frozen,
    Gate,
    Group,
    KernelArgument,
    KernelArguments,
    Manual,
    Module,
    ModuleOption,
    Package,
    Packages,
    Plan,
    Repository,
    Resource,
    Setting,
    SigningKey,
    Symlink,
    Sysctl,
    SysctlSetting,
    Unit,
    User,
)
from provision.model.openpgp import fingerprints
from provision.planning import Plans, rooms
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


ARCHIVE = Path(__file__).parent / "archive"
"""A stand-in: an index of one package, signed once with a key that was then thrown away."""


def stand_in_archive(name: str, key: str) -> Repository:
    armour = (ARCHIVE / f"{key}.asc").read_text()
    return Repository(
        name=name,
        uris=("file:/srv/stand-in",),
        suites=("./",),
        key=SigningKey(armour=armour, fingerprints=fingerprints(armour)),
    )


def as_started() -> KernelArgument:
    """A container shares its host's kernel, so a word that this one was started with is there too."""
    words = Path("/proc/cmdline").read_text().split(" -- ")[0].split()
    names = [word.partition("=")[0] for word in words]
    for name, word in zip(names, words, strict=True):
        if names.count(name) == 1 and re.fullmatch(r"[a-z_]+=[a-z0-9]+", word):
            return KernelArgument(name=name, value=word.partition("=")[2], source="/proc/cmdline")
    raise LookupError("this kernel was started without a plain argument")


A_MODULE = next(path.name for path in sorted(Path("/sys/module").iterdir()) if path.name.isalpha())
"""That one is there as well, and cannot be taken out: what hides it is gone with a reboot."""

WRITABLE = (
    "mkdir -p /run/own-proc && mount -t proc none /run/own-proc && mount --bind /run/own-proc/sys/net /proc/sys/net"
)
"""The node's network settings are its own, but systemd-nspawn lets nobody write to them."""

DAEMON = """\
{"registry-mirrors": ["https://mirror.example"], "log-opts": {"max-size": "10m", "max-file": "3"}, "é": 1e3}
"""

DEFAULTS = """\
# What others say, with a key of ours that was once something else:
GRUB_TIMEOUT=5
GRUB_DEFAULT=0
if false; then
    GRUB_TIMEOUT_STYLE=menu
fi
# and how it ends
"""


class Row(Frozen):
    """`resources`: the last one is put to the test, those before are what it stands on. Commands run as root."""

    resources: tuple[Resource, ...]
    broken_by: tuple[str, ...]
    prepare: str = "true"
    person: str = ""
    """What a person does, where the run can only stop and ask for it."""

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
    Row(
        resources=(stand_in_archive("vendor", "vendor"),),
        prepare=" && ".join(
            written((ARCHIVE / name).read_text(), f"/srv/stand-in/{name}") for name in ("InRelease", "Packages")
        ),
        broken_by=(
            "rm /etc/apt/sources.list.d/provision-vendor.sources",
            "sed -i /Signed-By/d /etc/apt/sources.list.d/provision-vendor.sources",
            "echo 'Enabled: no' >>/etc/apt/sources.list.d/provision-vendor.sources",
            "echo >/etc/apt/keyrings/provision-vendor.asc",
        ),
    ),
    Row(
        resources=(Symlink(name="link", path="/srv/conformance links/it's", target="../some where"),),
        broken_by=(
            "ln -sfn /elsewhere '/srv/conformance links/it'\\''s'",
            "rm '/srv/conformance links/'*",
            "cd '/srv/conformance links' && rm * && echo text >it\\'s",
        ),
    ),
    Row(
        resources=(
            Alternatives(
                name="choice", alternative="conformance", link="/usr/local/bin/conformance", path="/opt/conformance/one"
            ),
        ),
        prepare=" && ".join(
            (
                written("1", "/opt/conformance/one"),
                written("2", "/opt/conformance/two"),
                "update-alternatives --install /usr/local/bin/conformance conformance /opt/conformance/two 50",
            )
        ),
        broken_by=(
            "update-alternatives --set conformance /opt/conformance/two",
            "update-alternatives --auto conformance",
            "update-alternatives --remove-all conformance",
            "rm /usr/local/bin/conformance",
            "ln -sfn /opt/conformance/two /etc/alternatives/conformance",
        ),
    ),
    Row(
        resources=(
            Fragment(
                name="defaults",
                path="/etc/default/conformance",
                format="shell",
                settings=(
                    Setting(key=("GRUB_DEFAULT",), value="saved"),
                    Setting(key=("GRUB_TIMEOUT_STYLE",), value="hidden, it's 100% & a=b"),
                ),
            ),
        ),
        prepare=written(DEFAULTS, "/etc/default/conformance"),
        broken_by=(
            "sed -i s/saved/0/ /etc/default/conformance",
            "echo GRUB_DEFAULT=1 >>/etc/default/conformance",
            "sed -i /^GRUB_DEFAULT/d /etc/default/conformance",
            "rm /etc/default/conformance",
        ),
    ),
    Row(
        resources=(
            Packages(name="json-tool", packages=(Package(name="jq"),)),
            Fragment(
                name="daemon-settings",
                path="/etc/conformance.d/daemon.json",
                format="json",
                settings=(
                    Setting(key=("runtimes", "nvidia.of ours", "path"), value="nvidia-container-runtime"),
                    Setting(key=("features",), value={"cdi": True}),
                    Setting(key=("log-opts", "max-file"), value="5"),
                ),
            ),
        ),
        prepare=written(DAEMON, "/etc/conformance.d/daemon.json"),
        broken_by=(
            "sed -i s/true/1/ /etc/conformance.d/daemon.json",
            'echo "{}" >/etc/conformance.d/daemon.json',
            "rm /etc/conformance.d/daemon.json",
        ),
    ),
    Row(
        resources=(KernelArguments(name="arguments", arguments=(as_started(),), needs=()),),
        broken_by=(
            "rm /etc/default/grub.d/zz-provision-arguments.cfg",
            "echo >>/etc/default/grub.d/zz-provision-arguments.cfg",
            "echo quiet >/tmp/cmdline && mount --bind /tmp/cmdline /proc/cmdline",
        ),
    ),
    Row(
        resources=(
            Module(
                name="there",
                module=A_MODULE,
                loaded=True,
                options=(ModuleOption(name="a", value="b=c;d"),),
                needs=(),
                boot_scoped=True,
            ),
        ),
        broken_by=(
            "rm /etc/modules-load.d/provision-there.conf",
            "echo options >/etc/modprobe.d/provision-there.conf",
            "mount -t tmpfs none /sys/module",
        ),
    ),
    Row(
        resources=(Module(name="kept-out", module="no-such", loaded=False, needs=(), boot_scoped=True),),
        broken_by=(
            "rm /etc/modprobe.d/provision-kept-out.conf",
            f"mount -t tmpfs none /sys/module && mkdir /sys/module/no_such /sys/module/{A_MODULE}",
        ),
    ),
    Row(
        resources=(
            Sysctl(
                name="network",
                settings=(
                    SysctlSetting(key="net.ipv4.tcp_rmem", value="4096 131073 16777216"),
                    SysctlSetting(key="net.ipv4.conf.all.log_martians", value="1"),
                ),
                needs=(),
            ),
        ),
        prepare=WRITABLE,
        broken_by=(
            "echo 0 >/proc/sys/net/ipv4/conf/all/log_martians",
            "echo 4096 131072 16777216 >/proc/sys/net/ipv4/tcp_rmem",
            "rm /etc/sysctl.d/*network.conf",
        ),
    ),
    Row(resources=(Group(name="people", group="conformance", system=True),), broken_by=("groupdel conformance",)),
    Row(
        resources=(
            Group(name="owners", group="conformance-owners", system=True),
            User(
                name="account",
                user="conformer",
                system=True,
                groups=("conformance-owners", "video"),
                shell="/usr/sbin/nologin",
            ),
        ),
        broken_by=(
            "gpasswd -d conformer video",
            "usermod -s /bin/sh conformer",
            "userdel conformer",
            "userdel conformer && groupadd conformer",
        ),
    ),
    Row(
        resources=(
            Manual(
                name="key-enrolled",
                title="the owner's key is not enrolled",
                instruction="Put it in at the console",
                test="echo the key; grep -qx yes /etc/conformance/enrolled",
            ),
        ),
        person=written("yes\n", "/etc/conformance/enrolled"),
        broken_by=("rm /etc/conformance/enrolled", "echo no >/etc/conformance/enrolled"),
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
        return planned(targets(self.inventory)[self.node.name], Plans(rooms()), self.folder / ".provision").plan

    def apply(self) -> None:
        done = self.run()
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pyinfra", "-y", "inventory.py", "deploy.py"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

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

    def mend() -> None:
        if not row.person:
            return bench.apply()
        stopped = bench.run()
        assert stopped.returncode == 1
        assert isinstance(row.tested, Manual)
        assert row.tested.instruction in stopped.stdout + stopped.stderr
        return bench.by_hand(row.person)

    amiss()
    mend()
    well()
    for hand in row.broken_by:
        bench.by_hand(hand)
        amiss()
        mend()
        well()


def test_a_key_that_signs_nothing_there_leaves_a_repository_as_it_was(bench: Bench) -> None:
    row = next(row for row in TABLE if isinstance(row.tested, Repository))
    bench.by_hand(row.prepare)
    bench.declare(*row.resources)
    bench.apply()
    files = "cd /etc/apt && ls -A keyrings sources.list.d && cat sources.list.d/*vendor* keyrings/*vendor*"
    before = bench.node.sudo(files).stdout
    bench.declare(stand_in_archive("vendor", "stranger"))
    refused = bench.run()
    assert refused.returncode == 1
    assert "is left as it was" in refused.stdout + refused.stderr
    assert bench.node.sudo(files).stdout == before
    bench.by_hand("apt-get -qq update")


def test_what_others_wrote_stays_where_it_was(bench: Bench) -> None:
    rows = [row for row in TABLE if isinstance(row.tested, Fragment)]
    for row in rows:
        bench.by_hand(row.prepare)
    bench.by_hand("chown lab:lab /etc/default/conformance && chmod 640 /etc/default/conformance")
    bench.declare(*(resource for row in rows for resource in row.resources))
    bench.apply()
    ours = 'GRUB_DEFAULT="saved"', 'GRUB_TIMEOUT_STYLE="hidden, it\'s 100% & a=b"\n'
    assert (
        bench.node.sudo("cat /etc/default/conformance").stdout == DEFAULTS.replace("GRUB_DEFAULT=0", ours[0]) + ours[1]
    )
    assert bench.node.sudo("stat -c '%U %G %a' /etc/default/conformance").stdout.strip() == "lab lab 640"
    kept = json.loads(bench.node.sudo("cat /etc/conformance.d/daemon.json").stdout)
    assert kept | {"log-opts": None} == json.loads(DAEMON) | {"log-opts": None} | {
        "runtimes": {"nvidia.of ours": {"path": "nvidia-container-runtime"}},
        "features": {"cdi": True},
    }
    assert kept["log-opts"] == {"max-size": "10m", "max-file": "5"}
    assert list(kept)[:3] == ["registry-mirrors", "log-opts", "é"]


@pytest.mark.parametrize("path", [row.tested.path for row in TABLE if isinstance(row.tested, Fragment)])
def test_a_file_that_its_reader_would_refuse_is_left_alone(bench: Bench, path: str) -> None:
    row = next(row for row in TABLE if isinstance(row.tested, Fragment) and row.tested.path == path)
    bench.by_hand(written("it's {", path))
    bench.declare(*row.resources)
    refused = bench.run()
    assert refused.returncode == 1
    assert f"{path} is left as it is" in refused.stdout + refused.stderr
    assert bench.node.sudo(f"cat {path}; ls -A {Path(path).parent} | grep -c provision").stdout == "it's {0\n"
    bench.by_hand(f"rm {path}")


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
