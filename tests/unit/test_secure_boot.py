"""Secure Boot and the key that modules are signed with: plan, drift and run tell one story, on whatever machine.

Each machine is a folder in which the plan's own tests run; what they answer is what a probe would have read.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from samples import carried_out, machine
from test_ready import run, tool
from test_signing import make_key, secure_boot, system

from provision.cli.drift import judge
from provision.model import Gate, GateState, Manual, NodeSpec, Plan, Snapshot
from provision.planning import Planned, assemble, rooms
from provision.steps import Stop, Stretch, next_step

GATE, STEP = "preflight-secure-boot", "module-key-enrolment"
KEYS = {
    "debian12": "var/lib/dkms/mok.pub",
    "debian13": "var/lib/dkms/mok.pub",
    "ubuntu24.04": "var/lib/shim-signed/mok/MOK.der",
}


class Machine(NamedTuple):
    """`key`: that of modules is not there, made, or known to the firmware."""

    secure_boot: bool
    key: str = ""
    tools: tuple[str, ...] = ("openssl", "mokutil")

    def furnish(self, root: Path, os: str) -> None:
        if "mokutil" in self.tools:
            tool(root, "mokutil", f'echo "$2 is {"already" if self.key == "enrolled" else "not"} enrolled"')
        (root / "bin").mkdir(exist_ok=True)
        for name in {"od", "tr", "openssl"} & {"od", "tr", *self.tools}:
            (root / "bin" / name).symlink_to(f"/usr/bin/{name}")
        system(root, os)
        secure_boot(root, int(self.secure_boot))
        if self.key:
            make_key(root, KEYS[os])


@pytest.fixture(params=KEYS)
def planned(request: pytest.FixtureRequest) -> Planned:
    return assemble(NodeSpec(os=request.param, arch="x86_64", gpu="H100"), rooms())


def asked(plan: Plan, name: str, root: Path) -> GateState:
    """What a test of the plan answers on this machine."""
    resource = plan.by_name[name].resource
    assert isinstance(resource, (Gate, Manual))
    code, told = run(root, resource.test, path=f"{root}/bin")
    return GateState(holds=code == 0, evidence=told)


def built(plan: Plan, snapshot: Snapshot) -> Snapshot:
    """The machine when everything before the person's step was carried out."""
    for entry in plan.boots[0]:
        if entry.name == STEP:
            break
        snapshot = carried_out(plan, entry.resource, snapshot)
    return snapshot


BARE = {
    "none": (Machine(False), True, True),
    "on, nothing built yet": (Machine(True), True, False),
    "on, a key that is not enrolled": (Machine(True, "made"), True, False),
    "on, a key that is enrolled": (Machine(True, "enrolled"), True, True),
    "on, no openssl": (Machine(True, tools=("mokutil",)), False, False),
    "on, no mokutil": (Machine(True, tools=("openssl",)), False, False),
}


@pytest.mark.parametrize(("there", "begins", "knows"), BARE.values(), ids=BARE)
def test_a_run_begins_where_its_end_can_be_reached(
    planned: Planned, tmp_path: Path, there: Machine, begins: bool, knows: bool
) -> None:
    there.furnish(tmp_path, planned.spec.os)
    gate = asked(planned.plan, GATE, tmp_path)
    assert gate.holds == begins, gate
    assert asked(planned.plan, STEP, tmp_path).holds == knows
    if not begins:
        assert gate.evidence.startswith("Secure Boot is on, and there is no ")


def test_on_a_bare_machine_everything_is_built_and_then_a_person_is_asked(planned: Planned, tmp_path: Path) -> None:
    plan = planned.plan
    Machine(True).furnish(tmp_path, planned.spec.os)
    bare = machine(gates={STEP: asked(plan, STEP, tmp_path)})

    first = next_step(plan, bare, ())
    assert isinstance(first, Stretch)
    names = [due.entry.name for due in first.due]
    assert names[: names.index("module-build")].count(GATE) == 1, "asked before the first change"
    assert STEP not in names
    told = {due.resource: due for due in judge("n1", planned, bare, ()).due}
    assert told[STEP].would == "stop and ask a person"
    assert told[STEP].differs.endswith("(Secure Boot is on, and this node has no key to sign modules with)")

    make_key(tmp_path, KEYS[planned.spec.os])  # as the build does
    assert asked(plan, GATE, tmp_path).holds, "what refuses before a change never stands against the person's step"
    state = asked(plan, STEP, tmp_path)
    waiting = built(plan, bare)
    waiting = waiting.model_copy(update={"gates": waiting.gates | {STEP: state}})
    step = next_step(plan, waiting, ())
    assert isinstance(step, Stop)
    person = plan.by_name[STEP].resource
    assert isinstance(person, Manual)
    assert step.reason == f"{person.title} ({state.evidence}). {person.instruction}"
    assert KEYS[planned.spec.os] in state.evidence, "the key to enrol is named"
    assert judge("n1", planned, waiting, ()).next == f"a person must act: {step.reason}"

    enrolled = waiting.model_copy(update={"gates": waiting.gates | {STEP: GateState(holds=True)}})
    assert not isinstance(next_step(plan, enrolled, ()), Stop)


def test_the_plan_shows_the_step_behind_what_makes_the_key_and_before_the_reboot(planned: Planned) -> None:
    names = [entry.name for entry in planned.plan.boots[0]]
    assert names.index(GATE) < names.index("module-build") < names.index("boot-menu") < names.index(STEP)
