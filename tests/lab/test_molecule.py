"""A broken role fails its scenario, at the stage that is meant to see it: a test of the tests in molecule/.

Each fault is one line of a role's copy, which shadows the role (PROVISION_ROLES). `make molecule` runs the scenarios
as they are before.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from provision.lab import host
from provision.model import Frozen
from provision.planning import rooms

CHECKOUT = Path(__file__).parents[2]
SCENARIOS = CHECKOUT / "molecule"


class Fault(Frozen):
    """What is wrong with a role, and who must notice: `says` stands in what that stage prints."""

    scenario: str
    about: str
    role: str
    was: str
    becomes: str
    stage: Literal["converge", "idempotence", "verify"]
    says: str


FAULTS = (
    Fault(
        scenario="default",
        about="the kernel comes without its headers",
        role="kernel_64k",
        was="ctx.platform.kernel_packages(release)",
        becomes="ctx.platform.kernel_packages(release)[:1]",
        stage="converge",
        says="needs the headers of kernel",
    ),
    Fault(
        scenario="half-provisioned",
        about="the module's options are written where nobody's are overridden",
        role="open_kernel_modules",
        was='path="/etc/modprobe.d/provision-nvidia.conf"',
        becomes='path="/etc/modprobe.d/nvidia-by-plan.conf"',
        stage="verify",
        says="test_options_are_ours_and_the_other_tools_file_is_untouched",
    ),
    Fault(
        scenario="reboot",
        about="a file that is read at boot is another one in every run",
        role="cuda_drivers",
        was="content=LOADED_AT_BOOT",
        becomes="content=f\"{LOADED_AT_BOOT}# {__import__('os').getppid()}\\n\"",
        stage="idempotence",
        says="Idempotence test failed",
    ),
    Fault(
        scenario="ubuntu",
        about="unified memory's module is not loaded at boot",
        role="cuda_drivers",
        was="nvidia\nnvidia-uvm\nnvidia-modeset\n",
        becomes="nvidia\nnvidia-modeset\n",
        stage="verify",
        says="test_what_cuda_opens_is_loaded_at_every_boot",
    ),
)


def test_every_scenario_has_its_fault() -> None:
    assert {fault.scenario for fault in FAULTS} == {file.parent.name for file in SCENARIOS.glob("*/molecule.yml")}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.scenario}: {fault.about}")
def test_a_fault_still_finds_its_line(fault: Fault, tmp_path: Path) -> None:
    assert rooms([_seeded(fault, tmp_path)])[fault.role]


@pytest.mark.molecule
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.scenario}: {fault.about}")
def test_a_broken_role_fails_its_scenario(fault: Fault, tmp_path: Path) -> None:
    # Not the package itself, as which the folder of our scenarios would pass.
    pytest.importorskip("molecule.config", reason="Molecule is not installed: pip install 'provision[molecule]'")
    if lacking := host.missing():
        pytest.skip(host.sentence(lacking))
    ran = _molecule("test", "-s", fault.scenario, PROVISION_ROLES=str(_seeded(fault, tmp_path)))
    assert ran.returncode != 0, ran.stdout
    assert _failed(ran.stdout) == [f"{fault.scenario} {fault.stage}"], ran.stdout
    assert fault.says in ran.stdout


def _seeded(fault: Fault, folder: Path) -> Path:
    """A folder of roles with nothing but the broken copy."""
    copy = folder / fault.role
    shutil.copytree(CHECKOUT / "roles" / fault.role, copy)
    spec = copy / "spec.py"
    text = spec.read_text()
    assert text.count(fault.was) == 1, f"{fault.role} has changed: its fault is to be written anew"
    spec.write_text(text.replace(fault.was, fault.becomes))
    return folder


def _molecule(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    dropped = ("PYTEST_", "ANSIBLE_", "MOLECULE_", "PROVISION_ROLES", "PROVISION_STATE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    programs = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    return subprocess.run(
        [sys.executable, "-m", "molecule", *arguments],
        cwd=CHECKOUT,
        env=kept | {"PATH": programs, "NO_COLOR": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _failed(told: str) -> list[str]:
    """`SCENARIO STAGE` of every stage that Molecule calls failed. It colours the word all the same."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", told)
    return [" ".join(found) for found in re.findall(r"\[(\S+) > (\w+)\] Executed: Failed", plain)]
