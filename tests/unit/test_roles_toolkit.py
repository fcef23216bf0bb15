"""The roles above the driver: what they declare on each platform, and how their programs judge."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, ClassVar

import pytest
from samples import converged

from provision.catalog import branch_of, load
from provision.catalog.published import published
from provision.model import (
    Alternatives,
    Derived,
    File,
    Fragment,
    Gate,
    NodeSpec,
    Package,
    Packages,
    Plan,
    Repository,
    Resource,
)
from provision.planning import BrokenOrder, NoPlan, Planned, assemble, check_order, rooms
from provision.platforms import carried, platform_for, whole_driver
from provision.platforms.platform import flavour
from provision.platforms.simulation import brings_no_other
from provision.steps import drift

CATALOG = load()
ROOMS = rooms([Path(__file__).parents[2] / "roles"])
SYSTEMS = [(system.id, arch) for system in CATALOG.operating_systems for arch in system.archs]
OURS = ("cuda_toolkit", "container_toolkit", "gdrcopy", "dcgm")
ARCHIVES = [(os, v) for row in CATALOG.component_packages for os, versions in row.offered.items() for v in versions]


def made(os: str, arch: str = "x86_64", **keys: Any) -> Planned:
    return assemble(NodeSpec.model_validate({"os": os, "arch": arch, "gpu": "H100", **keys}), ROOMS)


def named(plan: Plan) -> dict[str, Resource]:
    return {entry.name: entry.resource for entry in plan.entries}


def roles(plan: Plan) -> set[str]:
    return {entry.role for entry in plan.entries}


def packages(resource: Resource) -> list[str]:
    assert isinstance(resource, Packages)
    return [package.name for package in resource.packages]


def ran(program: str, *folders: Path, alone: bool = False) -> tuple[int, str]:
    """Exit code and words of a program, for which the programs of these folders come first, or are all there is."""
    path = os.pathsep.join([*map(str, folders), *(() if alone else ("/usr/bin", "/bin"))])
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", program], env={"PATH": path}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def programs(folder: Path, **texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


def tools(folder: Path, *names: str) -> None:
    """Real programs of this machine, for a node that has no others."""
    for name in names:
        (folder / name).symlink_to(shutil.which(name) or name)


class TestWanted:
    @pytest.mark.parametrize(("os", "arch"), SYSTEMS)
    def test_a_driver_node_gets_none_of_them(self, os: str, arch: str) -> None:
        assert not roles(made(os, arch).plan) & set(OURS)

    @pytest.mark.parametrize(
        ("keys", "wanted"),
        [
            ({"cuda": "12"}, {"cuda_toolkit"}),
            ({"features": ["containers"]}, {"container_toolkit"}),
            ({"features": ["gdrcopy"]}, {"gdrcopy"}),
            ({"features": ["dcgm"]}, {"dcgm"}),
            ({"features": ["rdma"]}, set()),
            ({"roles": ["kernel_64k", "cuda_toolkit"]}, {"cuda_toolkit"}),
        ],
    )
    def test_a_pin_a_feature_or_its_name_asks_for_a_role(self, keys: dict[str, Any], wanted: set[str]) -> None:
        assert roles(made("ubuntu24.04", **keys).plan) & set(OURS) == wanted


class TestOrder:
    @pytest.mark.parametrize(("first", "second"), [("gdrcopy", "open_kernel_modules"), ("dcgm", "cuda_drivers")])
    def test_none_stands_before_what_it_needs(self, first: str, second: str) -> None:
        made = {name: ROOMS[name].role.model_construct() for name in (first, second)}
        with pytest.raises(BrokenOrder, match=f"role {second} must stand before {first}: .*read 2026"):
            check_order(made)

    @pytest.mark.parametrize("reboots", ["single", "staged"])
    def test_modules_are_built_in_their_order_and_before_the_reboot(self, reboots: str) -> None:
        plan = made("ubuntu24.04", features=["gdrcopy", "dcgm", "containers"], cuda="13", reboots=reboots).plan
        boots = {entry.name: number for number, boot in enumerate(plan.boots) for entry in boot}
        order = [entry.name for entry in plan.entries]
        assert order.index("module-build") < order.index("gdrcopy-build")
        assert boots["module-build"] == boots["gdrcopy-build"] < boots["gdrcopy-loaded"]
        assert boots["container-cdi"] == boots["dcgm-service"] == max(boots.values())


class TestCudaToolkit:
    @pytest.mark.parametrize(
        ("os", "arch", "cuda"),
        [(os, arch, cuda) for os, arch in SYSTEMS for cuda in ("12.4", "13.0") if (os, cuda) != ("debian13", "13.0")],
    )
    def test_the_toolkit_its_compiler_and_nothing_that_pulls_a_driver(self, os: str, arch: str, cuda: str) -> None:
        gpu = "GH200" if arch == "aarch64" else "H100"
        planned = made(os, arch, gpu=gpu, cuda=cuda)
        plan, release = named(planned.plan), planned.stack.version("cuda")
        whole = {name for row in CATALOG.driver_names for names in row.whole.values() for name in names}
        bought = packages(plan["toolkit-packages"])
        assert not {"cuda", f"cuda-{cuda.replace('.', '-')}", *whole} & set(bought)
        own = (os, release) in ARCHIVES
        assert bought[0] == ("nvidia-cuda-toolkit" if own else f"cuda-toolkit-{cuda.replace('.', '-')}")
        assert packages(plan["toolkit-compiler"]) == [f"g++-{branch_of(planned.stack.version('gcc'))}"]
        assert ("toolkit-default" in plan) is not own

    def test_the_common_name_stands_for_the_pinned_release(self) -> None:
        planned = made("ubuntu24.04", cuda="13.0")
        link = named(planned.plan)["toolkit-default"]
        assert isinstance(link, Alternatives)
        assert (link.link, link.path) == ("/usr/local/cuda", "/usr/local/cuda-13.0")

    @pytest.mark.parametrize(("os", "home"), [("debian13", "/usr/lib/cuda"), ("ubuntu24.04", "/usr/local/cuda")])
    def test_a_login_shell_is_told(self, os: str, home: str, tmp_path: Path) -> None:
        planned = made(os, cuda="12.4")
        profile = named(planned.plan)["toolkit-profile"]
        assert isinstance(profile, File)
        (tmp_path / "profile").write_text(profile.content)
        code, told = ran(f'. {tmp_path}/profile; echo "$CUDA_HOME $CUDAHOSTCXX"')
        assert (code, told.split()) == (0, [home, f"/usr/bin/g++-{planned.stack.version('gcc')}"])

    def test_forward_compatibility_brings_its_package_and_nothing_else_does(self) -> None:
        forward = made("ubuntu22.04", driver="535", cuda="12.8", cuda_compat=True)
        assert forward.stack.choices["cuda"].how == "forward"
        assert packages(named(forward.plan)["toolkit-packages"])[1:] == ["cuda-compat-12-8"]
        assert packages(named(made("ubuntu22.04", cuda="12.8").plan)["toolkit-packages"])[1:] == []

    def test_the_release_is_asked_of_the_compiler_itself(self, tmp_path: Path) -> None:
        planned = made("ubuntu24.04", cuda="13.0")
        gate, compiler = named(planned.plan)["toolkit-release"], f"g++-{planned.stack.version('gcc')}"
        assert isinstance(gate, Gate)
        there = programs(
            tmp_path / "bin", nvcc='echo "Cuda compilation tools, release 13.0, V1"', **{compiler: "echo 13"}
        )
        test = gate.test.replace("/usr/local/cuda-13.0/bin", str(there)).replace("/usr/bin/g++", f"{there}/g++")
        assert ran(test)[0] == 0
        programs(tmp_path / "bin", nvcc='echo "Cuda compilation tools, release 12.8, V1"')
        code, told = ran(test)
        assert (code, "release 12.8" in told) == (1, True)
        (there / "nvcc").unlink()
        assert "does not answer" in ran(test)[1]


class TestSimulation:
    PARTS = ("libcuda1", "nvidia-open", "libnvidia-compute-[0-9][0-9.]*")
    LIST = "libcuda1 libcudart12 libnvidia-ml-dev"

    def apt(self, folder: Path, driver: str) -> Path:
        simulated = "\\n".join(
            f"Inst {name} ({'1.2.3-1' if name != 'libcuda1' else driver} Debian:13.7/stable [amd64])"
            for name in self.LIST.split()
        )
        return programs(
            folder,
            **{
                "apt-cache": '[ $2 != absent ] || exit 0; echo "$2 | 9.9-2 | a place"; echo "$2 | 9.8-1 | a place"',
                "apt-get": f"printf '%b\\n' '{simulated}'; echo \"$@\" >&2",
            },
        )

    @pytest.mark.parametrize(
        ("comes", "driver", "holds"),
        [
            ("550.1.2-2", "550.1.2", True),
            ("550.1.2-2", "550", True),
            ("1:550.1.2-2", "550.1.2", True),
            ("550.1.20-2", "550.1.2", False),
            ("560.1.2-2", "550.1.2", False),
        ],
    )
    def test_only_the_plans_driver_may_come_along(self, comes: str, driver: str, holds: bool, tmp_path: Path) -> None:
        test = brings_no_other((Package(name="a-toolkit", version="9.8-*"),), self.PARTS, ["libcuda1"], driver)
        code, told = ran(test, self.apt(tmp_path / "bin", comes))
        assert (code == 0) is holds
        assert "a-toolkit=9.8-1" in told
        assert holds or f"libcuda1={comes}" in told

    def test_what_apt_does_not_know_yet_is_told_and_does_not_stop(self, tmp_path: Path) -> None:
        test = brings_no_other((Package(name="absent"),), self.PARTS, [], "550")
        assert ran(test, self.apt(tmp_path / "bin", "1-1")) == (
            0,
            "apt does not know absent yet, so what comes with it cannot be told\n",
        )

    @pytest.mark.parametrize(("os", "arch"), SYSTEMS)
    def test_every_part_of_a_driver_is_known_by_name(self, os: str, arch: str) -> None:
        platform = platform_for(os, arch)
        patterns = "|".join(platform.driver_package_patterns())
        names = [
            p.name for p in (*platform.driver_kernel_packages("550.1.2"), *platform.driver_user_packages("550.1.2"))
        ]
        for name, known in [*((name, True) for name in names), ("libcudart12", False), ("cuda-toolkit-13-0", False)]:
            done = subprocess.run(["grep", "-qxE", patterns], input=f"{name}\n", text=True, check=False)
            assert (done.returncode == 0) is known, name


AVAILABLE = {
    "good-toolkit": "good-compiler",
    "good-compiler": "libcuda1",
    "libcuda1": "",
    "closed-toolkit": "nvidia-kernel-dkms",
    "nvidia-kernel-dkms": "",
    "driver-toolkit": "cuda-drivers",
    "cuda-drivers": "nvidia-driver-cuda",
    "nvidia-driver-cuda": "",
    "meta-toolkit": "cuda-12-8",
    "cuda-12-8": "cuda-runtime-12-8",
    "cuda-runtime-12-8": "",
    "rival-toolkit": "",
}
"""Stand-ins: a package, and what it depends on. The names of a driver's packages are Debian's and NVIDIA's own."""
MORE = {"rival-toolkit": "Conflicts: libnvidia-ml1"}


@pytest.fixture(scope="module")
def apt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A real apt with a root of its own: nothing of this machine is read or changed. libnvidia-ml1 is installed."""
    root = tmp_path_factory.mktemp("apt")
    for folder in ("lists/partial", "archives/partial", "etc", "repository"):
        (root / folder).mkdir(parents=True)
    machine = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout
    about = f"Architecture: {machine.strip()}\nMaintainer: nobody\nDescription: a stand-in\n"
    (root / "repository/Packages").write_text(
        "\n".join(
            f"Package: {name}\nVersion: 550.1.2-1\n{about}Filename: ./{name}.deb\nSize: 1\nSHA256: {'0' * 64}\n"
            + (f"Depends: {depends}\n" if depends else "")
            + (f"{MORE[name]}\n" if name in MORE else "")
            for name, depends in AVAILABLE.items()
        )
    )
    (root / "etc/sources.list").write_text(f"deb [trusted=yes] file:{root}/repository ./\n")
    (root / "status").write_text(f"Package: libnvidia-ml1\nStatus: install ok installed\nVersion: 550.1.2-1\n{about}")
    (root / "apt.conf").write_text(
        f'Dir::Etc "{root}/etc"; Dir::State "{root}"; Dir::State::status "{root}/status"; Dir::Cache "{root}";\n'
        f'Dir::Cache::archives "{root}/archives"; APT::Architecture "{machine.strip()}"; APT::Sandbox::User "root";\n'
    )
    environment = {"APT_CONFIG": str(root / "apt.conf"), "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    subprocess.run(["apt-get", "-qq", "update"], env=environment, check=True)
    return environment


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="there is no apt here")
class TestSimulationByApt:
    """What apt itself would do, asked of the program as the role writes it."""

    @pytest.mark.parametrize(
        ("toolkit", "comes"),
        [
            ("good-toolkit", ""),
            ("closed-toolkit", "nvidia-kernel-dkms=550.1.2-1"),
            ("driver-toolkit", "cuda-drivers=550.1.2-1"),
            ("meta-toolkit", "cuda-12-8=550.1.2-1"),
            ("meta-toolkit", "cuda-runtime-12-8=550.1.2-1"),
            ("rival-toolkit", "libnvidia-ml1 (removed)"),
        ],
    )
    def test_a_toolkit_that_brings_or_takes_a_driver_is_refused_by_name(
        self, toolkit: str, comes: str, apt: dict[str, str]
    ) -> None:
        """At the plan's version as well: another flavour of modules, or what pulls the newest, is no part of it."""
        platform = platform_for("debian13", "x86_64")
        own = whole_driver(platform, "550.1.2", "archive", "open")
        test = platform.brings_no_other_driver((Package(name=toolkit),), own, "550.1.2")
        done = subprocess.run(["sh", "-euc", test], env=apt, capture_output=True, text=True, check=False)
        told = done.stdout + done.stderr
        assert (done.returncode, comes in told) == (1 if comes else 0, True), told
        assert comes or "nothing of a driver but 550.1.2 comes with good-toolkit=550.1.2-1" in told

    @pytest.mark.parametrize(("modules", "other"), [("open", "proprietary"), ("proprietary", "open")])
    def test_a_whole_driver_is_of_one_flavour(self, modules: str, other: str) -> None:
        platform = platform_for("debian13", "x86_64")
        names = {package.name for package in whole_driver(platform, "550.1.2", "archive", modules)}
        assert platform.drivers.modules[flavour(modules)] in names
        assert platform.drivers.modules[flavour(other)] not in names
        assert {"libcuda1", "nvidia-persistenced"} <= names


class TestContainerToolkit:
    KEYS: ClassVar[dict[str, Any]] = {"features": ["containers"]}

    @pytest.mark.parametrize(("os", "arch"), SYSTEMS)
    def test_four_packages_at_one_good_version(self, os: str, arch: str) -> None:
        planned = made(os, arch, **self.KEYS)
        bought = named(planned.plan)["container-packages"]
        assert isinstance(bought, Packages) and bought.hold
        assert len(bought.packages) == 4
        assert {p.version for p in bought.packages} == {f"{planned.stack.version('container_toolkit')}-*"}
        bad = {row.id for row in CATALOG.container_toolkits if not row.good}
        assert planned.stack.version("container_toolkit") not in bad

    def test_dockers_file_keeps_what_is_not_ours(self) -> None:
        fragment = named(made("ubuntu24.04", **self.KEYS).plan)["container-docker"]
        assert isinstance(fragment, Fragment)
        keys = [setting.key for setting in fragment.settings]
        assert keys == [("runtimes", "nvidia", "path"), ("features", "cdi")]

    def test_the_specification_is_made_again_after_every_change_of_the_driver(self) -> None:
        plan = named(made("ubuntu24.04", **self.KEYS).plan)
        cdi = plan["container-cdi"]
        assert isinstance(cdi, Derived)
        assert {"container-packages", "driver-packages", "module-packages", "module-build"} <= set(cdi.inputs)
        assert "hardware" in cdi.needs and cdi.after == "driver"
        assert cdi.outputs == ("/var/run/cdi/nvidia.yaml",)

    def test_a_specification_that_was_lost_is_made_again_and_nothing_is_restarted(self) -> None:
        plan = made("ubuntu24.04", **self.KEYS).plan
        node = converged(plan)
        kept = {path: state for path, state in node.files.items() if path != "/var/run/cdi/nvidia.yaml"}
        due = [one.entry.name for boot in drift(plan, node.model_copy(update={"files": kept})) for one in boot]
        assert due == ["container-cdi"]

    def test_without_a_key_no_repository_is_added(self) -> None:
        plan = made("ubuntu24.04", **self.KEYS).plan
        assert not [e for e in plan.entries if e.role == "container_toolkit" and isinstance(e.resource, Repository)]

    @pytest.mark.parametrize("key", ["no key at all", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n"])
    def test_another_key_than_the_declared_one_is_told_in_a_sentence(self, key: str) -> None:
        with pytest.raises(
            NoPlan, match="container_toolkit_key is not the key of container_toolkit_key_fingerprints: "
        ):
            made("ubuntu24.04", **self.KEYS, variables={"container_toolkit": {"key": key}})

    @pytest.mark.parametrize("plain", [False, True])
    def test_old_engines_can_have_a_specification_that_they_read(self, plain: bool) -> None:
        plan = named(made("debian12", **self.KEYS, variables={"container_toolkit": {"plain_cdi": plain}}).plan)
        cdi, settings = plan["container-cdi"], plan["container-cdi-settings"]
        assert isinstance(cdi, Derived) and isinstance(settings, File)
        for text in (cdi.command, settings.content):
            assert ("no-additional-gids-for-device-nodes" in text) is plain
        assert ("container-engines-read-cdi" in plan) is not plain

    @pytest.mark.parametrize(
        ("engine", "newer", "holds"),
        [(row.id, newer, newer) for row in CATALOG.cdi_runtimes for newer in (True, False)] + [("none", True, True)],
    )
    def test_each_engine_is_asked_whether_it_reads_the_specification(
        self, engine: str, newer: bool, holds: bool, tmp_path: Path
    ) -> None:
        gate = named(made("debian12", **self.KEYS).plan)["container-engines-read-cdi"]
        assert isinstance(gate, Gate)
        first = next((row.first for row in CATALOG.cdi_runtimes if row.id == engine), "1.0.0")
        version = first if newer else "0.9.9"
        program = {"docker": "dockerd", "cri-o": "crio"}.get(engine, engine)
        there = programs(tmp_path / "bin", **{program: f'echo "{engine} version v{version}~ds1, build 1"'})
        code, told = ran(gate.test, there)
        assert (code == 0) is holds, told
        assert holds or f"{program} {version} (from {first} on)" in told

    def test_an_engine_that_does_not_answer_holds_nobody_up(self, tmp_path: Path) -> None:
        gate = named(made("debian12", **self.KEYS).plan)["container-engines-read-cdi"]
        assert isinstance(gate, Gate)
        code, told = ran(
            gate.test.replace("timeout -k 1 10 ", "timeout -k 1 1 "), programs(tmp_path / "bin", podman="sleep 60")
        )
        assert code == 1
        assert "podman (it does not tell its version within 10 s)" in told

    def test_the_nvidia_runtime_is_everybodys_where_that_is_declared_and_of_whom_asks_otherwise(self) -> None:
        def told(**variables: bool) -> list[str]:
            plan = named(made("ubuntu24.04", **self.KEYS, variables={"container_toolkit": variables}).plan)
            docker, containerd, crio = (plan[f"container-{one}"] for one in ("docker", "containerd", "crio"))
            assert isinstance(docker, Fragment) and isinstance(containerd, Derived) and isinstance(crio, File)
            return [str(docker.settings), containerd.command, crio.content]

        words = ("default-runtime", "--set-as-default", 'default_runtime = "nvidia"')
        assert [word in text for word, text in zip(words, told(), strict=True)] == [False] * 3
        assert [word in text for word, text in zip(words, told(default_runtime=True), strict=True)] == [True] * 3

    @pytest.mark.parametrize("default", [False, True])
    def test_crio_gets_a_file_of_its_own_and_is_restarted_for_it(self, default: bool) -> None:
        """In the folder that CRI-O reads; what TOML makes of it is compared, not its text."""
        variables = {"container_toolkit": {"default_runtime": default}}
        plan = named(made("ubuntu24.04", **self.KEYS, variables=variables).plan)
        file, restart = plan["container-crio"], plan["container-crio-restart"]
        assert isinstance(file, File) and isinstance(restart, Derived)
        assert file.path.startswith("/etc/crio/crio.conf.d/")
        runtime = tomllib.loads(file.content)["crio"]["runtime"]
        handler = {"runtime_path": "/usr/bin/nvidia-container-runtime", "runtime_type": "oci"}
        assert runtime == ({"default_runtime": "nvidia"} if default else {}) | {"runtimes": {"nvidia": handler}}
        assert "container-crio" in restart.inputs and "try-restart crio.service" in restart.command

    @pytest.mark.parametrize(
        ("told", "path", "words", "holds"),
        [
            ("[crio.runtime.runtimes.nvidia]", "crun", "CRI-O knows the nvidia runtime", True),
            ("[crio.runtime.runtimes.nvidia]", "runc", "CRI-O knows the nvidia runtime", True),
            ("[crio.runtime.runtimes.nvidia]", "other", "neither crun nor runc is on PATH", False),
            ("[crio.runtime.runtimes.crun]", "crun", "CRI-O knows no nvidia runtime", False),
            ("", "crun", "CRI-O does not answer", False),
        ],
    )
    def test_crio_itself_is_asked(self, told: str, path: str, words: str, holds: bool, tmp_path: Path) -> None:
        gate = named(made("ubuntu24.04", **self.KEYS).plan)["container-crio-takes"]
        assert isinstance(gate, Gate) and gate.proves == ("container-crio-restart",)
        answer = f"echo '{told}'" if told else "exit 1"
        there = programs(tmp_path / "bin", systemctl="exit 0", crio=answer, **{"crio-status": answer, path: "exit 0"})
        tools(there, "grep")
        assert ran(gate.test, there, alone=True) == (0 if holds else 1, f"{words}\n")

    def test_crio_is_asked_for_the_default_where_one_is_declared(self, tmp_path: Path) -> None:
        variables = {"container_toolkit": {"default_runtime": True}}
        gate = named(made("ubuntu24.04", **self.KEYS, variables=variables).plan)["container-crio-takes"]
        assert isinstance(gate, Gate)
        answer = "echo '[crio.runtime.runtimes.nvidia]'; echo 'default_runtime = \"{}\"'"
        for runtime, code in (("crun", 1), ("nvidia", 0)):
            there = programs(tmp_path / "bin", systemctl="exit 0", crio=answer.format(runtime), runc="exit 0")
            assert ran(gate.test, there)[0] == code

    @pytest.mark.parametrize("plugin", ['"io.containerd.grpc.v1.cri"', "'io.containerd.cri.v1.runtime'"])
    @pytest.mark.parametrize(
        ("lacks", "words"),
        [
            ("", "containerd knows the nvidia runtime and takes CDI devices"),
            ("runtime_type", "containerd's nvidia runtime has no runtime_type"),
            ("BinaryName", "containerd knows no nvidia runtime"),
            ("enable_cdi", "containerd does not take CDI devices"),
        ],
    )
    def test_both_versions_of_containerds_settings_are_judged_alike(
        self, plugin: str, lacks: str, words: str, tmp_path: Path
    ) -> None:
        q = plugin[0]
        dump = {
            f"[plugins.{plugin}]": "",
            "enable_cdi": "false" if lacks == "enable_cdi" else "true",
            f"[plugins.{plugin}.containerd.runtimes.nvidia]": "",
            "runtime_type": f"{q}{q}" if lacks == "runtime_type" else f"{q}io.containerd.runc.v2{q}",
            f"[plugins.{plugin}.containerd.runtimes.nvidia.options]": "",
            "BinaryName": f"{q}/usr/bin/{'runc' if lacks == 'BinaryName' else 'nvidia-container-runtime'}{q}",
            f"[plugins.{plugin}.containerd.runtimes.runc]": "",
        }
        text = "\n".join(f"  {key} = {value}" if value else f"  {key}" for key, value in dump.items())
        (tmp_path / "dump").write_text(f"{text}\n    runtime_type = {q}io.containerd.runc.v2{q}\n")
        gate = named(made("ubuntu24.04", **self.KEYS).plan)["container-containerd-takes"]
        assert isinstance(gate, Gate)
        there = programs(tmp_path / "bin", containerd=f"cat {tmp_path}/dump")
        assert ran(gate.test, there) == (1 if lacks else 0, f"{words}\n")

    @pytest.mark.parametrize(("linked", "code"), [(True, 0), (False, 1)])
    def test_a_device_without_its_link_is_found(self, linked: bool, code: int, tmp_path: Path) -> None:
        """/dev/null stands for a GPU: 1:3."""
        plan = named(made("ubuntu24.04", **self.KEYS).plan)
        gate, made_now = plan["container-links-there"], plan["container-links-made"]
        assert isinstance(gate, Gate) and isinstance(made_now, Derived)
        assert gate.proves == ("container-links-made",) and made_now.after == "driver"
        (tmp_path / "dev/char").mkdir(parents=True)
        (tmp_path / "dev/nvidia0").symlink_to("/dev/null")
        if linked:
            (tmp_path / "dev/char/1:3").symlink_to("../nvidia0")
        got, told = ran(gate.test.replace("/dev/", f"{tmp_path}/dev/"))
        assert got == code, told
        assert linked or told == f"{tmp_path}/dev/nvidia0 has no {tmp_path}/dev/char/1:3\n"

    @pytest.mark.parametrize(("there", "owner", "code"), [(False, 0, 0), (True, 0, 0), (True, 1, 1), (True, None, 1)])
    def test_apptainer_finds_a_program_that_is_roots(
        self, there: bool, owner: int | None, code: int, tmp_path: Path
    ) -> None:
        gate = named(made("ubuntu24.04", **self.KEYS).plan)["container-apptainer-finds"]
        assert isinstance(gate, Gate)
        folder = programs(tmp_path / "bin", **({"apptainer": "exit 0"} if there else {}))
        if owner is not None:
            programs(folder, **{"nvidia-container-cli": "exit 0", "stat": f"echo {'root' if owner == 0 else 'daemon'}"})
        assert ran(gate.test, folder)[0] == code

    def test_a_node_without_containerd_is_let_be(self, tmp_path: Path) -> None:
        plan = named(made("ubuntu24.04", **self.KEYS).plan)
        gate, derived = plan["container-containerd-takes"], plan["container-containerd"]
        assert isinstance(gate, Gate) and isinstance(derived, Derived)
        for program in (gate.test, derived.command):
            assert ran(program, programs(tmp_path / "bin"))[0] == 0 or Path("/usr/bin/containerd").exists()


class TestGdrcopy:
    @pytest.mark.parametrize(("os", "arch"), SYSTEMS)
    def test_it_is_built_for_the_target_kernel_against_this_drivers_source(self, os: str, arch: str) -> None:
        gpu = "GH200" if arch == "aarch64" else "H100"
        planned = made(os, arch, gpu=gpu, features=["gdrcopy"])
        build = named(planned.plan)["gdrcopy-build"]
        assert isinstance(build, Derived)
        assert {"gdrcopy-packages", "kernel-packages", "module-packages"} <= set(build.inputs)
        module, version = platform_for(os, arch).dkms_module(planned.stack.version("driver"))
        assert f"NVIDIA_SRC_DIR=/usr/src/{module}-{version}/nvidia" in build.command
        assert f"release={planned.stack.version('kernel')}" in build.command
        assert build.boot_scoped

    def test_its_version_is_a_published_sets_or_what_was_asked_for_or_what_is_offered(self) -> None:
        def version(os: str, arch: str, **variables: str) -> set[str]:
            gpu = "GH200" if arch == "aarch64" else "H100"
            given = {"gdrcopy": variables} if variables else {}
            bought = named(made(os, arch, gpu=gpu, features=["gdrcopy"], variables=given).plan)["gdrcopy-packages"]
            assert isinstance(bought, Packages)
            return {package.version for package in bought.packages}

        (known,) = {row.other["gdrcopy"] for row in CATALOG.combinations if row.id == "azhpc-ubuntu24.04-aarch64"}
        assert version("ubuntu24.04", "aarch64") == {f"{known}*"}
        assert version("ubuntu24.04", "aarch64", version="9.9") == {"9.9*"}
        assert version("debian13", "x86_64") == {"*"}


class TestDcgm:
    @pytest.mark.parametrize(
        ("os", "gpu", "driver", "major"),
        [
            ("ubuntu22.04", "H100", "580", "13"),
            ("ubuntu22.04", "H100", "535", "12"),
            ("ubuntu22.04", "V100", "580", "12"),
            ("debian13", "H100", "550", "12"),
        ],
    )
    def test_its_build_is_for_the_drivers_cuda_and_for_a_gpu_that_this_cuda_knows(
        self, os: str, gpu: str, driver: str, major: str
    ) -> None:
        bought = packages(named(made(os, gpu=gpu, driver=driver, features=["dcgm"]).plan)["dcgm-packages"])
        assert f"datacenter-gpu-manager-4-cuda{major}" in bought
        assert f"datacenter-gpu-manager-4-proprietary-cuda{major}" in bought
        assert len(bought) == 4

    def test_all_packages_are_at_one_version(self) -> None:
        bought = named(made("ubuntu22.04", features=["dcgm"]).plan)["dcgm-packages"]
        assert isinstance(bought, Packages)
        assert len({package.version for package in bought.packages}) == 1


class TestWhereThingsComeFrom:
    @pytest.mark.parametrize(("os", "version"), ARCHIVES)
    def test_the_archive_where_it_has_the_version(self, os: str, version: str) -> None:
        platform = platform_for(os, "x86_64")
        assert carried(platform, "cuda_toolkit", version).repository == "archive"
        assert carried(platform, "cuda_toolkit", "9.8.1").repository == "cuda"

    def test_a_version_that_the_archive_has_is_a_release(self) -> None:
        assert {version for _, version in ARCHIVES} <= {row.id for row in CATALOG.cuda_toolkits}

    def test_nobody_carries_what_no_row_names(self) -> None:
        with pytest.raises(LookupError, match=r"nobody is known to carry gdrcopy"):
            bare = platform_for("debian13", "x86_64")
            carried(type(bare)(**{**bare.__dict__, "components": ()}), "gdrcopy", "9")

    @pytest.mark.parametrize(
        ("os", "arch", "driver", "row"),
        [
            ("ubuntu22.04", "x86_64", "580.9.9", "azhpc-ubuntu22.04-x86_64"),
            ("ubuntu24.04", "aarch64", "580", "azhpc-ubuntu24.04-aarch64"),
            ("debian13", "x86_64", "550", None),
        ],
    )
    def test_a_published_version_is_of_this_system(self, os: str, arch: Any, driver: str, row: str | None) -> None:
        found = published(CATALOG, "dcgm", os, arch, driver)
        assert (found[1].id if found else None) == row
