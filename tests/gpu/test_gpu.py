"""What is read of a GPU is what the machine itself says, and what a plan asks of one it answers truly, yes and no."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import provision
from provision.catalog import find_gpus, load
from provision.model import Entry, Gate, GpuSetting, NodeSpec, Plan, Snapshot
from provision.model.machine import GpuState
from provision.planning import assemble, rooms
from provision.probe import probe_program
from provision.stack.compatibility import standing
from provision.steps.differences import gpu_setting

ROOT = Path(provision.__file__).parents[1]
KERNEL = Path("/proc/driver/nvidia")


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def plan(spec: NodeSpec, **keys: str) -> Plan:
    declared = spec.model_dump(exclude_defaults=True) | keys
    return assemble(NodeSpec.model_validate(declared), rooms([ROOT / "roles"])).plan


def gate(made: Plan, name: str) -> subprocess.CompletedProcess[str]:
    resource = made.by_name[name].resource
    assert isinstance(resource, Gate)
    return subprocess.run(["sh", "-c", resource.test], capture_output=True, text=True, check=False)


@pytest.fixture
def gpus(snapshot: Snapshot) -> GpuState:
    assert snapshot.gpu is not None
    return snapshot.gpu


def test_every_gpu_of_the_kernel_is_read_with_its_name_and_uuid(gpus: GpuState) -> None:
    assert {gpu.address for gpu in gpus.gpus} == {path.name for path in (KERNEL / "gpus").iterdir()}
    told = output("nvidia-smi", "--query-gpu=name,uuid,memory.total", "--format=csv,noheader,nounits").splitlines()
    assert [f"{gpu.name}, {gpu.uuid}, {gpu.memory_mib}" for gpu in gpus.gpus] == told


def test_the_driver_is_the_loaded_one_and_its_flavour_is_told(gpus: GpuState) -> None:
    version = (KERNEL / "version").read_text()
    assert gpus.kernel_driver in version.split()
    assert gpus.flavour == ("open" if "Open Kernel Module" in version else "proprietary")
    assert gpus.library_driver == gpus.kernel_driver


def test_the_catalog_knows_the_gpu_by_its_pci_id_and_its_name(snapshot: Snapshot, gpus: GpuState) -> None:
    devices = {f"{one.vendor}:{one.device}" for one in snapshot.pci if one.pci_class.startswith("03")}
    assert gpus.gpus
    for gpu in gpus.gpus:
        assert devices <= {row.id for row in find_gpus(load().gpus, gpu.name)}
        capability = output("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader").split()
        assert set(capability) == {row.compute_capability for row in load().gpus if row.id in devices}


def test_the_device_nodes_that_are_read_are_there(gpus: GpuState) -> None:
    assert gpus.nodes
    assert [node for node in gpus.nodes if not Path(node).is_char_device()] == []


@pytest.mark.parametrize("name", ["preflight-gpu", "driver-loaded", "gpu-answers"])
def test_a_gate_opens_for_what_is_there(spec: NodeSpec, name: str) -> None:
    done = gate(plan(spec), name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("preflight-gpu", {"gpu": "L40S"}),
        ("driver-loaded", {"driver": "570"}),
        ("gpu-answers", {"driver": "570"}),
    ],
)
def test_a_gate_stays_shut_for_what_is_not(spec: NodeSpec, name: str, keys: dict[str, str]) -> None:
    if keys.items() <= spec.model_dump().items():
        pytest.skip(f"this machine has {keys}")
    done = gate(plan(spec, **keys), name)
    assert done.returncode != 0
    assert done.stdout.strip(), "a closed gate says what it saw"


def test_the_gate_of_the_device_nodes_says_what_is_so(spec: NodeSpec) -> None:
    wanted = ("nvidiactl", "nvidia-uvm", "nvidia-modeset")
    there = all(Path(f"/dev/{name}").is_char_device() for name in wanted)
    assert (gate(plan(spec), "device-nodes-there").returncode == 0) == there


@pytest.mark.parametrize(
    ("setting", "field", "values"),
    [("ecc", "ecc.mode.current", ("enabled", "disabled")), ("mig", "mig.mode.current", ("enabled", "disabled")),
     ("compute-mode", "compute_mode", ("default", "exclusive-process", "prohibited"))],
)  # fmt: skip
def test_a_setting_is_read_of_every_gpu_and_only_what_differs_is_told(
    gpus: GpuState, ask: Callable[[str], Snapshot], setting: str, field: str, values: tuple[str, ...]
) -> None:
    told = output("nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader").lower().replace("_", "-").split()
    for value in values:
        wanted = GpuSetting.model_validate({"name": "wanted", "setting": setting, "value": value})
        made = Plan(boots=((Entry(role="test", resource=wanted),),))
        due = gpu_setting(wanted, ask(probe_program(made)))
        assert len(told) == len(gpus.gpus)
        assert [gpu.address in due for gpu in gpus.gpus] == [one != value for one in told], due


def test_a_toolkit_that_the_catalog_calls_native_runs_natively(
    snapshot: Snapshot, spec: NodeSpec, tmp_path: Path
) -> None:
    toolkits = [one for one in snapshot.cuda if one.compiler and not one.target]
    if not toolkits:
        pytest.skip("there is no nvcc on this machine")
    assert spec.gpu is not None
    for toolkit in toolkits:
        row = next(row for row in load().cuda_toolkits if row.id.startswith(f"{toolkit.version}."))
        assert standing(load(), row, str(spec.driver), find_gpus(load().gpus, spec.gpu)).how == "native"
        made = tmp_path / "saxpy"
        output(f"{toolkit.path}/bin/nvcc", "-arch=native", "-o", str(made), str(ROOT / "roles/cuda_toolkit/saxpy.cu"))
        assert "saxpy is right" in output(str(made))


def test_drift_is_told_of_the_machine_as_it_is(snapshot: Snapshot, spec: NodeSpec, tmp_path: Path) -> None:
    """A machine that `provision` did not bring up: its driver runs, its packages are not the declared ones."""
    (tmp_path / "snapshot.json").write_text(snapshot.model_dump_json())
    declared = f"os={spec.os!r}, arch={spec.arch!r}, gpu={spec.gpu!r}, driver={str(spec.driver)!r}"
    (tmp_path / "inventory.py").write_text(
        f'from provision import fleet\n\none = fleet(["this"], {declared}, driver_repository="cuda")\n'
    )
    command = [sys.executable, "-m", "provision", "drift", "inventory.py", "--snapshot", "snapshot.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "driver-packages: " in done.stdout
