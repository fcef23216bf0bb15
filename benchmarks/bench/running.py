"""Contenders are run one at a time, and every run is metered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.contenders import Contender
from bench.table import Sample
from bench.target import Counters, Targets
from provision.model import Frozen

METER = Path(__file__).with_name("meter.py")

MANY = 10
"""From so many nodes on everybody is run once only: with Ansible a single run takes minutes there."""


class Cost(Frozen):
    wall_s: float
    controller_cpu_s: float
    controller_peak_mib: float
    code: int
    output: str

    def told(self) -> str:
        return f"exit code {self.code}: {self.output[-1500:]}"


class Effort(Frozen):
    """How much is measured; `show`: print what every contender says while it warms up."""

    repetitions: int
    minutes: float
    show: bool


class Turn(Frozen):
    """One contender on so many nodes, asked about so many resources, over one way."""

    nodes: int
    resources: int
    rtt_ms: int
    contender: Contender

    def __str__(self) -> str:
        return f"{self.nodes} node(s), {self.resources} resources, rtt {self.rtt_ms} ms, {self.contender.name}"


def metered(one: Contender, work: Path) -> Cost:
    """Run it to its end, however that is."""
    work.mkdir(parents=True, exist_ok=True)
    told, output = work / "cost.json", work / "output.txt"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYINFRA_"))}
    meter = [sys.executable, "-I", "-S", str(METER), str(told), str(output), *one.argv]
    subprocess.run(meter, cwd=one.folder, env=kept | one.environment, check=True)
    for command in one.hang_up:
        subprocess.run(command, capture_output=True, check=False)
    words = output.read_text(encoding="utf-8", errors="replace")
    return Cost.model_validate({**json.loads(told.read_text(encoding="utf-8")), "output": words})


def succeed(one: Contender, work: Path) -> Cost:
    """Run what has to succeed. Raises: SystemExit with its last words."""
    cost = metered(one, work)
    if cost.code != 0:
        raise SystemExit(f"{one.name} failed with exit code {cost.code}:\n{cost.output[-3000:]}")
    return cost


def measured(
    turns: Sequence[Turn], targets: Mapping[int, Targets], effort: Effort, work: Path
) -> tuple[list[Sample], dict[str, str]]:
    """Everybody once unmeasured, then everybody in turn, again and again, so that a busy minute hits all of them.

    Args:
        turns: the fewest nodes first.
        targets: the measured nodes, by how many they are.

    Returns: the samples, and who failed with which last words: such a contender or turn is left out from then on.
    """
    left_out = _warmed_up(turns, effort, work)
    samples: list[Sample] = []
    ends = time.monotonic() + effort.minutes * 60
    for number in range(1, effort.repetitions + 1):
        for turn in turns:
            if {turn.contender.name, str(turn)} & left_out.keys() or (number > 1 and turn.nodes >= MANY):
                continue
            if time.monotonic() > ends:
                say("the time is over; the table tells how often each was run")
                return samples, left_out
            load, begun = os.getloadavg()[0], targets[turn.nodes].begin()
            cost = metered(turn.contender, work)
            spent = targets[turn.nodes].spent(begun)
            if cost.code != 0:
                left_out[str(turn)] = cost.told()
                say(f"left out: {turn}: exit code {cost.code}")
                continue
            say(f"{number}/{effort.repetitions} {turn}: {cost.wall_s:.2f} s")
            samples.append(_sample(turn, cost, spent, load))
    return samples, left_out


def _warmed_up(turns: Sequence[Turn], effort: Effort, work: Path) -> dict[str, str]:
    """Each contender's first turn, the one on the fewest nodes, shows who fails, and fills caches."""
    left_out: dict[str, str] = {}
    first: dict[str, Contender] = {}
    for turn in turns:
        first.setdefault(turn.contender.name, turn.contender)
    for name, one in first.items():
        cost = metered(one, work)
        if cost.code != 0:
            left_out[name] = cost.told()
            say(f"left out: {name}: exit code {cost.code}")
        if effort.show:
            print(cost.output)
    return left_out


def _sample(turn: Turn, cost: Cost, spent: Counters, load: float) -> Sample:
    return Sample(
        contender=turn.contender.name,
        nodes=turn.nodes,
        resources=turn.resources,
        rtt_ms=turn.rtt_ms,
        load=load,
        wall_s=cost.wall_s,
        controller_cpu_s=cost.controller_cpu_s,
        controller_peak_mib=cost.controller_peak_mib,
        target_cpu_s=spent.cpu_s,
        connections=spent.connections,
        sessions=spent.sessions,
    )


def say(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)
