"""`provision drift`: what differs from the declaration, and what would be done; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field

from provision.cli.arguments import InventoryFile, Limit, limited, mistakes_told, near
from provision.cli.engine import follow, pyinfra_command
from provision.cli.exits import Exit
from provision.engines.events import new_run, read
from provision.inventory import read_inventory
from provision.ledger import Ledger, Reading
from provision.model import Frozen, LedgerEntry, NodeSpec, Snapshot, StandIns
from provision.planning import Planned, Plans, assemble, rooms
from provision.steps import Reboot, Step, Stop, admitted, contradictions, drift, next_step, not_applicable

app = typer.Typer(rich_markup_mode=None)

Verdict = Literal["converged", "drift", "unknown", "unreachable"]

WOULD = {
    "packages": "install and hold",
    "file": "write",
    "directory": "create",
    "symlink": "lead there",
    "repository": "add and fetch its index",
    "alternatives": "choose",
    "fragment": "set these keys",
    "kernel-arguments": "write",
    "module": "write, load or take out",
    "sysctl": "write and set",
    "group": "create",
    "user": "create or change",
    "archive": "fetch and unpack",
    "gpu-setting": "set on every GPU",
    "unit": "enable, start or stop",
    "boot-entry": "make the default",
    "derived": "make anew",
    "gate": "check again",
    "manual": "stop and ask a person",
}
"""Kind -> what `provision apply` would do about it."""


GAUGES = {
    "provision_node_converged": "1 when nothing is due on the node.",
    "provision_node_reached": "1 when the node could be read.",
    "provision_resources_due": "Resources that differ from the declaration.",
    "provision_resources_not_applicable": "Resources that the node cannot hold.",
    "provision_hidden": "Things that could not be read.",
}


class Difference(Frozen):
    boot: int
    role: str
    resource: str
    kind: str
    differs: str
    would: str


class NodeDrift(Frozen):
    """What is known about one node's distance from its declaration."""

    node: str
    verdict: Verdict
    plan: str = ""
    due: tuple[Difference, ...] = ()
    next: str = ""
    """What comes first, where that is not a change: a reboot, or a stop."""
    not_applicable: dict[str, str] = Field(default_factory=dict)
    hidden: dict[str, str] = Field(default_factory=dict)
    standins: StandIns | None = Field(default=None, exclude_if=lambda found: found is None)
    """What the node has instead of real packages."""
    reason: str = ""
    """Why nothing is known."""


class DriftReport(Frozen):
    schema_version: Literal[1] = Field(default=1, serialization_alias="schema")
    nodes: tuple[NodeDrift, ...]


@app.command("drift")
def command(
    inventory: InventoryFile,
    limit: Limit = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="judge this snapshot of the one node instead of connecting to it")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the report as JSON, schema 1")] = False,
    prometheus: Annotated[Path | None, typer.Option(help="write a textfile for Prometheus' node exporter")] = None,
) -> None:
    """Tell what differs from the declaration, and change nothing."""
    with mistakes_told():
        specs = limited(read_inventory(inventory), limit, inventory)
        found = judged_file(specs, snapshot) if snapshot else look(inventory, specs, bool(limit))
    report = DriftReport(nodes=found)
    if prometheus is not None:
        _write(prometheus, "".join(f"{line}\n" for line in textfile(found)))
    if as_json:
        typer.echo(report.model_dump_json(by_alias=True, indent=1))
    else:
        typer.echo("\n".join(line for one in found for line in told(one)))
    raise typer.Exit(exit_code(found))


def look(inventory: Path, specs: dict[str, NodeSpec], limited: bool) -> tuple[NodeDrift, ...]:
    """Every node read once, by the engine, and judged."""
    run, plans = new_run(), Plans(rooms())
    follow(pyinfra_command(inventory, tuple(specs) if limited else (), dry=True), run, lambda _events: None)
    refused = {event["node"]: event["reason"] for event in read(run) if event["event"] == "refused"}
    result = []
    for node, spec in specs.items():
        seen = _load(run / f"{node}.before.json")
        if seen is None:
            verdict: Verdict = "unknown" if node in refused else "unreachable"
            reason = refused.get(node, f"no connection; see {near(run)}/engine.log")
            result.append(NodeDrift(node=node, verdict=verdict, reason=reason))
            continue
        planned = plans.of(spec, Reading(node).fitting(spec))
        result.append(judge(node, planned, seen, Ledger(node).entries(seen.machine_id)))
    return tuple(result)


def judged_file(specs: dict[str, NodeSpec], path: Path) -> tuple[NodeDrift, ...]:
    """One node judged from a snapshot file. Raises: typer.BadParameter."""
    seen = _load(path)
    if seen is None or len(specs) != 1:
        problem = f"{path} is not a snapshot" if seen is None else "a snapshot is of one node; name it with --limit"
        raise typer.BadParameter(problem, param_hint="--snapshot")
    ((node, spec),) = specs.items()
    wrong = contradictions(spec, seen)
    if wrong:
        return (NodeDrift(node=node, verdict="unknown", reason="; ".join(wrong)),)
    planned = assemble(spec, rooms(), Reading(node).fitting(spec) or seen)
    return (judge(node, planned, admitted(spec, seen), Ledger(node).entries(seen.machine_id)),)


def judge(node: str, planned: Planned, seen: Snapshot, entries: Sequence[LedgerEntry]) -> NodeDrift:
    """What a snapshot and the node's ledger say of its distance from its plan. Pure."""
    plan = planned.plan
    due = tuple(
        Difference(
            boot=boot,
            role=one.entry.role,
            resource=one.entry.name,
            kind=one.entry.resource.kind,
            differs=one.why,
            would=WOULD[one.entry.resource.kind],
        )
        for boot, stretch in enumerate(drift(plan, seen), 1)
        for one in stretch
    )
    first = _first(next_step(plan, seen, entries))
    verdict: Verdict = "drift" if due or first else "unknown" if seen.hidden else "converged"
    return NodeDrift(
        node=node,
        verdict=verdict,
        plan=plan.digest,
        due=due,
        next=first,
        not_applicable={one.entry.name: one.limit for one in not_applicable(plan, seen)},
        hidden=seen.hidden,
        standins=seen.standins,
    )


def _first(step: Step) -> str:
    match step:
        case Reboot(why=why):
            return f"a reboot is due: {why}"
        case Stop(reason=reason):
            return f"a person must act: {reason}"
        case _:
            return ""


def exit_code(found: Sequence[NodeDrift]) -> Exit:
    """1 when a node was not reached, 4 when something could not be read, 3 when something is due, 0 when nothing is."""
    verdicts = {one.verdict for one in found}
    for verdict, code in (("unreachable", Exit.FAILED), ("unknown", Exit.UNKNOWN), ("drift", Exit.DRIFT)):
        if verdict in verdicts:
            return code
    return Exit.DONE


def told(one: NodeDrift) -> Iterator[str]:
    yield f"{one.node}: {one.verdict}" + (f", {len(one.due)} due" if one.due else "")
    if one.standins:
        yield from (f"  {line}" for line in one.standins.sentences)
    if one.reason:
        yield f"  {one.reason}"
    if one.next:
        yield f"  {one.next}"
    for due in one.due:
        yield f"  boot {due.boot}  {due.role} {due.resource}: {due.differs} (would {due.would})"
    if one.not_applicable:
        yield f"  not applicable: {', '.join(f'{name} ({limit})' for name, limit in one.not_applicable.items())}"
    for what, why in one.hidden.items():
        yield f"  hidden: {what}: {why}"


def textfile(found: Sequence[NodeDrift]) -> Iterator[str]:
    """Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/ (read 2026-11-21)."""
    for name, meaning in GAUGES.items():
        yield f"# HELP {name} {meaning}"
        yield f"# TYPE {name} gauge"
        yield from (f'{name}{{node="{_label(one.node)}"}} {_values(one)[name]}' for one in found)


def _values(one: NodeDrift) -> dict[str, int]:
    return {
        "provision_node_converged": int(one.verdict == "converged"),
        "provision_node_reached": int(one.verdict != "unreachable"),
        "provision_resources_due": len(one.due),
        "provision_resources_not_applicable": len(one.not_applicable),
        "provision_hidden": len(one.hidden),
    }


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _write(path: Path, text: str) -> None:
    """Whole or not at all: the exporter may read at any moment."""
    temporary = path.with_name(f".{path.name}.provision")
    temporary.write_text(text)
    temporary.replace(path)


def _load(path: Path) -> Snapshot | None:
    with suppress(OSError, ValueError):
        return Snapshot.model_validate_json(path.read_text())
    return None
