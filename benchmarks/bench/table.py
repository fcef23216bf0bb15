"""Medians, ratios and goals as plain data and as text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from provision.model import Frozen

OURS = "provision"


class Sample(Frozen):
    """One run of one contender over all nodes. CPU in seconds over all nodes; memory: the largest single process."""

    contender: str
    nodes: int = 1
    resources: int
    """Of the plan, as far as a converged node is asked about them."""
    rtt_ms: int
    load: float
    """Load average over one minute when the run began: above the number of cores it inflates wall time."""
    wall_s: float
    controller_cpu_s: float
    controller_peak_mib: float
    target_cpu_s: float
    connections: int
    sessions: int


class Row(Frozen):
    """Medians of one contender; `times`: how many times as much as ours (by metric)."""

    contender: str
    nodes: int
    resources: int
    rtt_ms: int
    runs: int
    medians: dict[str, float]
    spread: tuple[float, float]
    """Least and most wall seconds."""
    times: dict[str, float]


class Growth(Frozen):
    """What each further node costs a contender, by metric: what it costs to begin at all is not in it."""

    contender: str
    resources: int
    rtt_ms: int
    nodes: tuple[int, int]
    per_node: dict[str, float]

    def told(self) -> str:
        cost = self.per_node
        return (
            f"{self.resources} resources, {self.rtt_ms} ms, from {self.nodes[0]} to {self.nodes[1]} nodes: each "
            f"further one costs {self.contender} {cost['controller_cpu_s'] * 1000:.1f} ms of controller CPU, "
            f"{cost['controller_peak_mib']:.2f} MiB, {cost['wall_s'] * 1000:.0f} ms"
        )


class Goal(Frozen):
    text: str
    wanted: float
    measured: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    def told(self) -> str:
        bound = "at least" if self.at_least else "at most"
        missed = abs(self.wanted - self.measured)
        verdict = "met" if self.met else f"MISSED by {missed:.3g} ({missed / self.wanted:.0%})"
        return f"{self.text}: {self.measured:.3g}, wanted {bound} {self.wanted:.3g}: {verdict}"


METRICS = ("wall_s", "controller_cpu_s", "target_cpu_s", "controller_peak_mib", "connections", "sessions")
HEADS = ("wall s", "ctl CPU s", "node CPU s", "ctl MiB", "conns", "cmds")


def rows(samples: Sequence[Sample], ours: str = OURS) -> tuple[Row, ...]:
    """One row per nodes, plan, round-trip time and contender; contenders in the order of their first measurement."""
    groups: dict[tuple[int, int, int, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.nodes, sample.resources, sample.rtt_ms, sample.contender), []).append(sample)
    medians = {key: _medians(of_one) for key, of_one in groups.items()}
    return tuple(
        Row(
            contender=contender,
            nodes=nodes,
            resources=resources,
            rtt_ms=rtt,
            runs=len(of_one),
            medians=medians[nodes, resources, rtt, contender],
            spread=(min(one.wall_s for one in of_one), max(one.wall_s for one in of_one)),
            times=_times(medians[nodes, resources, rtt, contender], medians.get((nodes, resources, rtt, ours), {})),
        )
        for (nodes, resources, rtt, contender), of_one in sorted(groups.items(), key=lambda group: group[0][:3])
    )


def growth(found: Sequence[Row]) -> tuple[Growth, ...]:
    """Between the fewest and the most nodes on which a contender was measured, same plan and round-trip time."""
    groups: dict[tuple[int, int, str], list[Row]] = {}
    for row in sorted(found, key=lambda row: row.nodes):
        groups.setdefault((row.resources, row.rtt_ms, row.contender), []).append(row)
    return tuple(
        Growth(
            contender=contender,
            resources=resources,
            rtt_ms=rtt,
            nodes=(few.nodes, many.nodes),
            per_node={
                metric: (many.medians[metric] - few.medians[metric]) / (many.nodes - few.nodes) for metric in METRICS
            },
        )
        for (resources, rtt, contender), (few, *_, many) in (item for item in groups.items() if len(item[1]) > 1)
    )


def text(found: Sequence[Row]) -> str:
    heads = (
        "nodes",
        "resources",
        "rtt ms",
        "contender",
        "runs",
        *HEADS,
        "wall min-max",
        *(f"x {head}" for head in ("wall", "ctl CPU", "node CPU")),
    )
    lines = [heads, *(_cells(row) for row in found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    left = 3
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n == left else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    m, t = row.medians, row.times
    least, most = row.spread
    return (
        str(row.nodes),
        str(row.resources),
        str(row.rtt_ms),
        row.contender,
        str(row.runs),
        f"{m['wall_s']:.2f}",
        f"{m['controller_cpu_s']:.2f}",
        f"{m['target_cpu_s']:.2f}",
        f"{m['controller_peak_mib']:.0f}",
        f"{m['connections']:.0f}",
        f"{m['sessions']:.0f}",
        f"{least:.2f}-{most:.2f}",
        *(f"{t[name]:.1f}" if name in t else "-" for name in METRICS[:3]),
    )


def _medians(of_one: Sequence[Sample]) -> dict[str, float]:
    return {metric: float(median(getattr(s, metric) for s in of_one)) for metric in METRICS}


def _times(mine: dict[str, float], ours: dict[str, float]) -> dict[str, float]:
    return {metric: mine[metric] / ours[metric] for metric in mine if ours.get(metric)}
