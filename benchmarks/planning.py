"""Measures what a person waits for before anything is touched: planning a large fleet, and `provision --help`.

Needs no root, no network and no node.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent

from bench.record import RESULTS, conditions, keep  # noqa: E402
from bench.table import Goal  # noqa: E402

from provision.model import Frozen  # noqa: E402

NODES = 1000
SYSTEMS = ("ubuntu22.04", "ubuntu24.04")
MACHINES = (("x86_64", "H100"), ("x86_64", "H200"), ("x86_64", "A100"), ("x86_64", "L40S"), ("aarch64", "GH200"))
CHILD = HERE / "bench" / "planned.py"

PLANNED, HELP, TYPER = "planned after import", "provision --help", "python -c 'import typer'"


class Figure(Frozen):
    """Seconds of several runs."""

    text: str
    samples: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return median(self.samples)


def main() -> int:
    asked = _arguments()
    before = conditions()
    print(before)
    figures = {**planning(asked.repetitions), **starting(asked.repetitions)}
    goals = [
        Goal(text=f"{NODES} nodes of {len(kinds())} kinds planned after import, seconds", wanted=1,
             measured=figures[PLANNED].seconds, at_least=False),
        Goal(text=f"`{HELP}` against importing typer alone, times", wanted=2,
             measured=figures[HELP].seconds / figures[TYPER].seconds, at_least=False),
    ]  # fmt: skip
    print("\n".join(_row(figure, figures[TYPER].seconds) for figure in figures.values()))
    print("\n".join(goal.told() for goal in goals))
    keep(
        {
            "benchmark": "planning",
            "before": before.model_dump(),
            "after": conditions().model_dump(),
            "kinds": kinds(),
            "figures": [{**figure.model_dump(), "median": figure.seconds} for figure in figures.values()],
            "goals": [{**goal.model_dump(), "met": goal.met} for goal in goals],
        },
        asked.results,
    )
    return 0


def planning(repetitions: int) -> dict[str, Figure]:
    """Every part of a plan for 1,000 nodes, each run in a process that has imported everything and read nothing."""
    with TemporaryDirectory() as folder:
        inventory = Path(folder) / "fleet.py"
        inventory.write_text(_inventory(), encoding="utf-8")
        runs = [_child(inventory) for _ in range(repetitions)]
    return {name: Figure(text=name, samples=tuple(run[name] for run in runs)) for name in runs[0]}


def starting(repetitions: int) -> dict[str, Figure]:
    """How soon the command line answers, beside what nobody gets below; they take turns."""
    commands: dict[str, Sequence[str]] = {
        "python -c pass": (sys.executable, "-c", "pass"),
        TYPER: (sys.executable, "-c", "import typer"),
        HELP: (sys.executable, "-m", "provision", "--help"),
    }
    samples: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(1 + 3 * repetitions):
        for name, command in commands.items():
            samples[name].append(
                _seconds(lambda command=command: subprocess.run(command, check=True, capture_output=True))
            )
    # The first turn fills the disk cache and counts for nothing.
    return {name: Figure(text=name, samples=tuple(each[1:])) for name, each in samples.items()}


def kinds() -> list[Mapping[str, str]]:
    """Ten sorts of machine that nothing is pinned of, so that everything is resolved."""
    return [{"os": os, "arch": arch, "gpu": gpu} for os in SYSTEMS for arch, gpu in MACHINES]


def _inventory() -> str:
    """Nodes of all kinds in turn, a fleet for each kind."""
    each = kinds()
    fleets = (
        f"fleet{n} = fleet({[f'node{i:04}' for i in range(n, NODES, len(each))]!r}, "
        + ", ".join(f"{key}={value!r}" for key, value in kind.items())
        + ")"
        for n, kind in enumerate(each)
    )
    return "from provision import fleet\n\n" + "\n".join(fleets) + "\n"


def _child(inventory: Path) -> dict[str, float]:
    told = subprocess.run(
        [sys.executable, str(CHILD), str(inventory)], check=False, capture_output=True, text=True, cwd=inventory.parent
    )
    if told.returncode != 0:
        raise SystemExit(told.stderr)
    result: dict[str, float] = json.loads(told.stdout)
    return result


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _row(figure: Figure, typer: float) -> str:
    least, most = min(figure.samples) * 1000, max(figure.samples) * 1000
    runs = f"{least:.1f} - {most:.1f} in {len(figure.samples)} runs"
    return f"{figure.text:32} {figure.seconds * 1000:8.1f} ms  {figure.seconds / typer:6.2f} x typer  ({runs})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7, help="processes that plan; three times as many for help")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
