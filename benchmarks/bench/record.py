"""What every benchmark asks, tells and keeps alike."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import table
from bench.running import Effort
from provision.model import Frozen

RESULTS = Path(__file__).resolve().parents[1] / "results"


class Conditions(Frozen):
    """The machine at one moment."""

    at: str
    load: tuple[float, float, float]
    cores: int
    kernel: str
    python: str

    def __str__(self) -> str:
        return f"load average {self.load[0]:.2f} {self.load[1]:.2f} {self.load[2]:.2f} on {self.cores} cores"


def conditions() -> Conditions:
    return Conditions(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        load=os.getloadavg(),
        cores=os.cpu_count() or 1,
        kernel=platform.release(),
        python=platform.python_version(),
    )


def arguments(description: str | None, nodes: str, delay: str, repetitions: int) -> argparse.ArgumentParser:
    """The options that every benchmark has, with defaults of its own; lists are written `1,10,50`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--nodes", type=numbers, default=nodes, metavar="N,N", help="how many nodes; one table each")
    parser.add_argument("--delay", type=numbers, default=delay, metavar="MS,MS", help="round-trip times in ms")
    parser.add_argument("--repetitions", type=int, default=repetitions, help="once only from 10 nodes on")
    parser.add_argument("--minutes", type=float, default=30, help="begin no run later than this after the first")
    parser.add_argument("--layer", help="a saved lab layer of converged nodes with Python, instead of stand-ins")
    parser.add_argument("--show", action="store_true", help="show what every contender prints while it warms up")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    return parser


def effort(asked: argparse.Namespace) -> Effort:
    return Effort(repetitions=asked.repetitions, minutes=asked.minutes, show=asked.show)


def numbers(text: str) -> list[int]:
    return sorted({int(part) for part in text.split(",")})


def tell(title: str, versions: Mapping[str, str], rows: Sequence[table.Row], growth: Sequence[table.Growth]) -> None:
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    print(f"\n{title}\n{told}\n\n{table.text(rows)}\n")
    if growth:
        print("\n".join(one.told() for one in growth), end="\n\n")


def keep(result: Mapping[str, Any], folder: Path) -> None:
    """One file for each run of a benchmark: `TIME-BENCHMARK.json`."""
    path = folder / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{result['benchmark']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}")
