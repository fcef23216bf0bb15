"""One interruption: a new node, a run that is killed, the same command again, and a third time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from interrupt.project import Engine, Kill, Project, Run
from interrupt.state import differences, read_state
from provision.lab import Lab, Node
from provision.model import Frozen

SHORTLY = 0.04
"""Seconds after a command was sent: it has begun, and few have ended."""
LONG = 0.5
"""Commands that take longer are interrupted in their midst, too."""

Power = Literal["stays", "cut"]


class Case(Frozen):
    """Where a run is killed, and whether the node loses its power in the same moment."""

    kill: Kill
    about: str
    power: Power = "stays"

    def __str__(self) -> str:
        when = "after" if self.kill.delay is None else f"{self.kill.delay:.2f} s into"
        return f"killed {when} command {self.kill.at} ({self.about}), power {self.power}"


class Reference(Frozen):
    """A run that nobody interrupted, with its engine and the keys of its inventory, and the node it left."""

    engine: Engine
    keys: dict[str, str]
    run: Run
    state: list[str]
    boots: int


def reference(node: Node, folder: Path, engine: Engine, **keys: str) -> Reference:
    run = Project(folder, [node], engine=engine, **keys).run()
    assert run.code == 0, run.output
    return Reference(engine=engine, keys=keys, run=run, state=read_state(node), boots=node.boots)


def every_case(run: Run) -> Iterator[Case]:
    """Every command of an uninterrupted run: after it returned, shortly after it was sent, and with a power cut."""
    for number, about in enumerate(run.titles, start=1):
        yield Case(kill=Kill(at=number), about=about)
        yield Case(kill=Kill(at=number, delay=SHORTLY), about=about)
        yield Case(kill=Kill(at=number, delay=SHORTLY), about=about, power="cut")
    yield from midway_cases(run)


def midway_cases(run: Run) -> Iterator[Case]:
    """In the midst of what takes long: at a quarter, half and three quarters of its time."""
    for number, (about, seconds) in enumerate(zip(run.titles, run.seconds, strict=True), start=1):
        if seconds > LONG and about not in {"probe", "boot-id"}:
            for part in (0.25, 0.5, 0.75):
                yield Case(kill=Kill(at=number, delay=part * seconds), about=about)
                yield Case(kill=Kill(at=number, delay=part * seconds), about=about, power="cut")


def faults(lab: Lab, name: str, case: Case, expected: Reference, folder: Path) -> list[str]:
    """What is wrong after the case; nothing, when it makes no difference that the run was interrupted."""
    node = lab.reset(name)
    project = Project(folder, [node], engine=expected.engine, **expected.keys)
    killed = project.run(case.kill)
    if not killed.killed:
        # How often a node is asked whether it is up again differs; such a run may end before its last number.
        return [] if killed.code == 0 and len(killed.titles) < len(expected.run.titles) else [_told(killed)]
    if case.power == "cut":
        node.power_cut()
        node.power_on()
    finished = project.run()
    if finished.code != 0:
        return [_told(finished)]
    found = differences(read_state(node), expected.state)
    most = expected.boots + (case.power == "cut")
    if not expected.boots <= node.boots <= most:
        found.append(f"{node.boots} boots, not {expected.boots}")
    return [*found, *_not_idle(project.run())]


def _not_idle(run: Run) -> list[str]:
    """A run on a converged node asks once, over one connection, and does nothing."""
    if (run.code, run.titles, run.operations) == (0, ("probe",), ()) and run.connections <= 1:
        return []
    return [f"the third run: exit {run.code}, {run.connections} connections, commands {run.titles}"]


def _told(run: Run) -> str:
    return f"exit {run.code} after {len(run.titles)} commands:\n{run.output[-3000:]}"
