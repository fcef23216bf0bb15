"""Every kind of the vocabulary, on a real node: what an engine applies is what the probe observes and testinfra asserts.

apply -> observed clean -> assertion holds -> broken by hand -> observed as drift -> assertion fails -> repaired

pyinfra brings one kind at a time. Ansible, whose every run costs seconds, brings many at once: what its check mode
foretells is what it then changes, and a second run changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import get_args

import pytest
import testinfra
from playbook import Play, newest, play, settings
from testinfra.host import Host

from provision.engines.events import read
from provision.lab import Lab, Node
from provision.ledger import Reading
from provision.model import (
    Alternatives,
    Archive,
    BootEntry,
    Derived,
    Directory,
    File,
    Fragment,
    Frozen,
    Gate,
    GpuSetting,
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


UNPACKED = "/opt/conformance archive"


def packed() -> bytes:
    """A release as people publish them: one leading folder with the version in its name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("bin/one", "read me"):
            member = tarfile.TarInfo(f"release-1/{name}")
            member.size, member.mode, member.uid = len(name), 0o4755, 1000
            archive.addfile(member, io.BytesIO(name.encode()))
    return buffer.getvalue()


RELEASE = packed()


SMI = Path(__file__).parent / "standins" / "nvidia-smi"
"""A stand-in: it answers as an H200 did once, and changes its answer when it is told to."""


def recorded_gpu() -> str:
    answer = Path(__file__).parents[1] / "unit" / "data" / "probe-h200-1gpu.txt"
    lines = [line.removeprefix("xml\t") for line in answer.read_text().splitlines() if line.startswith("xml\t<")]
    return "\n".join((*lines, ""))


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
        broken_by=(
            "systemctl stop conformance",
            "systemctl disable conformance",
            "touch /etc/systemd/system/conformance.service",
        ),
    ),
    Row(
        resources=(
            File(
                name="drop-in",
                path="/etc/systemd/system/read.service.d/provision.conf",
                content="[Service]\nEnvironment=A=1\n",
            ),
        ),
        prepare=written(SERVICE, "/etc/systemd/system/read.service")
        + " && systemctl daemon-reload && systemctl start read",
        broken_by=(
            "rm -r /etc/systemd/system/read.service.d && systemctl daemon-reload",
            "touch /etc/systemd/system/read.service.d/provision.conf",
        ),
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
            Archive(
                name="release",
                url="file:///srv/conformance-release.tar.gz",
                sha256=hashlib.sha256(RELEASE).hexdigest(),
                to=UNPACKED,
                strip=1,
            ),
        ),
        prepare=f"echo {base64.b64encode(RELEASE).decode()} | base64 -d >/srv/conformance-release.tar.gz",
        broken_by=(
            f"rm -r '{UNPACKED}'",
            f"echo another >'{UNPACKED}/.provision'",
            f"rm -rf /opt/elsewhere && mv '{UNPACKED}' /opt/elsewhere && mkdir '{UNPACKED}'",
        ),
    ),
    Row(
        resources=(GpuSetting(name="one-context", setting="compute-mode", value="exclusive-process", needs=()),),
        prepare=" && ".join(
            (
                written(SMI.read_text(), "/usr/local/bin/nvidia-smi"),
                written(recorded_gpu(), "/usr/local/bin/nvidia-smi.xml"),
                "chmod +x /usr/local/bin/nvidia-smi",
                written(SERVICE, "/etc/systemd/system/nvidia-persistenced.service"),
                "systemctl daemon-reload",
            )
        ),
        broken_by=(
            "nvidia-smi -c DEFAULT",
            "rm /etc/systemd/system/nvidia-persistenced.service.d/provision-one-context.conf",
            "sed -i s/EXCLUSIVE_PROCESS/PROHIBITED/ /etc/systemd/system/nvidia-persistenced.service.d/*",
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

    def play(self, *arguments: str) -> Play:
        """The same through Ansible."""
        return play(self.folder, arguments)

    def provision_apply(self, engine: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "provision", "apply", "inventory.py", "--engine", engine],
            cwd=self.folder,
            env={**os.environ, **settings(self.folder)},
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
def by_ansible(lab: Lab, bench: Bench) -> Iterator[Bench]:
    """Another node, which only Ansible brings on."""
    pytest.importorskip("ansible", reason="ansible-core is not installed: pip install ansible-core")
    (node,) = lab.up(["conformance-a"])
    yield Bench(bench.folder, node)
    lab.down([node.name])


@pytest.fixture(scope="module")
def asked(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with as_testinfra_sees(bench, tmp_path_factory.mktemp("pv")) as host:
        yield host


@contextmanager
def as_testinfra_sees(bench: Bench, folder: Path) -> Iterator[Host]:
    bench.declare(*TABLE[0].resources)
    target = targets(bench.inventory)[bench.node.name]
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


def groups() -> dict[str, tuple[Row, ...]]:
    """What is brought at once: a default kernel and a person's act change what comes next in a run, so each is alone."""
    alone = {"default kernel": BootEntry, "person": Manual}
    found = {name: tuple(row for row in TABLE if isinstance(row.tested, kind)) for name, kind in alone.items()}
    return {"all others": tuple(row for row in TABLE if not isinstance(row.tested, tuple(alone.values()))), **found}


class Brought:
    """Rows that Ansible brings at once, and what is looked at before, during and after."""

    def __init__(self, bench: Bench, asked: Host, rows: Sequence[Row]) -> None:
        self.bench, self.asked, self.rows = bench, asked, rows
        self.plan = bench.declare(*(resource for row in rows for resource in row.resources))

    def breaks(self) -> None:
        self.bench.by_hand(f"mountpoint -q /run/own-proc || {{ {WRITABLE}; }}")
        for row in self.rows:
            self.bench.by_hand(row.broken_by[0])

    def mends(self) -> None:
        due = self.bench.due(self.plan)
        assert {row.tested.name for row in self.rows} <= due
        changes = {name for name in due if not isinstance(self.plan.by_name[name].resource, (Gate, Manual))}

        foretold = self.bench.play("--check", "--diff")
        assert foretold.code == 0, foretold.output
        assert set(foretold.items("changed", self.bench.node.name)) == changes, foretold.output
        assert [name for name in changes if f"\n{name}: " not in foretold.output] == [], "each has a difference"
        assert self.bench.due(self.plan) == due, "a check changes nothing"

        done = self.bench.play()
        assert set(done.items("changed", self.bench.node.name)) == changes, done.output
        persons = [row for row in self.rows if row.person]
        assert done.code == (2 if persons else 0), done.output
        for row in persons:
            assert isinstance(row.tested, Manual)
            assert row.tested.instruction in foretold.output
            assert row.tested.instruction in done.output
            self.bench.by_hand(row.person)

        assert self.bench.due(self.plan) == set()
        for row in self.rows:
            assert_resource(self.asked, self.plan, row.tested)


@pytest.mark.parametrize("group", groups())
def test_ansible_brings_every_kind_as_its_check_foretold(by_ansible: Bench, group: str, tmp_path: Path) -> None:
    rows = groups()[group]
    for row in rows:
        by_ansible.by_hand(row.prepare)
    with as_testinfra_sees(by_ansible, tmp_path) as asked:
        brought = Brought(by_ansible, asked, rows)
        brought.mends()
        again = by_ansible.play()
        assert (again.code, again.changed) == (0, {by_ansible.node.name: 0}), again.output
        brought.breaks()
        brought.mends()


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


def test_a_node_without_package_lists_fetches_them_before_versions_are_chosen(bench: Bench) -> None:
    bench.by_hand("rm -rf /var/lib/apt/lists/*")
    Reading(bench.node.name).forget()
    bench.declare(*(row.resources[0] for row in TABLE if row.tested.name == "text"))
    bench.apply()
    kept = Reading(bench.node.name).load()
    assert kept is not None
    assert kept.offers, "it knows what its archive offers"
    assert "offers" not in kept.hidden


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


def test_what_fails_on_one_host_ends_the_play_for_it_alone(pair: tuple[Node, Node], bench: Bench) -> None:
    pytest.importorskip("ansible", reason="ansible-core is not installed: pip install ansible-core")
    one, other = pair
    both = Bench(bench.folder, *pair)
    names = ["first", "second", "third"]
    both.declare(*(File(name=name, path=f"/etc/in-turn/{name}", content="") for name in names))
    one.sudo("mkdir -p /etc/in-turn/second")

    played = both.play()

    assert played.code == 2, "Ansible's own for a host that failed"
    assert (played.items("changed", one.name), played.items("failed", one.name)) == (["first"], ["second"])
    assert "a file belongs there" in played.output
    assert "third" not in played.items("ok", one.name), "it had no turn"
    assert one.sudo("ls /etc/in-turn").stdout.split() == ["first", "second"]
    assert played.items("changed", other.name) == names
    assert other.sudo("ls /etc/in-turn").stdout.split() == names

    failed = both.provision_apply("ansible")
    assert failed.returncode == 1, "ours for a node that failed"
    assert f"{one.name}: second FAILED" in failed.stdout
    assert f"{other.name}: converged, nothing was due" in failed.stdout
    one.sudo("rmdir /etc/in-turn/second")
    assert both.provision_apply("ansible").returncode == 0
    assert one.sudo("ls /etc/in-turn").stdout.split() == names


def told(output: str, node: str) -> list[str]:
    """What `provision apply` said while it ran, and of the end, without its times."""
    lines = [line for line in output.splitlines() if f"{node}: " in line]
    return [re.sub(r"[0-9:.]{3,}", "TIME", line.replace(f"{node}: ", "NODE: ")) for line in lines]


def test_both_engines_tell_the_same_while_they_run(bench: Bench, by_ansible: Bench) -> None:
    said, kinds = [], []
    for engine, side in (("pyinfra", bench), ("ansible", by_ansible)):
        side.declare(
            File(name="cause", path="/etc/conformance/cause", content=""),
            Derived(name="slow", inputs=("cause",), command="echo at work; sleep 8"),
        )
        applied = side.provision_apply(engine)
        assert applied.returncode == 0, applied.stdout + applied.stderr
        said.append(told(applied.stdout, side.node.name))
        events = list(read(newest(side.folder / ".provision")))
        kinds.append([(event["event"], event.get("resource")) for event in events if event["event"] != "progress"])
        progress = {(event["resource"], event["line"]) for event in events if event["event"] == "progress"}
        assert progress == {("slow", "at work")}
    assert kinds[0] == kinds[1]
    assert "TIME NODE: slow begins: cause changes" in said[0]
    assert said[0] == said[1]


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
