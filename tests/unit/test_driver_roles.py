"""doca_ofed, open_kernel_modules and cuda_drivers: what their variables and the stack make of a plan."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

import provision
from provision.catalog import load
from provision.model import Derived, File, NodeSpec, Packages, Plan, Repository
from provision.model.openpgp import fingerprints
from provision.planning import NoPlan, assemble, rooms

ROOMS = rooms([Path(provision.__file__).parent.parent / "roles"])
KEYS = Path(__file__).parents[1] / "lab" / "archive"
BRANCH = next(row.id for row in load().driver_branches if row.type == "LTSB" and row.open_modules == "all")


def plan(**declared: Any) -> Plan:
    given = {"os": "ubuntu24.04", "arch": "aarch64", "gpu": "GH200", **declared}
    return assemble(NodeSpec.model_validate(given), ROOMS).plan


def content(made: Plan, name: str) -> str:
    resource = made.by_name[name].resource
    assert isinstance(resource, File)
    return resource.content


def packages(made: Plan, name: str) -> list[str]:
    resource = made.by_name[name].resource
    assert isinstance(resource, Packages)
    return [package.name for package in resource.packages]


def inputs(made: Plan, name: str) -> tuple[str, ...]:
    resource = made.by_name[name].resource
    assert isinstance(resource, Derived)
    return resource.inputs


class TestNetwork:
    def test_a_node_without_rdma_gets_none_of_it(self) -> None:
        assert not [e for e in plan().entries if e.role == "doca_ofed"]

    @pytest.mark.parametrize("declared", [{"features": ["rdma"]}, {"doca": load().doca_releases[-1].id}])
    def test_the_drivers_modules_are_built_from_it_and_judged_against_it(self, declared: dict[str, Any]) -> None:
        made = plan(**declared)
        names = [e.name for e in made.entries]
        assert "ofed-build" in inputs(made, "module-build")
        wanted = ["ofed-build", "ofed-built", "module-build", "modules-built", "peer-memory-fits", "initrd"]
        assert [name for name in names if name in wanted] == wanted

    def test_apt_keeps_to_the_release_and_to_the_distributions_dkms(self) -> None:
        lock = content(plan(features=["rdma"]), "ofed-lock")
        assert "Package: dkms\nPin: release l=DOCA-HOST*\nPin-Priority: -1\n" in lock
        assert "Package: doca-ofed\nPin: version " in lock

    @pytest.mark.parametrize("profile", ["doca-networking", "doca-roce", "doca-all"])
    def test_another_profile_is_another_metapackage(self, profile: str) -> None:
        made = plan(features=["rdma"], variables={"doca_ofed": {"profile": profile}})
        assert packages(made, "ofed-packages") == [profile]

    def test_user_space_alone_builds_nothing(self) -> None:
        made = plan(features=["rdma"], variables={"doca_ofed": {"profile": "doca-ofed-userspace"}})
        assert packages(made, "ofed-packages") == ["doca-ofed-userspace"]
        assert "ofed-build" not in made.by_name

    def test_inbox_is_the_distributions_own_and_nothing_of_the_vendor(self) -> None:
        made = plan(features=["rdma"], variables={"doca_ofed": {"profile": "inbox"}})
        mine = [e.name for e in made.entries if e.role == "doca_ofed"]
        assert mine == ["ofed-packages", "ofed-inbox"]
        assert "rdma-core" in packages(made, "ofed-packages")

    def test_peer_memory_is_loaded_once_infiniband_is_up_unless_told_otherwise(self) -> None:
        assert "modprobe nvidia-peermem" in content(plan(features=["rdma"]), "ofed-peer-memory")
        made = plan(features=["rdma"], variables={"doca_ofed": {"peer_memory": False}})
        assert "ofed-peer-memory" not in made.by_name

    def test_firmware_is_brought_on_request_only(self) -> None:
        assert packages(plan(features=["rdma"]), "ofed-packages") == ["doca-ofed"]
        made = plan(features=["rdma"], variables={"doca_ofed": {"firmware": True}})
        assert packages(made, "ofed-packages") == ["doca-ofed", "mlnx-fw-updater"]


class TestRepositories:
    @pytest.mark.parametrize(
        ("role", "name", "arch", "gpu", "end"),
        [
            ("doca_ofed", "ofed-repository", "aarch64", "GH200", "/ubuntu24.04/arm64-sbsa/"),
            ("doca_ofed", "ofed-repository", "x86_64", "H100", "/ubuntu24.04/x86_64/"),
            ("open_kernel_modules", "driver-repository", "aarch64", "GH200", "/ubuntu2404/sbsa/"),
            ("open_kernel_modules", "driver-repository", "x86_64", "H100", "/ubuntu2404/x86_64/"),
        ],
    )
    def test_a_key_brings_the_repository_under_the_vendors_name_of_the_architecture(
        self, role: str, name: str, arch: str, gpu: str, end: str
    ) -> None:
        key = (KEYS / "vendor.asc").read_text()
        variables = {role: {"key": key, "key_fingerprints": list(fingerprints(key))}}
        resource = plan(arch=arch, gpu=gpu, features=["rdma"], variables=variables).by_name[name].resource
        assert isinstance(resource, Repository)
        assert resource.uris[0].endswith(end)

    def test_without_a_key_nothing_is_added(self) -> None:
        assert not [e for e in plan(features=["rdma"]).entries if isinstance(e.resource, Repository)]


class TestModules:
    def options(self, **declared: Any) -> str:
        lines = content(plan(**declared), "module-options").splitlines()
        return "\n".join(line for line in lines if not line.startswith("#"))

    @pytest.mark.parametrize(
        ("declared", "option"),
        [
            ({"features": ["cdmm"]}, "options nvidia NVreg_CoherentGPUMemoryMode=driver"),
            ({"gpu": "GB200"}, "options nvidia NVreg_CreateImexChannel0=1"),
            ({"variables": {"open_kernel_modules": {"profiling_for_all": True}}},
             "options nvidia NVreg_RestrictProfilingToAdminUsers=0"),
        ],
    )  # fmt: skip
    def test_an_option_where_it_is_wanted(self, declared: dict[str, Any], option: str) -> None:
        assert self.options(**declared) == option

    def test_and_none_otherwise(self) -> None:
        assert self.options() == ""
        assert self.options(gpu="GB200", variables={"open_kernel_modules": {"imex_channel": False}}) == ""

    def test_every_option_says_where_it_is_from(self) -> None:
        made = plan(gpu="GB200", features=["cdmm"], variables={"open_kernel_modules": {"profiling_for_all": True}})
        text = content(made, "module-options")
        assert text.count("options nvidia") == 3
        assert text.count("(read 20") == 3

    def test_ready_made_modules_are_of_the_target_kernel_and_nothing_is_built(self) -> None:
        made = plan(arch="x86_64", gpu="H100", variables={"open_kernel_modules": {"origin": "precompiled"}})
        (name,) = packages(made, "module-packages")
        assert name.startswith("linux-modules-nvidia-")
        assert name.endswith(made.by_name["modules-built"].resource.expect.rpartition(" ")[2])  # type: ignore[union-attr]
        assert "module-build" not in made.by_name
        assert "module-key-enrolment" not in made.by_name

    def test_gdrcopy_needs_the_source_that_ready_made_modules_lack(self) -> None:
        with pytest.raises(NoPlan, match="gdrcopy is compiled against the driver's source"):
            plan(gpu="H100", features=["gdrcopy"], variables={"open_kernel_modules": {"origin": "precompiled"}})

    def test_where_the_distribution_has_no_ready_made_ones_the_plan_says_so(self) -> None:
        with pytest.raises(NoPlan, match=r"no ready-made kernel modules of a driver are known .* Debian 13"):
            plan(os="debian13", arch="x86_64", gpu="H100", variables={"open_kernel_modules": {"origin": "precompiled"}})


class TestUserHalf:
    def test_nvidias_own_repository_comes_with_its_pinning_package(self) -> None:
        made = plan(driver_repository="cuda", driver=BRANCH)
        newest = load().branch[BRANCH].newest
        assert packages(made, "driver-packages")[0] == f"nvidia-driver-pinning-{newest}"
        assert f"nvidia-dkms-{BRANCH}-open" in packages(made, "module-packages")

    def test_where_dkms_would_call_it_something_unknown_the_plan_says_so(self) -> None:
        with pytest.raises(NoPlan, match="what DKMS calls the modules of NVIDIA's repository for Debian 12"):
            plan(os="debian12", arch="x86_64", gpu="H100", driver_repository="cuda")

    @pytest.mark.parametrize(
        ("arch", "gpu", "wanted", "others"),
        [
            ("aarch64", "GH200", [], ["fabricmanager", "imex"]),
            ("aarch64", "GB200", ["nvidia-imex"], ["fabricmanager"]),
            ("x86_64", "B200", ["nvidia-fabricmanager", "libnvidia-nscq", "nvlsm", "libnvsdm"], ["imex"]),
            ("x86_64", "A100", ["nvidia-fabricmanager", "libnvidia-nscq"], ["imex", "nvlsm"]),
            ("x86_64", "L40S", [], ["fabricmanager", "imex"]),
        ],
    )
    def test_what_connects_the_gpus_decides_what_runs_beside_the_driver(
        self, arch: str, gpu: str, wanted: list[str], others: list[str]
    ) -> None:
        names = packages(plan(arch=arch, gpu=gpu, driver_repository="cuda", driver=BRANCH), "driver-packages")
        assert set(wanted) <= set(names)
        assert not [name for name in names for other in others if other in name]

    @pytest.mark.parametrize("repository", ["archive", "cuda"])
    @pytest.mark.parametrize(
        ("gpu", "arch", "seen"),
        [
            ("GH200", "aarch64", set()),
            ("GB200", "aarch64", {"imex"}),
            ("H100", "x86_64", {"fabricmanager", "nscq"}),
            ("L40S", "x86_64", set()),
            ("B200", "x86_64", {"fabricmanager", "nscq", "nvlsm", "nvsdm"}),
        ],
    )
    def test_every_part_of_a_fabric_is_there_where_the_hardware_has_it_and_at_the_drivers_version(
        self, gpu: str, arch: str, seen: set[str], repository: str
    ) -> None:
        """As far as the declaration tells: of an H100, the bus says whether it is on a board with switches."""
        made = plan(arch=arch, gpu=gpu, driver_repository=repository, driver=BRANCH)
        resource = made.by_name["driver-packages"].resource
        assert isinstance(resource, Packages)
        parts = {
            part: p.version
            for p in resource.packages
            for part in ("fabricmanager", "imex", "nscq", "nvlsm", "nvsdm")
            if part in p.name
        }
        known = seen - ({"nvlsm", "nvsdm"} if repository == "archive" else set())
        assert set(parts) == known
        refused = plan(arch=arch, gpu=gpu, driver_repository=repository, driver=BRANCH, fabricmanager=False)
        assert not {"fabric-daemon", "fabric-managed", "fabric-datagrams"} & set(refused.by_name)
        (driver,) = {p.version for p in resource.packages if p.name.startswith("libnvidia-compute")}
        assert {version for part, version in parts.items() if part != "nvlsm"} <= {driver}
        assert ("fabric-datagrams" in made.by_name) == ("nvlsm" in seen)

    @pytest.mark.parametrize("waits", [True, False])
    def test_a_fabric_manager_that_waits_for_the_target_that_wants_it_is_started_at_boot(
        self, waits: bool, tmp_path: Path
    ) -> None:
        made = plan(arch="x86_64", gpu="H100", driver_repository="cuda", driver=BRANCH)
        program = made.by_name["fabric-at-boot"].resource
        assert isinstance(program, Derived)
        packaged, own = tmp_path / "usr/lib/systemd/system", tmp_path / "etc/systemd/system"
        for folder in (packaged, own):
            folder.mkdir(parents=True)
        line = "After=multi-user.target\n" if waits else ""
        (packaged / "nvidia-fabricmanager.service").write_text(f"[Unit]\nAfter=network-online.target\n{line}")
        text = program.command.replace(" /lib/", f" {tmp_path}/lib/").replace(" /usr/lib/", f" {tmp_path}/usr/lib/")
        text = text.replace("own=/etc/", f"own={tmp_path}/etc/").replace("systemctl", "true")
        subprocess.run(["sh", "-euc", text], check=True)
        written = own / "nvidia-fabricmanager.service"
        assert written.exists() is waits
        assert not waits or written.read_text() == "[Unit]\nAfter=network-online.target\n"

    def test_imex_starts_only_where_its_nodes_are_told(self) -> None:
        assert "imex-daemon" not in plan(gpu="GB200").by_name
        made = plan(gpu="GB200", variables={"cuda_drivers": {"imex_nodes": ["192.0.2.1", "192.0.2.2"]}})
        assert content(made, "imex-nodes") == "192.0.2.1\n192.0.2.2\n"
        assert made.by_name["imex-daemon"].resource.after == "driver"

    @pytest.mark.parametrize(
        "keys",
        [
            {"os": "debian13", "arch": "x86_64", "gpu": "H100"},
            {"driver": BRANCH},
            {"driver": BRANCH, "driver_repository": "cuda"},
        ],
    )
    def test_persistence_mode_is_on_where_the_daemon_is_known(self, keys: dict[str, Any]) -> None:
        text = content(plan(**keys), "persistence")
        assert "--persistence-mode" in text
        assert text.index("ExecStart=\n") < text.index("ExecStart=/usr/bin")

    def test_every_package_is_held(self) -> None:
        made = plan(features=["rdma"])
        mine = {"doca_ofed", "open_kernel_modules", "cuda_drivers"}
        held = [e.resource.hold for e in made.entries if isinstance(e.resource, Packages) and e.role in mine]
        assert held == [True, True, True]
