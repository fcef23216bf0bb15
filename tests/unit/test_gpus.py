"""Settings of GPUs: the programs that a node runs, against a stand-in that answers as a recorded H200 did."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import ValidationError
from samples import converged, gate, machine, marked, plan, wholly

from provision.engines.render import Sender, apply_program
from provision.model import GpuSetting, Plan, Snapshot
from provision.model.places import RUN, STATE
from provision.planning.build import arrange
from provision.platforms import gpus
from provision.platforms.settings import files_of
from provision.probe import parse, probe_program
from provision.probe.remote import PATH
from provision.steps import Done, Reboot, Stretch, difference, drift, next_step
from provision.verify.assertions import assert_gpu_setting

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
SENDER = Sender(controller="controller-1", run="run-1", node="n1")
DATA = Path(__file__).parent / "data"
STAND_IN = Path(__file__).parents[1] / "lab" / "standins" / "nvidia-smi"
UNITS = "/etc/systemd/system"


def setting(name: str, value: str) -> GpuSetting:
    return GpuSetting.model_validate({"name": "gpu", "setting": name, "value": value, "needs": ()})


def recorded(gpus: int) -> str:
    """What nvidia-smi of driver 580 said on a machine with so many H200s."""
    lines = (DATA / f"probe-h200-{gpus}gpu.txt").read_text().splitlines()
    return "\n".join(line.removeprefix("xml\t") for line in lines if line.startswith("xml\t<")) + "\n"


class Node:
    """This machine, with the folders of a node, a GPU that is a recording, and a systemctl that only writes down."""

    def __init__(self, folder: Path, shell: str, gpus: int = 1) -> None:
        self.folder, self.shell = folder, shell
        self.tools = folder / "tools"
        self.tools.mkdir()
        shutil.copy(STAND_IN, self.tools)
        (self.tools / "nvidia-smi.xml").write_text(recorded(gpus))
        self.shim("systemctl", f"echo \"$*\" >>'{folder}/told'")

    def shim(self, name: str, text: str) -> None:
        (self.tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.tools / name).chmod(0o755)

    def send(self, text: str) -> subprocess.CompletedProcess[str]:
        moved = {STATE: f"{self.folder}/state", RUN: f"{self.folder}/run", UNITS: f"{self.folder}/units"}
        for place, here in moved.items():
            text = text.replace(place, here)
        text = text.replace(f"PATH={PATH}", f"PATH={self.tools}:{PATH}")
        done = subprocess.run([self.shell, "-s"], input=text, capture_output=True, text=True, timeout=60, check=False)
        done.stdout = done.stdout.replace(f"{self.folder}/units", UNITS)
        return done

    def apply(self, wanted: Plan) -> subprocess.CompletedProcess[str]:
        return self.send(apply_program(wanted, wholly(wanted, "gpu"), SENDER))

    def read(self, wanted: Plan) -> Snapshot:
        return parse(self.send(probe_program(wanted)).stdout).model_copy(update={"limits": frozenset()})

    def reboot(self) -> None:
        """What was pending is in force."""
        answer = self.tools / "nvidia-smi.xml"
        for mode in ("ecc", "mig"):
            pending = answer.read_text().partition(f"<pending_{mode}>")[2].partition("<")[0]
            subprocess.run(
                ["sed", "-i", f"s|<current_{mode}>.*</current|<current_{mode}>{pending}</current|", answer], check=True
            )
        (self.folder / "state" / "reboot-due").write_text("an-earlier-boot gpu\n")


@pytest.fixture(params=SHELLS)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Node:
    return Node(tmp_path, request.param)


class TestDeclared:
    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("persistence-mode", "enabled", "belongs to nvidia-persistenced, .* declare its unit"),
            ("compute-mode", "exclusive", "compute-mode is default or exclusive-process or prohibited, not 'exclusive'"),
            ("ecc", "1", "ecc is enabled or disabled, not '1'"),
            ("mig", "Enabled", "mig is enabled or disabled"),
            ("power-limit", "600.5", "power-limit is a number of whole watts, not '600.5'"),
            ("power-limit", "6\n", "whole watts"),
            ("power-limit", "-1", "whole watts"),
            ("fan-speed", "100", "Input should be 'compute-mode', 'power-limit', 'ecc' or 'mig'"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_refused_in_words(self, name: str, value: str, words: str) -> None:
        with pytest.raises(ValidationError, match=words):
            setting(name, value)

    def test_ecc_takes_a_reboot_and_nobody_says_otherwise(self) -> None:
        assert setting("ecc", "enabled").boot_scoped
        assert not setting("mig", "enabled").boot_scoped
        for wrong in ({"setting": "ecc", "boot_scoped": False}, {"setting": "mig", "boot_scoped": True}):
            with pytest.raises(ValidationError, match="boot_scoped belongs to ecc"):
                GpuSetting.model_validate({"name": "gpu", "value": "enabled", **wrong})

    def test_it_stands_behind_the_loaded_driver_and_a_container_cannot_hold_it(self) -> None:
        given = GpuSetting(name="gpu", setting="mig", value="enabled")
        assert given.after == "driver"
        assert set(given.needs) == {"boot", "modules", "hardware"}
        wanted = plan([given])
        done = next_step(wanted, machine(limits={"hardware"}), ())
        assert isinstance(done, Done)
        assert [one.limit for one in done.not_applicable] == ["hardware"]
        assert [entry.name for entry in arrange(wanted.entries)] == ["gpu"]

    def test_what_the_driver_forgets_is_told_again_by_what_keeps_it_loaded(self) -> None:
        kept = {
            name: [(file.path, file.content) for file in files_of(setting(name, value))]
            for name, value in (("power-limit", "600"), ("compute-mode", "exclusive-process"), ("ecc", "enabled"))
        }
        path = f"{UNITS}/nvidia-persistenced.service.d/provision-gpu.conf"
        head = "# Written by provision.\n[Service]\nExecStartPost=+-nvidia-smi"
        assert kept["power-limit"] == [(path, f"{head} -pl 600\n")]
        assert kept["compute-mode"] == [(path, f"{head} -c EXCLUSIVE_PROCESS\n")]
        assert kept["ecc"] == []


AT_ONCE = [("compute-mode", "exclusive-process"), ("power-limit", "600"), ("mig", "enabled")]


class TestOnANode:
    @pytest.mark.parametrize(("name", "value"), AT_ONCE)
    def test_what_is_in_force_at_once_is_set_and_read_again(self, node: Node, name: str, value: str) -> None:
        wanted = plan([setting(name, value)])
        assert drift(wanted, node.read(wanted)) != ((),)
        done = node.apply(wanted)
        assert (done.returncode, done.stderr) == (0, "")
        assert isinstance(next_step(wanted, node.read(wanted), ()), Done)
        assert "daemon-reload" in (node.folder / "told").read_text()
        assert not (node.folder / "state" / "reboot-due").exists()

    @pytest.mark.parametrize(("name", "value"), [("ecc", "disabled"), ("mig", "enabled")])
    def test_what_is_pending_waits_for_a_reboot_and_is_so_after_it(self, node: Node, name: str, value: str) -> None:
        (node.tools / "ampere").touch()
        wanted = plan([setting(name, value)])
        assert isinstance(next_step(wanted, node.read(wanted), ()), Stretch)
        assert node.apply(wanted).returncode == 0
        log = (node.folder / "state" / "last").read_text()
        assert log == f"00000000:00:06.0: {name} is {'Enabled' if name == 'ecc' else 'Disabled'}, and " + (
            f"{value.capitalize()} from the next boot on\n"
        )
        owed = next_step(wanted, node.read(wanted), ())
        assert isinstance(owed, Reboot)
        assert owed.why.startswith(f"{name} of 00000000:00:06.0 is ")
        node.reboot()
        assert isinstance(next_step(wanted, node.read(wanted), ()), Done)

    def test_killed_before_the_marker_it_is_due_again(self, node: Node) -> None:
        (node.tools / "ampere").touch()
        wanted = plan([setting("mig", "enabled")])
        node.send(f"{node.tools}/nvidia-smi -mig 1")
        assert isinstance(next_step(wanted, node.read(wanted), ()), Stretch)

    @pytest.mark.parametrize(
        ("name", "value"), [("compute-mode", "default"), ("power-limit", "700"), ("mig", "disabled")]
    )
    def test_as_recorded_the_value_is_as_wanted(self, node: Node, name: str, value: str) -> None:
        """All that is missing is what tells it again at the next boot."""
        wanted = setting(name, value)
        snapshot = node.read(plan([wanted]))
        assert snapshot.gpu_settings["00000000:00:06.0"].keys() == set(gpus.fields(wanted))
        assert difference(plan([wanted]), wanted, snapshot) == f"{files_of(wanted)[0].path} is missing"

    def test_ecc_as_recorded_is_no_drift(self, node: Node) -> None:
        wanted = plan([setting("ecc", "enabled")])
        assert drift(wanted, node.read(wanted)) == ((),)

    def test_several_are_asked_for_at_once(self, node: Node) -> None:
        calls = node.folder / "calls"
        real = (node.tools / "nvidia-smi").rename(node.tools / "real")
        node.shim("nvidia-smi", f"echo x >>'{calls}'\nexec '{real}' \"$@\"")
        both = [setting("power-limit", "700"), setting("ecc", "enabled").model_copy(update={"name": "ecc"})]
        told = node.read(plan(both)).gpu_settings["00000000:00:06.0"]
        assert told == {"power.limit": "700.00", "ecc.mode.current": "Enabled", "ecc.mode.pending": "Enabled"}
        assert calls.read_text() == "x\n"

    def test_where_it_is_looked_for_is_not_where_gates_look(self, node: Node) -> None:
        looks = gate("looks", test="case $PATH in */usr/local/nvidia/bin*) exit 1 ;; esac")
        assert node.read(plan([setting("ecc", "enabled"), looks])).gates["looks"].holds

    def test_a_plan_without_settings_asks_no_gpu(self) -> None:
        assert "\nask_gpus " not in probe_program(plan())

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("power-limit", "900", "nvidia-smi -pl 900: Provided power limit 900.00 W is not a valid power limit"),
            ("power-limit", "100", "between 200.00 W and 700.00 W"),
        ],
    )
    def test_what_the_driver_refuses_is_told_in_its_words(self, node: Node, name: str, value: str, words: str) -> None:
        refused = node.apply(plan([setting(name, value)]))
        assert refused.returncode == 1
        assert words in refused.stderr

    def test_what_was_accepted_and_is_not_so_is_told(self, node: Node) -> None:
        real = (node.tools / "nvidia-smi").rename(node.tools / "real")
        node.shim("nvidia-smi", f'case $1 in -pl) echo "not here" ;; *) exec \'{real}\' "$@" ;; esac')
        refused = node.apply(plan([setting("power-limit", "600")]))
        assert refused.returncode == 1
        assert "00000000:00:06.0: power-limit was set to 600 and is 700.00: not here" in refused.stderr

    def test_without_the_daemon_that_keeps_the_driver_it_is_refused(self, node: Node) -> None:
        node.shim("systemctl", "exit 1")
        refused = node.apply(plan([setting("power-limit", "600")]))
        assert refused.returncode == 1
        assert "there is no nvidia-persistenced.service on this node" in refused.stderr
        assert node.apply(plan([setting("ecc", "disabled")])).returncode == 0

    def test_without_nvidia_smi_it_is_unknown_and_refused(self, node: Node) -> None:
        (node.tools / "nvidia-smi").unlink()
        if shutil.which("nvidia-smi", path=PATH):
            pytest.skip("this machine has one")
        wanted = plan([setting("ecc", "enabled")])
        ((due,),) = drift(wanted, node.read(wanted))
        assert due.why == "ecc cannot be read: there is no nvidia-smi"
        assert "the user half of the driver comes first" in node.apply(wanted).stderr

    def test_what_it_says_instead_of_an_answer_is_told(self, node: Node) -> None:
        node.shim("nvidia-smi", 'echo "NVIDIA-SMI has failed because it couldn\'t communicate"; exit 9')
        wanted = plan([setting("ecc", "enabled")])
        ((due,),) = drift(wanted, node.read(wanted))
        assert due.why == "ecc cannot be read: NVIDIA-SMI has failed because it couldn't communicate"


@pytest.mark.parametrize("shell", SHELLS)
def test_of_many_gpus_each_is_judged(tmp_path: Path, shell: str) -> None:
    node = Node(tmp_path, shell, gpus=4)
    wanted = setting("ecc", "enabled")
    seen = node.read(plan([wanted]))
    assert len(seen.gpu_settings) == 4
    assert difference(plan([wanted]), wanted, seen) == ""
    third = sorted(seen.gpu_settings)[2]
    told = {**seen.gpu_settings, third: {"ecc.mode.current": "Disabled", "ecc.mode.pending": "Disabled"}}
    other = seen.model_copy(update={"gpu_settings": told})
    assert difference(plan([wanted]), wanted, other) == f"ecc of {third} is Disabled, not enabled"


@pytest.mark.parametrize(
    ("name", "value", "seen", "differs"),
    [
        ("mig", "enabled", {"mig.mode.current": "[N/A]", "mig.mode.pending": "[N/A]"}, "mig of x is [N/A], not enabled"),
        ("power-limit", "600", {"power.limit": "600.00"}, ""),
        ("power-limit", "600", {"power.limit": "599.50"}, "power-limit of x is 599.50, not 600"),
        ("compute-mode", "exclusive-process", {"compute_mode": "Exclusive_Process"}, ""),
        ("compute-mode", "default", {}, "compute-mode of x is not there, not default"),
    ],
)  # fmt: skip
def test_values_are_compared_as_we_write_them(name: str, value: str, seen: dict[str, str], differs: str) -> None:
    wanted = setting(name, value)
    there = converged(plan([wanted])).model_copy(update={"gpu_settings": {"x": seen}})
    assert difference(plan([wanted]), wanted, there) == differs


def test_what_was_set_back_while_a_reboot_is_owed_is_due() -> None:
    wanted = setting("ecc", "enabled")
    for pending, differs in (("Enabled", ""), ("Disabled", "ecc of x is Disabled, not enabled")):
        seen = {"x": {"ecc.mode.current": "Disabled", "ecc.mode.pending": pending}}
        owed = marked(machine(gpu_settings=seen), "gpu")
        assert difference(plan([wanted]), wanted, owed) == differs


class Host:
    """A host that answers every command with a recording."""

    class Answer(NamedTuple):
        rc: int
        stdout: str
        stderr: str = ""

    def __init__(self, rc: int, stdout: str) -> None:
        self.answer = self.Answer(rc, stdout)

    def run(self, command: str) -> Answer:
        assert command.endswith("nvidia-smi -q -x")
        return self.answer


@pytest.mark.parametrize(
    ("value", "rc", "stdout", "told"),
    [
        ("enabled", 0, recorded(4), ""),
        ("disabled", 0, recorded(4), "; ".join(["ecc of .* is Enabled, not disabled"] * 4)),
        ("enabled", 0, recorded(4).replace("current_ecc>Enabled", "current_ecc>N/A", 1), "^ecc of [0-9a-f:.]+ is N/A"),
        ("enabled", 9, "NVIDIA-SMI has failed", "nvidia-smi does not answer: NVIDIA-SMI has failed"),
        ("enabled", 0, "<nvidia_smi_log></nvidia_smi_log>", "there is no GPU"),
    ],
)
def test_it_is_asserted_by_the_xml_and_by_what_is_in_force(value: str, rc: int, stdout: str, told: str) -> None:
    stdout = stdout.replace("<pending_ecc>Enabled", "<pending_ecc>Disabled")
    if not told:
        assert assert_gpu_setting(Host(rc, stdout), setting("ecc", value)).count("Enabled") == 4
        return
    with pytest.raises(AssertionError, match=told):
        assert_gpu_setting(Host(rc, stdout), setting("ecc", value))
