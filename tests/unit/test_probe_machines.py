"""What the full probe answered on real GPU machines (2026-11-21), and what is read out of it.

Guests with one and with four H200s: serial numbers, UUIDs, machine and boot ids and the command line are replaced. Both
are healthy, and neither is like a textbook: their driver comes from no package.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.model import Snapshot
from provision.probe import parse
from provision.probe.full import SECTIONS

DATA = Path(__file__).parent / "data"
MACHINES = ("1gpu", "1gpu-nobody", "4gpu")


def answer(machine: str) -> Snapshot:
    return parse((DATA / f"probe-h200-{machine}.txt").read_text())


@pytest.fixture(params=MACHINES)
def read(request: pytest.FixtureRequest) -> Snapshot:
    return answer(request.param)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_snapshot_is_the_one_that_was_kept(machine: str) -> None:
    kept = (DATA / f"probe-h200-{machine}.json").read_text()
    assert answer(machine) == Snapshot.model_validate_json(kept)


def test_root_sees_everything() -> None:
    assert answer("1gpu").hidden == answer("4gpu").hidden == {}
    assert answer("1gpu").sections == {section.name for section in SECTIONS}


def test_nobody_sees_all_but_the_kernel_log() -> None:
    root, nobody = answer("1gpu"), answer("1gpu-nobody")
    assert set(nobody.hidden) == {"lock", "kernel_log"}
    assert root.sections - nobody.sections == {"kernel_log"}
    assert nobody.gpu.gpus[0].model_copy(update={"temperature_c": 0}) == root.gpu.gpus[0].model_copy(
        update={"temperature_c": 0}
    )
    assert nobody.modules == root.modules
    assert nobody.packages == root.packages


@pytest.mark.parametrize(("machine", "count"), [("1gpu", 1), ("4gpu", 4)])
def test_every_gpu_is_seen_on_the_bus_and_by_the_driver(machine: str, count: int) -> None:
    snapshot = answer(machine)
    gpus = snapshot.gpu.gpus
    assert [gpu.address for gpu in gpus] == [device.address for device in snapshot.pci]
    assert len({gpu.uuid for gpu in gpus}) == count
    assert {gpu.name for gpu in gpus} == {"NVIDIA H200"}
    assert {device.driver for device in snapshot.pci} == {"nvidia"}
    assert {f"/dev/nvidia{number}" for number in range(count)} <= set(snapshot.gpu.nodes)
    assert all(gpu.memory_mib and gpu.memory_mib > 140_000 for gpu in gpus)
    assert all((gpu.pcie_generation, gpu.pcie_width) == (5, 16) for gpu in gpus)
    assert all((gpu.ecc, gpu.ecc_uncorrectable, gpu.recovery_action) == ("Enabled", 0, "None") for gpu in gpus)


def test_the_modules_are_open_and_of_the_librarys_version(read: Snapshot) -> None:
    driver = read.gpu.kernel_driver
    assert (read.gpu.source, read.gpu.flavour, read.gpu.error) == ("nvidia-smi", "open", "")
    assert read.gpu.library_driver == driver
    assert {module.version for module in read.modules.values()} == {driver}
    assert set(read.modules) == {"nvidia", "nvidia_uvm"}
    assert {gpu.gsp_firmware for gpu in read.gpu.gpus} == {driver}
    assert read.modules["nvidia"].taint == "O"


def test_the_driver_comes_from_no_package(read: Snapshot) -> None:
    assert "packages" in read.sections
    assert not [name for name in read.packages if name.startswith(("nvidia-driver", "libnvidia", "nvidia-kernel"))]
    assert read.dkms == read.module_files == ()
    assert read.packages["libnccl2"].held
    assert "cuda-compat-13-0" in read.packages


def test_the_loader_takes_the_injected_library_and_the_older_compat_one_is_told_of(read: Snapshot) -> None:
    cuda = [library for library in read.libraries if library.name == "libcuda.so.1"]
    (taken,) = [library for library in cuda if library.loader]
    assert taken.target == f"/usr/local/nvidia/lib64/libcuda.so.{read.gpu.kernel_driver}"
    compat = next(library for library in cuda if "/compat/" in library.path)
    package = read.packages["cuda-compat-13-0"].version
    assert package.startswith(compat.target.rpartition(".so.")[2])
    assert compat.target != taken.target


def test_the_fabric_is_complete_though_no_switch_is_seen() -> None:
    assert {(g.fabric_state, g.fabric_status) for g in answer("4gpu").gpu.gpus} == {("Completed", "Success")}
    assert {(g.fabric_state, g.fabric_status) for g in answer("1gpu").gpu.gpus} == {("", "")}
    assert answer("4gpu").gpu.switches == ()
    assert "nvidia-fabricmanager.service" not in answer("4gpu").units


def test_a_guest_has_no_iommu_groups_and_no_numa_nodes_of_devices(read: Snapshot) -> None:
    assert {(device.iommu_group, device.numa_node) for device in read.pci} == {("", None)}
    assert read.infiniband == ()
    assert [node.cpus for node in read.memory.nodes] == [f"0-{read.memory.cpus - 1}"]


def test_a_healthy_machine_reports_no_xid_and_harmless_lines_apart(read: Snapshot) -> None:
    assert read.xids == ()
    if "kernel_log" in read.sections:
        assert any("FBHUB Interrupt detected" in line for line in read.driver_log)


def test_whole_numbers_of_kernel_settings_came_through(read: Snapshot) -> None:
    """A shell that reads byte by byte gets one digit of them."""
    assert int(read.sysctls["vm.max_map_count"]) > 1000
    assert read.tainted == 1 << 12  # out-of-tree module
