"""Where benchmarks take place: a lab of their own, nodes that ours has brought to their end, and what they are told."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from standins import provide, spec

from bench import contenders
from bench.contenders import Subject
from bench.equivalent import resources
from bench.route import route
from bench.running import say, succeed
from bench.target import LOUD
from provision.lab import Lab, Node, host
from provision.ledger import STATE_VARIABLE, Reading
from provision.model import Frozen
from provision.planning import Planned, assemble, rooms
from provision.planning.rooms import PATH_VARIABLE
from provision.platforms import platform_for
from provision.probe import parse, probe_program
from provision.steps import Done, next_step

HERE = Path(__file__).resolve().parents[1]
STORE = HERE.parent / ".lab"
SOCKETS = Path("/run/provision-bench")

# The stand-ins turn the node's archive off; Ansible needs Python there, so Debian's own archive is asked once more.
PYTHON = """
set -- -o Dir::Etc::sourceparts=/etc/apt/sources.list.d -o APT::Get::List-Cleanup=false
export DEBIAN_FRONTEND=noninteractive
apt-get "$@" -qq update
apt-get "$@" -q -y --no-install-recommends install python3 python3-apt </dev/null
apt-get clean
"""


@contextmanager
def stage() -> Iterator[tuple[Lab, Path]]:
    """A lab, and a folder to work in; both are gone afterwards. Raises: SystemExit(2) where no lab can be."""
    if lacking := host.missing():
        print(host.sentence(lacking), file=sys.stderr)
        raise SystemExit(2)
    _clean_after_the_dead()
    work = STORE / f"bench-{os.getpid()}"
    os.environ[STATE_VARIABLE] = str(work / "state")
    os.environ[PATH_VARIABLE] = str(HERE / "roles")
    lab = Lab(work / "lab", store=STORE, say=say)
    try:
        yield lab, work
    finally:
        lab.clean()
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(SOCKETS, ignore_errors=True)


def _clean_after_the_dead() -> None:
    """What a benchmark that was killed left running."""
    for work in STORE.glob("bench-[0-9]*"):
        if not Path(f"/proc/{work.name.removeprefix('bench-')}").exists():
            Lab(work / "lab", store=STORE).clean()
            shutil.rmtree(work)


def nodes_up(lab: Lab, work: Path, count: int, layer: str | None) -> tuple[str, list[Node]]:
    """So many converged nodes whose sshd tells of every session, and the layer they stand on."""
    on = layer or _prepared(lab, work)
    nodes = lab.up([f"b{number}" for number in range(1, count + 1)], layer=on)
    for node in nodes:
        checked(node, LOUD)
    return on, nodes


class Measured(Frozen):
    """One plan on converged nodes, and what one of them answers to its probe."""

    folder: Path
    planned: Planned
    subject: Subject
    answer: str


def converged(lab: Lab, nodes: Sequence[Node], files: int, folder: Path) -> Measured:
    """After a first run of ours on all nodes, which has to leave nothing due; `files`: added to the plan."""
    declared = spec().model_copy(update={"variables": {"bench_files": {"count": files}} if files else {}})
    state = folder / "state"
    with route(nodes, lab.state / "key", 0, folder / "straight") as straight:
        succeed(contenders.ours(straight, declared, state, folder / "first"), folder)
    planned = assemble(declared, rooms(), Reading(nodes[0].name, state).fitting(declared))
    program = probe_program(planned.plan, default_kernel=platform_for(declared.os, declared.arch).default_kernel())
    answer = checked(nodes[0], "sh -s", stdin=program)
    seen = parse(answer, nodes[0].name)
    step = next_step(planned.plan, seen, ())
    if not isinstance(step, Done):
        raise SystemExit(f"the node has not converged: {step}")
    subject = Subject(spec=declared, state=state, resources=resources(planned.plan, seen), seen=seen, probe=program)
    return Measured(folder=folder, planned=planned, subject=subject, answer=answer)


def checked(node: Node, program: str, stdin: str = "") -> str:
    done = node.sudo(program, stdin=stdin)
    if done.returncode != 0:
        raise SystemExit(f"{node.name}: {program[:200]!r} failed: {done.stderr[-1500:]}")
    return done.stdout


def _prepared(lab: Lab, work: Path) -> str:
    """The layer of a node that ours has brought to its end, with the Python that Ansible needs; made once."""
    below = provide(lab)
    name = f"bench-{below}"
    if name in [layer.name for layer in lab.layers()]:
        return name
    say("bringing a node up once, on stand-in packages")
    (node,) = lab.up(["made"], layer=below)
    with route([node], lab.state / "key", 0, work / "made") as straight:
        succeed(contenders.ours(straight, spec(), work / "made/state", work / "made/provision"), work)
    checked(node, PYTHON)
    lab.save(node.name, name)
    lab.down([node.name])
    return name
