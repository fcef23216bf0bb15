"""What needs no node: judging the answers of 1,000 nodes, planning for 1,000, and how soon the command line answers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from bench.contenders import declared
from provision.catalog import find_gpus, load
from provision.model import Frozen, NodeSpec, Plan
from provision.probe import parse
from provision.steps import next_step

NODES = 1000
REPETITIONS = 5
KINDS = (("H100", "H200", "A100", "L40S", "GH200"), ("single", "staged"))


class Figure(Frozen):
    text: str
    seconds: float
    """Median."""
    runs: int
    of_goal: bool = False


def judged(answer: str, plan: Plan) -> Figure:
    """Parse, drift and next step of 1,000 answers, each parsed anew from its text."""

    def judge_all() -> None:
        for number in range(NODES):
            next_step(plan, parse(answer, f"node{number}"), ())

    return _measured(f"{NODES} answers of {len(answer)} bytes parsed and judged, in-process", judge_all).model_copy(
        update={"of_goal": True}
    )


def command_line(spec: NodeSpec, folder: Path) -> list[Figure]:
    """Each as a process of its own, as a person starts it."""
    identical, kinds = folder / "identical.py", folder / "kinds.py"
    folder.mkdir(parents=True, exist_ok=True)
    _inventory(identical, [spec] * NODES)
    different = _kinds(spec)
    _inventory(kinds, [different[number % len(different)] for number in range(NODES)])
    provision = (sys.executable, "-m", "provision")
    return [
        _run("python -c pass", (sys.executable, "-c", "pass")),
        _run("python -c 'import typer'", (sys.executable, "-c", "import typer")),
        _run("provision --help", (*provision, "--help")),
        _run(f"provision plan, {NODES} identical nodes", (*provision, "plan", str(identical))),
        _run(f"provision plan, {NODES} nodes of {len(different)} kinds", (*provision, "plan", str(kinds))),
    ]


def _kinds(spec: NodeSpec) -> list[NodeSpec]:
    gpus, reboots = KINDS
    for gpu in gpus:
        find_gpus(load().gpus, gpu)
    return [spec.model_copy(update={"gpu": gpu, "reboots": reboot}) for gpu in gpus for reboot in reboots]


def _inventory(path: Path, specs: Sequence[NodeSpec]) -> None:
    hosts: dict[str, list[str]] = {}
    for number, spec in enumerate(specs):
        hosts.setdefault(declared(spec), []).append(f"node{number}")
    groups = [f"group{n} = fleet({names!r}, {told})" for n, (told, names) in enumerate(hosts.items())]
    path.write_text("from provision import fleet\n\n" + "\n".join(groups) + "\n", encoding="utf-8")


def _run(text: str, argv: tuple[str, ...]) -> Figure:
    return _measured(text, lambda: subprocess.run(argv, check=True, capture_output=True))


def _measured(text: str, work: Callable[[], object]) -> Figure:
    taken = []
    for _ in range(REPETITIONS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return Figure(text=text, seconds=median(taken), runs=REPETITIONS)
