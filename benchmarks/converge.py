"""Measures the no-op converge of the complete plan, ours and others', side by side: `python benchmarks/converge.py`.

Needs root and what `provision lab requirements` names; the first run also needs the network (packages, Ansible).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests/lab")]

from bench import contenders, judging, table  # noqa: E402
from bench.record import arguments, conditions, effort, keep, numbers, tell  # noqa: E402
from bench.route import routes  # noqa: E402
from bench.running import Turn, measured, say  # noqa: E402
from bench.stage import STORE, converged, nodes_up, stage  # noqa: E402
from bench.target import Targets  # noqa: E402
from standins import spec  # noqa: E402

from provision.lab import Lab  # noqa: E402

VENV = STORE / "bench-venv"

GOAL_CPU_MS = 2.0
"""Controller CPU for each further converged node, beyond what pyinfra spends on connecting and one command."""


def main() -> int:
    asked = _arguments()
    with stage() as (lab, work):
        result = measure(asked, lab, work)
    keep(result, asked.results)
    return 0


def measure(asked: argparse.Namespace, lab: Lab, work: Path) -> dict[str, Any]:
    versions = contenders.own_versions()
    if any(name.startswith("ansible") for name in asked.contenders):
        versions |= contenders.ansible_venv(VENV, say)
    layer, nodes = nodes_up(lab, work, asked.nodes[-1], asked.layer)
    begun = conditions()
    say(f"{begun}; warming up")
    plans = [converged(lab, nodes, files, work / f"files{files}") for files in asked.files]
    with routes(nodes, asked.nodes, asked.delay, lab.state / "key", work) as ways:
        turns = [
            Turn(nodes=len(way.names), resources=len(one.subject.resources), rtt_ms=way.rtt_ms, contender=contender)
            for way in ways
            for one in plans
            for contender in contenders.every(way, one.subject, one.folder / way.folder.name, VENV, asked.contenders)
        ]
        targets = {count: Targets(lab, nodes[:count]) for count in asked.nodes}
        samples, left_out = measured(turns, targets, effort(asked), work)
    pure = [
        *(judging.judged(one.answer, one.planned.plan) for one in plans),
        *judging.command_line(spec(), work / "pure"),
    ]
    found = table.rows(samples)
    growth = table.growth(found)
    goals = _goals(found, growth, pure)
    ended = conditions()
    packages = f"layer {asked.layer}" if asked.layer else "stand-in packages"
    tell(f"{packages}; {begun}, at the end {ended}", versions, found, growth)
    print("\n".join(f"{one.seconds * 1000:9.1f} ms  {one.text}" for one in pure), end="\n\n")
    print("\n".join(goal.told() for goal in goals))
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    return {
        "schema": 2,
        "benchmark": "converge",
        "layer": layer,
        "at_start": begun.model_dump(),
        "at_end": ended.model_dump(),
        "versions": versions,
        "plans": [
            {
                "digest": one.planned.plan.digest,
                "entries": len(one.planned.plan.entries),
                "asked_about": [f"{resource.kind} {resource.name}" for resource in one.subject.resources],
            }
            for one in plans
        ],
        "samples": [one.model_dump() for one in samples],
        "rows": [one.model_dump() for one in found],
        "per_further_node": [one.model_dump() for one in growth],
        "without_a_node": [one.model_dump() for one in pure],
        "goals": [goal.model_dump() | {"met": goal.met} for goal in goals],
        "left_out": left_out,
    }


def _goals(
    found: Sequence[table.Row], growth: Sequence[table.Growth], pure: Sequence[judging.Figure]
) -> list[table.Goal]:
    farthest = max((row.rtt_ms for row in found), default=0)
    wanted = {"pyinfra": 10.0, "ansible": 50.0}
    ratios = [
        table.Goal(
            text=f"1 node, {row.resources} resources, {row.rtt_ms} ms: wall time of {row.contender}, times ours",
            wanted=wanted[row.contender],
            measured=row.times["wall_s"],
            at_least=True,
        )
        for row in found
        if row.nodes == 1 and row.rtt_ms == farthest and row.contender in wanted and "wall_s" in row.times
    ]
    return [*ratios, *_of_growth(growth), *(_of_figure(one) for one in pure if one.of_goal)]


def _of_growth(growth: Sequence[table.Growth]) -> list[table.Goal]:
    cpu = {(one.resources, one.rtt_ms, one.contender): one.per_node["controller_cpu_s"] * 1000 for one in growth}
    return [
        table.Goal(
            text=f"{resources} resources, {rtt} ms: ms of controller CPU for a further node, beyond pyinfra's own",
            wanted=GOAL_CPU_MS,
            measured=ours - cpu[resources, rtt, contenders.FLOOR_PYINFRA],
            at_least=False,
        )
        for (resources, rtt, contender), ours in cpu.items()
        if contender == table.OURS and (resources, rtt, contenders.FLOOR_PYINFRA) in cpu
    ]


def _of_figure(one: judging.Figure) -> table.Goal:
    return table.Goal(text=f"seconds: {one.text}", wanted=2.0, measured=one.seconds, at_least=False)


def _arguments() -> argparse.Namespace:
    parser = arguments(__doc__, nodes="1", delay="0,20", repetitions=3)
    parser.add_argument("--files", type=numbers, default="0,51", help="files added to the plan; one plan each")
    parser.add_argument("--contenders", nargs="+", choices=contenders.NAMES, default=contenders.NAMES)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
