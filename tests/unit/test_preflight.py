"""What a node is refused for before anything is changed: each refusal in a made-up machine, with its words.

The programs are those of the plan, run by a real shell; the paths of the machine lead into a folder, and what they call is
a stand-in that answers as the real program does.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provision.model import Gate, NodeSpec, Packages, Plan
from provision.planning import assemble, rooms

GRACE = {"os": "ubuntu24.04", "arch": "aarch64", "gpu": "GH200", "features": ["rdma"]}
PLACES = (
    "/sys/",
    "/proc/driver/",
    "/proc/locks",
    "/etc/",
    "/usr/bin/nvidia-",
    "/var/log/nvidia",
    "/lib/modules/",
    "/var/lib/",
)
"""What is the machine's; the programs that judge it are this machine's own."""


@dataclass
class Machine:
    """A healthy GH200 with a network card, in a folder; each case makes one thing wrong."""

    root: Path
    tools: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.write("etc/os-release", "ID=ubuntu\nVERSION_ID=24.04\n")
        self.device("0009:01:00.0", "10de", "2348", "030200")
        self.device("0000:03:00.0", "15b3", "1021", "020700")
        self.write("var/lib/dpkg/lock-frontend", "")
        self.write("proc/locks", "")
        self.tools = {
            "uname": "echo aarch64",
            "df": "printf 'h\\nfs 9 9 90000 1%% /\\n'",
            "dpkg-query": "exit 1",
            "dpkg": "exit 0",
            "apt-cache": "exit 0",
            "sleep": "exit 0",
        }

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def device(
        self, address: str, vendor: str, device: str, pci_class: str, *, driver: str = "", virtual: bool = False
    ) -> None:
        folder = f"sys/bus/pci/devices/{address}"
        for name, value in (("vendor", vendor), ("device", device), ("class", pci_class)):
            self.write(f"{folder}/{name}", f"0x{value}\n")
        if driver:
            (self.root / folder / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")
        if virtual:
            (self.root / folder / "physfn").symlink_to(".")

    def without(self, address: str) -> None:
        for file in (self.root / f"sys/bus/pci/devices/{address}").iterdir():
            file.unlink()

    def asked(self, test: str) -> tuple[int, str]:
        """Exit code and the line of evidence, as the probe takes it."""
        for place in PLACES:
            test = test.replace(place, f"{self.root}{place}")
        for name, body in self.tools.items():
            self.write(f"bin/{name}", f"#!/bin/sh\n{body}\n")
            (self.root / "bin" / name).chmod(0o755)
        done = subprocess.run(
            ["/bin/sh", "-c", "(set -eu; eval \"$1\")", "sh", test],
            env={"PATH": f"{self.root}/bin:/usr/bin:/bin", "LC_ALL": "C"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        told = (done.stdout + done.stderr).strip().splitlines()
        return done.returncode, told[-1] if told else ""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def plan() -> Plan:
    return assemble(NodeSpec.model_validate(GRACE), rooms()).plan


def gates() -> dict[str, Gate]:
    return {entry.name: entry.resource for entry in plan().boots[0] if isinstance(entry.resource, Gate)}


def _driver(machine: Machine, vbios: str) -> None:
    machine.write("proc/driver/nvidia/gpus/0009:01:00.0/information", f"Model: \t GH200\nVideo BIOS: \t {vbios}\n")


def _installed(machine: Machine, *states: str) -> None:
    listing = "\\n".join(states)
    machine.tools["dpkg-query"] = f"case $* in *-S*) exit 1 ;; esac; printf '{listing}\\n'"


REFUSED = {
    "another architecture": (
        "preflight-machine", lambda m: m.tools.update(uname="echo x86_64"), "ubuntu24.04 x86_64", "Correct os and arch"),
    "another system": (
        "preflight-machine", lambda m: m.write("etc/os-release", "ID=ubuntu\nVERSION_ID=22.04\n"), "ubuntu22.04 aarch64", "install the machine anew"),
    "no GPU": ("preflight-gpu", lambda m: m.without("0009:01:00.0"), "NVIDIA GPUs on the PCI bus: none", "power and seating"),
    "another GPU": (
        "preflight-gpu", lambda m: m.device("0009:01:00.0", "10de", "2330", "030200"), "NVIDIA GPUs on the PCI bus: 10de:2330", "Correct the GPU"),
    "a switch for a GPU": (
        "preflight-gpu", lambda m: m.device("0009:01:00.0", "10de", "22a3", "068000"), "none, but 1 NVSwitches, which are no GPUs", "Correct the GPU"),
    "a GPU's sound for a GPU": ("preflight-gpu", lambda m: m.device("0009:01:00.0", "10de", "2348", "040300"), "none", "Correct the GPU"),
    "a GPU that a guest has": (
        "preflight-gpu", lambda m: m.device("0009:01:00.0", "10de", "2348", "030200", driver="vfio-pci"),
        "handed to guests, so no driver of this machine can have them: 10de:2348 (vfio-pci)", "Correct the GPU"),
    "virtual functions alone": (
        "preflight-gpu", lambda m: m.device("0009:01:00.0", "10de", "2348", "030200", virtual=True), "none", "Correct the GPU"),
    "no network card": ("ofed-card", lambda m: m.without("0000:03:00.0"), "no network card of Mellanox or NVIDIA", "leave the feature rdma out"),
    "another vendor's network card": (
        "ofed-card", lambda m: m.device("0000:03:00.0", "14e4", "1750", "020000"), "no network card of Mellanox", "doca_ofed_profile=inbox"),
    "a card's other function": (
        "ofed-card", lambda m: m.device("0000:03:00.0", "15b3", "c2d2", "080100"), "no network card of Mellanox", "passes it through"),
    "no room on /boot": (
        "preflight-space",
        lambda m: m.tools.update(df="case $* in */boot*) printf 'h\\nfs 9 9 90 1%% /boot\\n' ;; *) printf 'h\\nfs 9 9 90000 1%% /\\n' ;; esac"),
        "/boot has 90 MiB free, 300 are needed", "Free some room"),
    "first boot under way": (
        "preflight-first-boot",
        lambda m: m.tools.update({"cloud-init": "echo status: running", "timeout": "exit 124"}),
        "cloud-init has been at work for more than 900 s: status: running", "cloud-init status --long"),
    "an inconsistent package database": (
        "preflight-packages", lambda m: _installed(m, "iHR|libfoo"), "dpkg left unfinished: libfoo (iHR)", "dpkg --audit"),
    "a driver that is half there": (
        "preflight-packages", lambda m: _installed(m, "iHR|nvidia-driver-580-server"), "dpkg left unfinished: nvidia-driver-580-server (iHR)", "Mend the package"),
    "a driver of a .run file": (
        "preflight-sources", lambda m: (m.write("usr/bin/nvidia-uninstall", ""), m.write("var/log/nvidia-installer.log", "")),
        "nvidia-uninstall belongs to no package; ", "nvidia-uninstall"),
    "what a .run file left": (
        "preflight-sources", lambda m: m.write("lib/modules/6.8.0/kernel/drivers/video/nvidia.ko", ""), "nvidia.ko belongs to no package", "Remove the driver"),
    "an OFED that must go first": (
        "preflight-ofed", lambda m: m.tools.update(ofed_info="echo MLNX_OFED_LINUX-24.10-1.1.4.0:"), "ofed_info says MLNX_OFED_LINUX-24.10", "ofed_uninstall.sh"),
    "a VBIOS below the floor": (
        "preflight-gh200-nvl2-vbios", lambda m: _driver(m, "96.00.51.00.02"), "0009:01:00.0 has 96.00.51.00.02", "bring newer firmware first"),
}  # fmt: skip
"""What is wrong, the gate that tells it, how to make it so, the evidence, and what to do."""


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_evidence_and_what_to_do(case: str, machine: Machine) -> None:
    name, make_wrong, evidence, remedy = REFUSED[case]
    gate = gates()[name]
    assert machine.asked(gate.test)[0] == 0, machine.asked(gate.test)
    make_wrong(machine)
    code, told = machine.asked(gate.test)
    assert code != 0, told
    assert evidence in told
    assert remedy in gate.remedy


class TestRoom:
    """What a bring-up brought is not asked for again: a rerun after a cut, or a small change later, is not refused."""

    SMALL = "printf 'h\\nfs 9 9 90 1%% /\\n'"

    @pytest.mark.parametrize(
        ("ledger", "held"),
        [
            ("", False),
            ("2026-11-21T00:00:00Z run-1 0badcafe begin preflight-space\n", False),
            ("2026-11-21T00:00:00Z run-1 0badcafe begin driver-repository\n", False),
            ("2026-11-21T00:00:00Z run-1 0badcafe begin driver-packages\n", True),
            ("2026-11-21T00:00:00Z run-1 0badcafe begin driver-packages\n2026-11-21T00:00:00Z run-1 0badcafe ok driver-packages\n", True),
        ],
    )  # fmt: skip
    def test_on_the_root_it_is_asked_for_until_packages_were_begun(
        self, machine: Machine, ledger: str, *, held: bool
    ) -> None:
        machine.tools["df"] = f"case $* in *boot*) printf 'h\\nfs 9 9 900 1%% /boot\\n' ;; *) {self.SMALL} ;; esac"
        if ledger:
            machine.write("var/lib/provision/ledger", ledger)
        code, told = machine.asked(gates()["preflight-space"].test)
        assert (code == 0) is held, told
        assert held or told == "/ has 90 MiB free, 4096 are needed"

    def test_the_ledger_tells_it_because_packages_are_named_so(self) -> None:
        named = [entry.name for entry in plan().entries if isinstance(entry.resource, Packages)]
        assert "driver-packages" in named
        assert all(name.endswith("-packages") for name in named), named


def test_a_lock_is_waited_for_and_then_told(machine: Machine) -> None:
    gate = gates()["preflight-locks"]
    assert machine.asked(gate.test) == (0, "no package work in progress")
    lock = machine.root / "var/lib/dpkg/lock-frontend"
    machine.write("proc/locks", f"1: POSIX  ADVISORY  WRITE 999999999 00:01:{lock.stat().st_ino} 0 EOF\n")
    code, told = machine.asked(gate.test)
    assert code == 1
    assert told.startswith("after 300 s: ")
    assert "lock-frontend is held by" in told


@pytest.mark.parametrize("case", [
    lambda m: m.device("0009:01:00.0", "10de", "2348", "030000"),
    lambda m: m.device("0009:02:00.0", "10de", "22a3", "068000"),
    lambda m: m.device("0009:02:00.0", "10de", "2348", "030200", driver="vfio-pci"),
    lambda m: m.device("0009:02:00.0", "10de", "2348", "030200", virtual=True),
    lambda m: m.device("0009:02:00.0", "10de", "2348", "030200", driver="nvidia"),
], ids=["a display", "a switch beside it", "one that a guest has beside it", "a virtual function beside it", "two"])  # fmt: skip
def test_what_is_beside_a_gpu_does_not_take_it_away(case: object, machine: Machine) -> None:
    assert callable(case)
    case(machine)
    code, told = machine.asked(gates()["preflight-gpu"].test)
    assert code == 0, told
    assert "10de:22a3" not in told


@pytest.mark.parametrize(
    ("vbios", "code"),
    [
        ("96.00.67.00.01", 1),
        ("96.00.0F.00.01", 1),
        ("96.00.9a.00.01", 0),
        ("96.00.68.00.01", 0),
        ("96.00.A0.00.01", 0),
        ("96.00.D8.00.03", 0),
    ],
)
def test_a_vbios_is_held_against_the_floor_that_a_driver_named(machine: Machine, vbios: str, code: int) -> None:
    _driver(machine, vbios)
    assert machine.asked(gates()["preflight-gh200-nvl2-vbios"].test) == (code, f"0009:01:00.0 has {vbios}")


def test_without_a_driver_no_vbios_is_known_and_that_is_said(machine: Machine) -> None:
    code, told = machine.asked(gates()["preflight-gh200-nvl2-vbios"].test)
    assert (code, told) == (0, "no driver is loaded, so no VBIOS can be read here")


def test_every_gate_of_preflight_is_among_the_cases_or_has_a_test_of_its_own() -> None:
    elsewhere = {"preflight-locks", "preflight-secure-boot"}
    names = {name for name in gates() if name.startswith("preflight-")} | {"ofed-card"}
    assert names == {row[0] for row in REFUSED.values()} | elsewhere


@pytest.mark.parametrize(("variables", "is_asked"), [({}, True), ({"doca_ofed": {"profile": "inbox"}}, False)])
def test_the_card_is_asked_for_before_the_first_change_where_nvidias_drivers_come(
    variables: dict[str, dict[str, str]], is_asked: bool
) -> None:
    entries = assemble(NodeSpec.model_validate({**GRACE, "variables": variables}), rooms()).plan.boots[0]
    names = [entry.name for entry in entries]
    assert ("ofed-card" in names) == is_asked
    if is_asked:
        before = entries[: names.index("ofed-card")]
        assert all(isinstance(entry.resource, Gate) for entry in before)
