"""What preflight asks of a node: each test run in a directory that stands for its root."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from provision.catalog import load
from provision.model import NodeSpec, Packages, Plan
from provision.model.spec import Arch
from provision.planning import NoPlan, assemble, rooms
from provision.planning.role import Context
from provision.platforms import platform_for, ready, updates
from provision.stack import NoFit, resolve


def tool(root: Path, name: str, body: str) -> None:
    (root / "bin").mkdir(exist_ok=True)
    (root / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
    (root / "bin" / name).chmod(0o755)


def run(root: Path, text: str, path: str = "") -> tuple[int, str]:
    for place in ("/sys/", "/var/lib/", "/etc/"):
        text = text.replace(f" {place}", f" {root}{place}").replace(f"={place}", f"={root}{place}")
    environment = {"PATH": path or f"{root}/bin:/usr/bin:/bin", "LC_ALL": "C"}
    done = subprocess.run(["/bin/sh", "-euc", text], capture_output=True, text=True, env=environment, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


class TestRoom:
    """`free`: MiB by file system; of the target kernel `there` MiB lie in /boot already."""

    @pytest.mark.parametrize(
        ("free", "there", "told"),
        [
            (300, 0, ""),
            (299, 0, "/boot has 299 MiB free, 300 are needed"),
            (210, 90, ""),
            (209, 90, "/boot has 209 MiB free, 210 are needed"),
            (0, 400, ""),
        ],
    )
    def test_boot_is_not_asked_again_for_the_room_of_a_kernel_that_lies_there(
        self, tmp_path: Path, free: int, there: int, told: str
    ) -> None:
        assert self.asked(tmp_path, {"/": 4096, "/boot": free}, there) == told

    def test_the_root_needs_its_own(self, tmp_path: Path) -> None:
        assert self.asked(tmp_path, {"/": 4095, "/boot": 300}, 0) == "/ has 4095 MiB free, 4096 are needed"

    def asked(self, root: Path, free: dict[str, int], there: int) -> str:
        answers = "\n".join(f"{path}) echo x 1 1 {mib} 1 x ;;" for path, mib in free.items())
        tool(root, "df", f"echo Filesystem\ncase $2 in\n{answers}\nesac")
        spec = NodeSpec.model_validate({"os": "debian13", "arch": "x86_64", "gpu": "H100"})
        ctx = Context(spec=spec, stack=resolve(spec, load()), platform=platform_for("debian13", "x86_64"))
        gates = {one.name: one for one in rooms()["preflight"].role().resources(ctx)}
        (root / "boot").mkdir()
        for release, mib in ((ctx.stack.version("kernel"), there), ("1.2.3-other", 50)):
            for name in ("vmlinuz", "initrd.img") if mib else ():
                with (root / f"boot/{name}-{release}").open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, mib << 19)
        test = gates["preflight-space"].test.replace(" /boot/", f" {root}/boot/")
        return run(root, test)[1]


class TestOldOfed:
    @pytest.mark.parametrize(
        ("installed", "says", "code"),
        [
            ("", None, 0),
            ("", "OFED-internal-25.10-1.2.3:", 0),
            ("ii |mlnx-ofed-kernel-dkms", "OFED-internal-25.10-1.2.3:", 0),
            ("", "MLNX_OFED_LINUX-24.10-1.2.3:", 1),
            ("ii |mlnx-ofed-all", None, 1),
            ("rc |mlnx-ofed-all", None, 0),
        ],
    )
    def test_what_must_go_first(self, tmp_path: Path, installed: str, says: str | None, code: int) -> None:
        tool(tmp_path, "dpkg-query", f"echo '{installed}'" if installed else "exit 1")
        if says:
            tool(tmp_path, "ofed_info", f"echo {says}")
        assert run(tmp_path, ready.old_ofed_absent())[0] == code


class TestFirstBoot:
    def test_a_node_without_cloud_init_is_ready(self, tmp_path: Path) -> None:
        assert run(tmp_path, ready.first_boot_is_over(1)) == (0, "no cloud-init here")

    @pytest.mark.parametrize("code", [0, 1, 2])
    def test_however_it_ended_it_is_over(self, tmp_path: Path, code: int) -> None:
        tool(tmp_path, "cloud-init", f"exit {code}")
        assert run(tmp_path, ready.first_boot_is_over(9)) == (0, "cloud-init has ended")

    def test_it_is_not_waited_for_forever(self, tmp_path: Path) -> None:
        tool(tmp_path, "cloud-init", 'case "$*" in *--wait*) exec sleep 9 ;; esac; echo "status: running"')
        code, told = run(tmp_path, ready.first_boot_is_over(1))
        assert (code, told) == (1, "cloud-init has been at work for more than 1 s: status: running")


SYSTEMS = [(system.id, arch) for system in load().operating_systems for arch in system.archs]
EVERYTHING = ("rdma", "containers", "gdrcopy", "dcgm")
OF_EVERYBODY = (
    "bash", "libssl3t64", "openssh-server", "linux-libc-dev", "linux-base", "libc6", "libstdc++6", "g++-12",
    "python3.13-minimal", "rdma-core", "systemd", "containerd", "docker.io", "dkms", "libcudart12-of-a-site",
)  # fmt: skip


def excepted(system: str, arch: Arch, folder: Path) -> list[str]:
    """The expressions that unattended-upgrades gets of apt's own parser."""
    path = folder / "apt.conf"
    path.write_text(platform_for(system, arch).update_exceptions().content)
    return subprocess.run(
        ["apt-config", "dump", "--format", "%v%n", "Unattended-Upgrade::Package-Blacklist"],
        env=os.environ | {"APT_CONFIG": str(path)}, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip


def is_excepted(name: str, expressions: list[str]) -> bool:
    """As `is_pkgname_in_blacklist` of unattended-upgrades 2.9.1 and 2.12 does (read 2026-11-21)."""
    return any(re.match(expression, name) for expression in expressions)


class TestUpdates:
    @pytest.mark.parametrize("repository", ["archive", "cuda"])
    @pytest.mark.parametrize(("system", "arch"), SYSTEMS)
    def test_every_package_that_a_plan_holds_is_excepted(
        self, system: str, arch: Arch, repository: str, tmp_path: Path
    ) -> None:
        gpus = ("GH200", "GB200") if arch == "aarch64" else ("H100", "B200")
        plans = [plan for gpu in gpus if (plan := _plan(system, arch, gpu, repository))]
        held = {
            package.name
            for plan in plans
            for entry in plan.entries
            if isinstance(entry.resource, Packages) and entry.resource.hold
            for package in entry.resource.packages
        }
        assert {name for name in held if not is_excepted(name, excepted(system, arch, tmp_path))} == set()
        assert held or repository == "cuda"

    @pytest.mark.parametrize(("system", "arch"), SYSTEMS)
    def test_so_is_what_follows_the_newest_and_nothing_else(self, system: str, arch: Arch, tmp_path: Path) -> None:
        expressions = excepted(system, arch, tmp_path)
        metas = {meta for row in platform_for(system, arch).kernels for meta in (*row.metas, *row.others)}
        assert {name for name in metas if not is_excepted(name, expressions)} == set()
        assert [name for name in OF_EVERYBODY if is_excepted(name, expressions)] == []
        posix = r"^[-a-zA-Z0-9\^\$\+\.:]*$"  # `python_regex_is_posix` there: any other is asked of every package
        assert [one for one in expressions if not re.match(posix, one)] == []
        assert len(expressions) < 30, "apt looks through all packages for each"

    @pytest.mark.parametrize(
        ("age", "held_off"),
        [(None, False), (0, True), (updates.LEASE_MINUTES - 1, True), (updates.LEASE_MINUTES + 1, False)],
    )
    def test_a_lease_ends_by_itself(self, tmp_path: Path, age: int | None, held_off: bool) -> None:
        lease = tmp_path / "lease"
        if age is not None:
            lease.touch()
            then = lease.stat().st_mtime - age * 60
            os.utime(lease, (then, then))
        (line,) = (line for line in updates.LEASE.splitlines() if line.startswith("ExecCondition="))
        command = line.removeprefix("ExecCondition=").replace("/run/provision/lease", str(lease))
        assert (subprocess.run(["sh", "-c", command], check=False).returncode != 0) == held_off


def _plan(system: str, arch: Arch, gpu: str, repository: str) -> Plan | None:
    """Of a node that has everything, without a feature where nothing fits all; None where nothing does at all."""
    declared = {"os": system, "arch": arch, "gpu": gpu, "driver_repository": repository, "features": EVERYTHING}
    for pin in ({"cuda": "13"}, {"cuda": "12"}, {"cuda": "11"}, {}):
        with suppress(NoFit, NoPlan):
            return assemble(NodeSpec.model_validate({**declared, **pin}), rooms()).plan
    return None


class TestGpu:
    @pytest.mark.parametrize(
        ("gpu", "devices", "code"),
        [
            ("GH200", {"a": ("0x10de", "0x2342", "0x030200")}, 0),
            ("GH200", {"a": ("0x10de", "0x2330", "0x030200")}, 1),
            ("GH200", {}, 1),
            (None, {"a": ("0x10de", "0x2330", "0x030200")}, 0),
            (None, {"a": ("0x10de", "0x22a3", "0x068000")}, 1),
            (None, {"a": ("0x8086", "0x2330", "0x030200")}, 1),
            ("H100", {"a": ("0x10de", "0x22a3", "0x068000"), "b": ("0x10de", "0x2330", "0x030200")}, 0),
        ],
    )
    def test_the_declared_gpu_is_looked_for_by_its_id(
        self, tmp_path: Path, gpu: str | None, devices: dict[str, tuple[str, str, str]], code: int
    ) -> None:
        for name, ids in devices.items():
            folder = tmp_path / "sys/bus/pci/devices" / name
            folder.mkdir(parents=True)
            for file, value in zip(("vendor", "device", "class"), ids, strict=True):
                (folder / file).write_text(f"{value}\n")
        arch: Arch = "aarch64" if gpu == "GH200" else "x86_64"
        spec = NodeSpec(os="debian13", arch=arch, gpu=gpu)
        context = Context(spec=spec, stack=resolve(spec, load(), None), platform=platform_for("debian13", arch))
        role = rooms()["preflight"].role()
        (test,) = (r.test for r in role.resources(context) if r.name == "preflight-gpu" and r.kind == "gate")
        got, told = run(tmp_path, f"(set -eu\n{test}\n)")
        assert got == code, told
        assert all(f"10de:{ids[1][2:]}" in told for ids in devices.values() if ids[0] == "0x10de" and "0x03" in ids[2])
