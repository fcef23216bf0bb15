"""Measures the no-op converge of the complete plan, ours and others', side by side: `python benchmarks/converge.py`.

Needs root and what `provision lab requirements` names; the first run also needs the network (packages, Ansible).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
sys.path[:0] = [str(CHECKOUT / "tests/lab")]

from bench import contenders, judging, table  # noqa: E402
from bench.contenders import Contender, Subject  # noqa: E402
from bench.equivalent import resources  # noqa: E402
from bench.route import Route, route  # noqa: E402
from bench.target import LOUD, Targets  # noqa: E402
from standins import provide, spec  # noqa: E402

from provision.lab import Lab, Node, host  # noqa: E402
from provision.ledger import STATE_VARIABLE, Reading  # noqa: E402
from provision.model import Frozen  # noqa: E402
from provision.planning import Planned, assemble, rooms  # noqa: E402
from provision.planning.rooms import PATH_VARIABLE  # noqa: E402
from provision.platforms import platform_for  # noqa: E402
from provision.probe import parse, probe_program  # noqa: E402
from provision.steps import Done, next_step  # noqa: E402

STORE = CHECKOUT / ".lab"
VENV = STORE / "bench-venv"
METER = HERE / "bench/meter.py"

# The stand-ins turn the node's archive off; Ansible needs Python there, so Debian's own archive is asked once more.
PYTHON = """
set -- -o Dir::Etc::sourceparts=/etc/apt/sources.list.d -o APT::Get::List-Cleanup=false
export DEBIAN_FRONTEND=noninteractive
apt-get "$@" -qq update
apt-get "$@" -q -y --no-install-recommends install python3 python3-apt </dev/null
apt-get clean
"""


def main() -> int:
    asked = _arguments()
    if lacking := host.missing():
        print(host.sentence(lacking), file=sys.stderr)
        return 2
    work = STORE / f"bench-{os.getpid()}"
    os.environ[STATE_VARIABLE] = str(work / "state")
    os.environ[PATH_VARIABLE] = str(HERE / "roles")
    lab = Lab(work / "lab", store=STORE, say=_say)
    try:
        result = measure(asked, lab, work)
    finally:
        lab.clean()
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree("/run/provision-bench", ignore_errors=True)
    path = asked.results / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}")
    return 0


def measure(asked: argparse.Namespace, lab: Lab, work: Path) -> dict[str, Any]:
    versions = contenders.own_versions() | contenders.ansible_venv(VENV, _say)
    layer = asked.layer or _prepared(lab, work)
    nodes = lab.up([f"b{number}" for number in range(1, asked.nodes + 1)], layer=layer)
    for node in nodes:
        _checked(node, LOUD)
    begun = os.getloadavg()
    _say(f"load average {begun[0]:.2f} {begun[1]:.2f} {begun[2]:.2f}; warming up")
    with ExitStack() as stack:
        routes = [
            stack.enter_context(route(nodes, lab.state / "key", rtt, work / f"rtt{rtt}")) for rtt in sorted(asked.delay)
        ]
        plans = [_converged(nodes[0], routes[0], files, work / f"files{files}") for files in asked.files]
        entries = [
            (len(one.subject.resources), way, contender)
            for one in plans
            for way in routes
            for contender in contenders.every(way, one.subject, one.folder / f"rtt{way.rtt_ms}", VENV)
            if not asked.only or contender.name in asked.only
        ]
        # One round is enough to see who fails, and to fill caches; the longer plans differ in length only.
        everybody = list({contender.name: contender for _count, _way, contender in reversed(entries)}.values())
        left_out = _warmed_up(everybody[::-1], asked.show, work)
        runs = [entry for entry in entries if entry[2].name not in left_out]
        samples = _samples(runs, asked, Targets(lab, nodes), work)
    pure = [
        *(judging.judged(one.answer, one.planned.plan) for one in plans),
        *judging.command_line(spec(), work / "pure"),
    ]
    ended = os.getloadavg()
    found = table.rows(samples)
    goals = _goals(found, pure)
    packages = f"layer {asked.layer}" if asked.layer else "stand-in packages"
    title = (
        f"{asked.nodes} node(s), {packages}; load average at start {begun[0]:.2f}, at the end {ended[0]:.2f}, "
        f"{os.cpu_count()} cores"
    )
    print(f"\n{title}\n{', '.join(f'{name} {number}' for name, number in versions.items())}\n\n{table.text(found)}\n")
    print("\n".join(f"{one.seconds * 1000:9.1f} ms  {one.text}" for one in pure), end="\n\n")
    print("\n".join(goal.told() for goal in goals))
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    return {
        "schema": 1,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "title": title,
        "layer": layer,
        "load_at_start": begun,
        "load_at_end": ended,
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
        "versions": versions,
        "nodes": asked.nodes,
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
        "without_a_node": [one.model_dump() for one in pure],
        "goals": [goal.model_dump() | {"met": goal.met} for goal in goals],
        "left_out": left_out,
    }


def _prepared(lab: Lab, work: Path) -> str:
    """The layer of a node that ours has brought to its end, with the Python that Ansible needs; made once."""
    below = provide(lab)
    name = f"bench-{below}"
    if name in [layer.name for layer in lab.layers()]:
        return name
    _say("bringing a node up once, on stand-in packages")
    (node,) = lab.up(["made"], layer=below)
    with route([node], lab.state / "key", 0, work / "made") as straight:
        _succeed(contenders.ours(straight, spec(), work / "made/state", work / "made/provision"), work)
    _checked(node, PYTHON)
    lab.save(node.name, name)
    lab.down([node.name])
    return name


class Measured(Frozen):
    """One plan on converged nodes, and what one of them answers to its probe."""

    folder: Path
    planned: Planned
    subject: Subject
    answer: str


def _converged(node: Node, straight: Route, files: int, folder: Path) -> Measured:
    """After a first run of ours on all nodes, which has to leave nothing due."""
    declared = spec().model_copy(update={"variables": {"bench_files": {"count": files}} if files else {}})
    state = folder / "state"
    _succeed(contenders.ours(straight, declared, state, folder / "first"), folder)
    planned = assemble(declared, rooms(), Reading(node.name, state).fitting(declared))
    program = probe_program(planned.plan, default_kernel=platform_for(declared.os, declared.arch).default_kernel())
    answer = _checked(node, "sh -s", stdin=program)
    seen = parse(answer, node.name)
    step = next_step(planned.plan, seen, ())
    if not isinstance(step, Done):
        raise SystemExit(f"the node has not converged: {step}")
    subject = Subject(spec=declared, state=state, resources=resources(planned.plan, seen), seen=seen, probe=program)
    return Measured(folder=folder, planned=planned, subject=subject, answer=answer)


def _warmed_up(everybody: Sequence[Contender], show: bool, work: Path) -> dict[str, str]:
    """Runs each once, unmeasured; returns those that failed, with their last words: they are left out."""
    left_out: dict[str, str] = {}
    for one in everybody:
        cost = _metered(one, work)
        output = (work / "output.txt").read_text(encoding="utf-8", errors="replace")
        if cost["code"] != 0:
            left_out[one.name] = output[-1500:]
            _say(f"left out: {one.name}: exit code {cost['code']}")
        if show:
            print(output)
    return left_out


def _samples(
    runs: Sequence[tuple[int, Route, Contender]], asked: argparse.Namespace, targets: Targets, work: Path
) -> list[table.Sample]:
    """Interleaved: everybody once, then everybody once more; none begins after the time is over."""
    samples: list[table.Sample] = []
    ends = time.monotonic() + asked.minutes * 60
    for number in range(1, asked.repetitions + 1):
        for count, way, one in runs:
            if time.monotonic() > ends:
                _say("the time is over; the table tells how often each was run")
                return samples
            load, begun = os.getloadavg()[0], targets.begin()
            cost = _succeed(one, work)
            spent = targets.spent(begun)
            which = f"{number}/{asked.repetitions} {count} resources, rtt {way.rtt_ms} ms"
            _say(f"{which}, {one.name}: {cost['wall_s']:.2f} s")
            samples.append(
                table.Sample(
                    contender=one.name,
                    resources=count,
                    rtt_ms=way.rtt_ms,
                    load=load,
                    wall_s=cost["wall_s"],
                    controller_cpu_s=cost["controller_cpu_s"],
                    controller_peak_mib=cost["controller_peak_mib"],
                    target_cpu_s=spent.cpu_s,
                    connections=spent.connections,
                    sessions=spent.sessions,
                )
            )
    return samples


def _succeed(one: Contender, work: Path) -> dict[str, float]:
    cost = _metered(one, work)
    if cost["code"] != 0:
        output = (work / "output.txt").read_text(encoding="utf-8", errors="replace")
        raise SystemExit(f"{one.name} failed with exit code {cost['code']}:\n{output[-3000:]}")
    return cost


def _metered(one: Contender, work: Path) -> dict[str, float]:
    told = work / "cost.json"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYINFRA_"))}
    meter = [sys.executable, "-I", "-S", str(METER), str(told), str(work / "output.txt"), *one.argv]
    subprocess.run(meter, cwd=one.folder, env=kept | one.environment, check=True)
    for command in one.hang_up:
        subprocess.run(command, capture_output=True, check=False)
    cost: dict[str, float] = json.loads(told.read_text(encoding="utf-8"))
    return cost


def _goals(found: Sequence[table.Row], pure: Sequence[judging.Figure]) -> list[table.Goal]:
    farthest = max((row.rtt_ms for row in found), default=0)
    wanted = {"pyinfra": 10.0, "ansible": 50.0}
    return [
        table.Goal(
            text=f"{row.resources} resources, {row.rtt_ms} ms: wall time of {row.contender}, times ours",
            wanted=wanted[row.contender],
            measured=row.times["wall_s"],
            at_least=True,
        )
        for row in found
        if row.rtt_ms == farthest and row.contender in wanted and "wall_s" in row.times
    ] + [
        table.Goal(text=f"seconds: {one.text}", wanted=2.0, measured=one.seconds, at_least=False)
        for one in pure
        if one.of_goal
    ]


def _checked(node: Node, program: str, stdin: str = "") -> str:
    done = node.sudo(program, stdin=stdin)
    if done.returncode != 0:
        raise SystemExit(f"{node.name}: {program[:200]!r} failed: {done.stderr[-1500:]}")
    return done.stdout


def _say(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--delay", type=int, nargs="+", default=[0, 20], help="round-trip times in ms")
    parser.add_argument("--files", type=int, nargs="+", default=[0, 51], help="files added to the plan; one plan each")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=30, help="begin no run later than this after the first")
    parser.add_argument("--only", nargs="*", help="only these contenders")
    parser.add_argument("--layer", help="a saved lab layer of converged nodes with Python, instead of stand-ins")
    parser.add_argument("--show", action="store_true", help="show what every contender prints while it warms up")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
