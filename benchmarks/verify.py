"""Measures `provision verify` against testinfra's own ssh backend, same assertions: `python benchmarks/verify.py`.

Needs root and what `provision lab requirements` names; the first run also needs the network (packages).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests/lab")]

from bench import table, verifiers  # noqa: E402
from bench.record import arguments, conditions, effort, keep, tell  # noqa: E402
from bench.route import routes  # noqa: E402
from bench.running import Turn, measured, say  # noqa: E402
from bench.stage import converged, nodes_up, stage  # noqa: E402
from bench.target import Targets  # noqa: E402

from provision.lab import Lab  # noqa: E402


def main() -> int:
    asked = _arguments()
    with stage() as (lab, work):
        result = measure(asked, lab, work)
    keep(result, asked.results)
    return 0


def measure(asked: argparse.Namespace, lab: Lab, work: Path) -> dict[str, Any]:
    layer, nodes = nodes_up(lab, work, asked.nodes[-1], asked.layer)
    begun = conditions()
    say(f"{begun}; warming up")
    plan = converged(lab, nodes, 0, work / "plan")
    with routes(nodes, asked.nodes, asked.delay, lab.state / "key", work) as ways:
        turns = [
            Turn(nodes=len(way.names), resources=len(plan.planned.plan.entries), rtt_ms=way.rtt_ms, contender=one)
            for way in ways
            for one in verifiers.every(way, plan.subject, way.folder, asked.contenders)
        ]
        targets = {count: Targets(lab, nodes[:count]) for count in asked.nodes}
        samples, left_out = measured(turns, targets, effort(asked), work)
    outcomes = [
        verifiers.outcomes(turn.contender)
        for turn in turns[: len(asked.contenders)]
        if turn.contender.name not in left_out
    ]
    found = table.rows(samples)
    growth = table.growth(found)
    ended = conditions()
    versions = verifiers.versions()
    counts, disputed = [dict(Counter(one.values())) for one in outcomes], _disputed(outcomes)
    tell(f"{begun}, at the end {ended}", versions, found, growth)
    print(f"checks on the fewest nodes: {counts}; not the same for all: {', '.join(disputed) or 'none'}")
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    return {
        "schema": 2,
        "benchmark": "verify",
        "layer": layer,
        "at_start": begun.model_dump(),
        "at_end": ended.model_dump(),
        "versions": versions,
        "checks_on_the_fewest_nodes": counts,
        "not_the_same_for_all": disputed,
        "samples": [one.model_dump() for one in samples],
        "rows": [one.model_dump() for one in found],
        "per_further_node": [one.model_dump() for one in growth],
        "left_out": left_out,
    }


def _disputed(outcomes: Sequence[dict[str, str]]) -> list[str]:
    """Checks that did not come to the same for everybody: were there any, the times would not compare."""
    names = {name for one in outcomes for name in one}
    return sorted(name for name in names if len({one.get(name) for one in outcomes}) > 1)


def _arguments() -> argparse.Namespace:
    parser = arguments(__doc__, nodes="1,10", delay="0,20", repetitions=3)
    parser.add_argument("--contenders", nargs="+", choices=verifiers.NAMES, default=verifiers.NAMES)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
