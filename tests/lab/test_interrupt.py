"""A bring-up may be interrupted anywhere: the same command again ends in the same node as if nothing had happened.

The node stands on stand-ins (see `standins`); roles, resolver and engines are the real ones. Of Ansible only the
playbook's own process is killed, which leaves the task at work behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest
from interrupt import Case, Engine, Kill, Project, Reference, every_case, faults, reference
from standins import provide

from provision.lab import Lab

ENGINES: tuple[Engine, ...] = ("pyinfra", "ansible")
NAMES = ("interrupted1", "interrupted2")

SAMPLE = (
    Case(kill=Kill(at="early-configuration"), about="between a daemon's configuration and its restart"),
    Case(kill=Kill(at="late-configuration"), about="the same behind the reboot"),
    Case(kill=Kill(at="kernel-packages", delay=0.5), about="in the package transaction", power="cut"),
    Case(kill=Kill(at="module-build", delay=1.5), about="in the module build", power="cut"),
    Case(kill=Kill(at="module-build", delay=0.04), about="at the begin of the module build"),
    Case(kill=Kill(at="initrd", delay=0.5), about="in the initrd build", power="cut"),
    Case(kill=Kill(at="reboot"), about="the reboot is ordered"),
    Case(kill=Kill(at="reboot", delay=0.01), about="the reboot is being ordered", power="cut"),
)

SAMPLES: dict[Engine, Sequence[Case]] = {"pyinfra": SAMPLE, "ansible": SAMPLE[::2]}
"""Ansible's runs take longer, and the sweep has every case."""


@pytest.fixture(scope="module")
def names(lab: Lab) -> Iterator[tuple[str, ...]]:
    lab.up(NAMES, layer=provide(lab))
    yield NAMES
    lab.down(NAMES)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    if chosen == "ansible":
        pytest.importorskip("ansible", reason="ansible-core is not installed: pip install ansible-core")
    return chosen


@pytest.fixture(scope="module")
def uninterrupted(
    lab: Lab, names: Sequence[str], engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    return reference(lab.reset(names[0]), tmp_path_factory.mktemp("whole"), engine)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short name: the socket that Ansible's ssh keeps below it has room for some 100 characters."""
    return tmp_path_factory.mktemp("cases")


@pytest.fixture(scope="module")
def converged(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """Nodes that were brought up before, with older daemons than `changed` declares."""
    (first,) = lab.up(["converged0"], layer=provide(lab))
    done = Project(tmp_path_factory.mktemp("converged"), [first]).run()
    assert done.code == 0, done.output
    layer = f"interrupt-{lab.id}"
    lab.save(first.name, layer)
    nodes = lab.up(["converged1", "converged2"], layer=layer)
    yield tuple(node.name for node in nodes)
    lab.down([first.name, *(node.name for node in nodes)])
    lab.drop(layer)


@pytest.fixture(scope="module")
def changed(lab: Lab, converged: Sequence[str], engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    node = lab.reset(converged[0])
    return reference(node, tmp_path_factory.mktemp("changed"), engine, daemons_generation="newer")


def all_faults(
    lab: Lab, names: Sequence[str], cases: Sequence[Case], expected: Reference, folder: Path
) -> Iterator[tuple[Case, list[str]]]:
    """Every case with what is wrong after it, as they end; one case at a time on each node."""
    free: SimpleQueue[str] = SimpleQueue()
    for name in names:
        free.put(name)

    def one(numbered: tuple[int, Case]) -> tuple[Case, list[str]]:
        number, case = numbered
        name = free.get()
        try:
            return case, faults(lab, name, case, expected, folder / str(number))
        except Exception as error:
            return case, [f"{type(error).__name__}: {error}"]
        finally:
            free.put(name)

    with ThreadPoolExecutor(len(names)) as pool:
        yield from pool.map(one, enumerate(cases))


def test_an_uninterrupted_run_leaves_a_node_that_is_whole(uninterrupted: Reference) -> None:
    wrong = ("leftover", "audit", "failed", "unreadable", "dpkg /var/lib/dpkg/updates/0")
    assert [line for line in uninterrupted.state if line.startswith(wrong)] == []
    assert "system running" in uninterrupted.state
    assert {f"unit {name} is of generation new" for name in ("early", "late")} <= set(uninterrupted.state)
    assert uninterrupted.boots == 2


def test_a_sample_of_interruptions_makes_no_difference(
    lab: Lab, names: Sequence[str], uninterrupted: Reference, folder: Path
) -> None:
    wrong = told(all_faults(lab, names, SAMPLES[uninterrupted.engine], uninterrupted, folder))
    assert wrong == [], "\n".join(wrong)


@pytest.mark.sweep
def test_no_interruption_of_a_bring_up_makes_a_difference(
    lab: Lab, names: Sequence[str], uninterrupted: Reference, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = tuple(every_case(uninterrupted.run))
    wrong = told(shown(all_faults(lab, names, cases, uninterrupted, folder), len(cases), capsys))
    assert wrong == [], "\n".join(wrong)


@pytest.mark.sweep
def test_no_interruption_of_a_change_makes_a_difference(
    lab: Lab, converged: Sequence[str], changed: Reference, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert changed.boots == 1, "new daemons need no reboot"
    cases = tuple(every_case(changed.run))
    wrong = told(shown(all_faults(lab, converged, cases, changed, folder), len(cases), capsys))
    assert wrong == [], "\n".join(wrong)


Results = Iterator[tuple[Case, list[str]]]


def shown(results: Results, count: int, capsys: pytest.CaptureFixture[str]) -> Results:
    """The same results; each is shown when it comes, because a sweep takes minutes."""
    for number, (case, found) in enumerate(results, start=1):
        with capsys.disabled():
            print(f"{number}/{count} {case}: {'DIFFERENT' if found else 'the same'}", flush=True)
        yield case, found


def told(results: Results) -> list[str]:
    """What went wrong, one line a fault under the case it belongs to."""
    return [line for case, found in results if found for line in (f"{case}:", *(f"    {fault}" for fault in found))]
