"""Do the container engines that are here take what was written for them?"""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from provision.catalog import branch_of
from provision.planning import Planned


def _there(host: Host, program: str) -> None:
    if not host.exists(program):
        pytest.skip(f"{program} is not on this node")


def test_docker_knows_the_runtime_and_takes_cdi(host: Host) -> None:
    _there(host, "dockerd")
    if not host.service("docker").is_running:
        pytest.skip("docker is not running")
    if not host.exists("docker"):
        pytest.skip("docker's command line is not on this node")
    told = json.loads(host.check_output("docker info --format '{{json .}}'"))
    assert "nvidia" in told["Runtimes"]
    assert "/var/run/cdi" in (told.get("CDISpecDirs") or ())


def test_containerd_runs_all_its_plugins_that_ran_before(host: Host) -> None:
    _there(host, "containerd")
    if not host.service("containerd").is_running:
        pytest.skip("containerd is not running")
    plugins = host.check_output("ctr plugins ls").splitlines()
    cri = [line for line in plugins if line.split()[1:2] == ["cri"]]
    assert not [line for line in cri if line.split()[-1] == "error"], cri
    assert "nvidia-container-runtime" in host.check_output("containerd config dump")


def test_the_toolkit_lists_a_gpu(host: Host) -> None:
    if host.run("nvidia-smi -L").rc != 0:
        pytest.skip("no GPU answers here")
    assert "nvidia.com/gpu=all" in host.check_output("nvidia-ctk cdi list")


def test_the_specification_names_the_driver_that_is_there(host: Host, planned: Planned) -> None:
    if host.run("nvidia-smi -L").rc != 0:
        pytest.skip("no GPU answers here")
    specification = host.file("/var/run/cdi/nvidia.yaml").content_string
    assert f"libcuda.so.{planned.stack.version('driver')}" in specification


def test_a_container_keeps_its_gpu_over_a_reload(host: Host) -> None:
    """Every device node is linked where runc looks for it when systemd sets a container's devices anew."""
    if host.run("nvidia-smi -L").rc != 0:
        pytest.skip("no GPU answers here")
    nodes = host.check_output("stat -c '%t %T' /dev/nvidia0 /dev/nvidiactl /dev/nvidia-uvm").splitlines()
    for node in nodes:
        major, minor = (int(part, 16) for part in node.split())
        assert host.file(f"/dev/char/{major}:{minor}").exists


def test_the_four_packages_are_at_one_version(host: Host, planned: Planned) -> None:
    version = planned.stack.version("container_toolkit")
    names = (
        "nvidia-container-toolkit",
        "nvidia-container-toolkit-base",
        "libnvidia-container-tools",
        "libnvidia-container1",
    )
    seen = {host.package(name).version for name in names}
    assert len(seen) == 1 and next(iter(seen)).startswith(f"{version}-"), seen
    assert branch_of(version)
