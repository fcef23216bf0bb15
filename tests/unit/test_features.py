"""Each feature does on the node what it says, or the plan is refused in one paragraph before any machine is touched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from provision.catalog import load
from provision.cli.main import app
from provision.model import Derived, Gate, GpuSetting, NodeSpec, Packages, Plan
from provision.model.spec import Feature
from provision.planning import NoPlan, assemble, rooms
from provision.planning.features import COMPONENTS, FLAVOURS
from provision.planning.order import order
from provision.stack import NoFit

SHIPPED = Path(__file__).parents[2] / "roles"
GPU = {"x86_64": "H100", "aarch64": "GH200"}
FITTING: dict[Feature, dict[str, Any]] = {
    "cdmm": {"arch": "aarch64"},
    "fabricmanager": {"driver_repository": "cuda", "driver": "580"},
    "gds": {"os": "debian13"},
    "proprietary": {},
}
"""Where a feature fits only some nodes: one that it fits."""

BRINGS: dict[Feature, set[str]] = {
    "rdma": {"ofed-packages", "ofed-build", "ofed-built", "ofed-daemon"},
    "containers": {"container-packages", "container-docker", "container-containerd", "container-crio", "container-cdi"},
    "gdrcopy": {"gdrcopy-packages", "gdrcopy-build", "gdrcopy-built", "gdrcopy-module", "gdrcopy-loaded"},
    "gds": {"gds-packages", "gds-build", "gds-built", "gds-module", "gds-loaded"},
    "dcgm": {"dcgm-packages", "dcgm-service", "dcgm-answers"},
    "mig": {"mig-mode"},
    "cdmm": {"memory-mode"},
    "fabricmanager": {"fabric-daemon", "fabric-managed"},
    "open": set(),
    "proprietary": set(),
}
"""What of the plan keeps a feature's word; the two flavours choose among packages that are there anyway."""


def plan(*features: str, **declared: Any) -> Plan:
    keys = {"os": "ubuntu24.04", "arch": "x86_64", **declared}
    keys = {"gpu": GPU[keys["arch"]], "features": features, **keys}
    return assemble(NodeSpec.model_validate(keys), rooms([SHIPPED])).plan


def packages(made: Plan, name: str) -> list[str]:
    resource = made.by_name[name].resource
    assert isinstance(resource, Packages)
    return [package.name for package in resource.packages]


def ran(program: str, folder: Path) -> tuple[int, str]:
    path = f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"
    done = subprocess.run(["/bin/sh", "-euc", program], env={"PATH": path}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


class TestTable:
    def test_it_has_every_feature_and_names_components_that_the_rules_know(self) -> None:
        assert {*COMPONENTS, *FLAVOURS} == set(get_args(Feature)) == set(BRINGS)
        ruled = {name for rule in order().rules for name in (rule.before, rule.after)}
        assert set(COMPONENTS.values()) <= ruled

    @pytest.mark.parametrize("feature", get_args(Feature))
    def test_a_feature_brings_what_it_says_and_nobody_gets_it_without(self, feature: Feature) -> None:
        node = FITTING.get(feature, {})
        brought = set(plan(feature, **node).by_name)
        assert brought >= BRINGS[feature]
        without = {"fabricmanager": False} if feature == "fabricmanager" else {}
        assert not set(plan(**node, **without).by_name) & BRINGS[feature]

    @pytest.mark.parametrize(("flavour", "other"), [("open", "proprietary"), ("proprietary", "open")])
    def test_a_flavour_chooses_the_modules(self, flavour: str, other: str) -> None:
        (row,) = (row for row in load().driver_packages if row.os == "debian13")
        names = dict(row.modules)
        bought = packages(plan(flavour, os="debian13"), "module-packages")
        assert names[flavour] in bought and names[other] not in bought  # type: ignore[index]

    @pytest.mark.parametrize("flavour", sorted(FLAVOURS))
    def test_a_flavour_chooses_a_kernel_for_modules_that_come_later(self, flavour: Feature) -> None:
        plan(flavour, roles=["preflight", "kernel_64k"])

    @pytest.mark.parametrize("feature", COMPONENTS)
    def test_one_whose_role_is_left_out_is_refused_with_what_to_do(self, feature: Feature) -> None:
        roles = ["preflight", "kernel_64k"]
        with pytest.raises(
            NoPlan, match=rf"nothing in this plan would do .*: {feature} \(by a role that brings"
        ) as told:
            plan(feature, roles=roles, **FITTING.get(feature, {}))
        assert "\n" not in str(told.value)

    def test_that_is_bad_input_told_by_exit_code_2(self) -> None:
        given = ("os=ubuntu24.04", "arch=x86_64", "gpu=H100", "features=gds", "roles=preflight")
        told = CliRunner().invoke(app, ["plan", *(word for one in given for word in ("--set", one))])
        assert told.exit_code == 2
        assert "gds (by a role that brings gds)" in " ".join(told.output.split())


class TestGds:
    @pytest.mark.parametrize("reboots", ["single", "staged"])
    def test_it_is_built_for_the_target_kernel_behind_ofed_and_driver(self, reboots: str) -> None:
        made = plan("rdma", "gds", os="debian13", reboots=reboots)
        names = [entry.name for entry in made.entries]
        assert names.index("ofed-build") < names.index("module-build") < names.index("gds-build")
        build = made.by_name["gds-build"].resource
        assert isinstance(build, Derived)
        assert {"gds-packages", "ofed-build", "module-build", "kernel-packages"} <= set(build.inputs)
        assert "NVIDIA_SRC_DIR=" in build.command and build.boot_scoped
        assert made.boot_of["gds-build"] < made.boot_of["gds-loaded"]

    @pytest.mark.parametrize("keys", [{"os": "debian12"}, {"os": "debian13"}, {}, {"driver_repository": "cuda"}])
    def test_its_package_is_held_and_may_bring_no_driver_of_its_own(self, keys: dict[str, Any]) -> None:
        made = plan("gds", **keys)
        held, gate = made.by_name["gds-packages"].resource, made.by_name["gds-without-driver"].resource
        assert isinstance(held, Packages) and held.hold
        assert [package.name for package in held.packages] == ["nvidia-fs-dkms"]
        assert isinstance(gate, Gate) and gate.precondition
        assert "nvidia-fs-dkms" in gate.test

    @pytest.mark.parametrize(
        ("features", "keys", "words"),
        [
            (["gds", "proprietary"], {"os": "debian13"}, "nvidia-fs .* needs the open kernel modules"),
            (
                ["gds"],
                {"variables": {"open_kernel_modules": {"origin": "precompiled"}}},
                "nvidia-fs of the feature gds is compiled against the driver's source",
            ),
        ],
    )
    def test_where_it_cannot_be_it_is_refused(self, features: list[str], keys: dict[str, Any], words: str) -> None:
        with pytest.raises((NoPlan, NoFit), match=words):
            plan(*features, **keys)


class TestMig:
    def test_the_mode_is_set_behind_the_driver_and_the_specification_made_again(self) -> None:
        made = plan("mig", "containers")
        setting, cdi = made.by_name["mig-mode"].resource, made.by_name["container-cdi"].resource
        assert isinstance(setting, GpuSetting) and isinstance(cdi, Derived)
        assert (setting.setting, setting.value, setting.after) == ("mig", "enabled", "driver")
        assert "mig-mode" in cdi.inputs
        names = [entry.name for entry in made.entries]
        assert names.index("mig-mode") < names.index("container-cdi")


class TestInbox:
    INBOX: dict[str, Any] = {"variables": {"doca_ofed": {"profile": "inbox"}}}  # noqa: RUF012

    def test_no_part_of_doca_and_no_peer_memory(self) -> None:
        made = plan("rdma", **self.INBOX)
        assert packages(made, "ofed-packages")[0] == "rdma-core"
        assert not {"ofed-peer-memory", "ofed-repository", "ofed-build", "ofed-daemon"} & set(made.by_name)

    @pytest.mark.parametrize(
        ("file", "loaded", "told", "code"),
        [
            ("/lib/modules/R/kernel/drivers/infiniband/core/x.ko.xz", "mlx5_core", "the kernel's own drivers", 0),
            ("(builtin)", "mlx5_core", "the kernel's own drivers", 0),
            ("/lib/modules/R/updates/dkms/x.ko", "mlx5_core", "ib_core is not the kernel's own", 1),
            ("", "mlx5_core", "has no ib_core", 1),
            ("(builtin)", "nvidia_peermem", "nvidia-peermem is loaded", 1),
        ],
    )
    def test_the_gate_asks_whose_drivers_they_are(
        self, file: str, loaded: str, told: str, code: int, tmp_path: Path
    ) -> None:
        gate = plan("rdma", **self.INBOX).by_name["ofed-inbox"].resource
        assert isinstance(gate, Gate)
        (tmp_path / "modules").write_text(f"{loaded} 4096 0 - Live 0x0\n")
        (tmp_path / "modinfo").write_text(f"#!/bin/sh\n{f'echo {file!r}' if file else 'exit 1'}\n")
        (tmp_path / "modinfo").chmod(0o755)
        got, words = ran(gate.test.replace("/proc/modules", str(tmp_path / "modules")), tmp_path)
        assert (got, told in words) == (code, True), words

    @pytest.mark.parametrize(
        ("features", "keys", "words"),
        [
            (["rdma", "proprietary"], {}, "which the proprietary kernel modules do not have"),
            (["rdma"], {"os": "ubuntu22.04", "gpu": "A100", "cuda": "11.6"}, r"which CUDA 11\.6\.\d does not know"),
        ],
    )
    def test_without_dma_buf_it_is_refused(self, features: list[str], keys: dict[str, Any], words: str) -> None:
        with pytest.raises(NoPlan, match=words):
            plan(*features, **keys, **self.INBOX)
