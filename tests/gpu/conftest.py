"""A real machine with NVIDIA GPUs, the one these tests run on. Nothing on it is changed: no setting, no package, no service.

`snapshot`  what the probe reads of it
`ask`       sends another probe
`spec`      the declaration of such a machine, with the driver that it has
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sessions

from provision.catalog import load
from provision.model import NodeSpec, Snapshot
from provision.probe import full_probe_program, parse


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sessions.mark(items, Path(__file__).parent, pytest.mark.gpu)


@pytest.fixture(scope="session")
def snapshot() -> Snapshot:
    if shutil.which("nvidia-smi") is None or not Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there is no NVIDIA GPU with a driver on this machine")
    return read(full_probe_program())


def read(program: str) -> Snapshot:
    done = subprocess.run(["sh", "-s"], input=program, capture_output=True, text=True, check=True)
    return parse(done.stdout, "this machine")


@pytest.fixture
def ask(snapshot: Snapshot) -> Callable[[str], Snapshot]:
    return read


@pytest.fixture(scope="session")
def spec(snapshot: Snapshot) -> NodeSpec:
    devices = {f"{device.vendor}:{device.device}" for device in snapshot.pci if device.pci_class.startswith("03")}
    (name,) = {row.name for row in load().gpus if row.id in devices}
    assert snapshot.gpu is not None
    driver = snapshot.gpu.kernel_driver
    return NodeSpec(os=snapshot.os, arch=snapshot.arch, gpu=name, driver=driver, driver_repository="cuda")
