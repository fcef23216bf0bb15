"""Versions are chosen once, from a node that knows its archive; what a machine is made of is read anew every time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from offers import recorded

from provision.engines.events import Events, read
from provision.engines.link import Unanswered
from provision.engines.node import Node, Refused
from provision.engines.render import Sender
from provision.ledger import STATE_VARIABLE, Reading
from provision.model import NodeSpec, Snapshot
from provision.model.places import RUN, STATE
from provision.planning import Plans, rooms
from provision.platforms import apt
from provision.probe import parse, probe_program, program
from provision.stack import NoFit

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="package lists are root's")

SPEC = NodeSpec(os="debian13", arch="x86_64")
H100, A100, V100, NOBODY = "0x2330", "0x20b0", "0x1db1", "0xffff"
OFFERED = recorded("offers-trixie-amd64.json").offers or {}
SENDER = Sender(controller="controller-1", run="run-1", node="n1")


class Machine:
    """A node that answers as a probe does: a stand-in, because no machine changes its GPU for a test."""

    def __init__(self, gpus: Sequence[str], has_lists: bool = True, has_archive: bool = True) -> None:
        self.gpus, self.has_lists, self.has_archive = gpus, has_lists, has_archive
        self.boot = 1
        self.fetched = self.first_readings = self.readings = 0

    def ask(self, program: str, timeout: float | None = None) -> str:
        if "update_lists" in program:
            self.fetched += 1
            if not self.has_archive:
                raise Unanswered("E: Could not resolve 'archive.example'")
            self.has_lists = True
            return ""
        first = "say offered" in program
        self.first_readings += first
        self.readings += not first
        return "\n".join([*self._said(), *(self._offers() if first else ()), "END\n"])

    def reconnect(self) -> None: ...

    def _said(self) -> Iterator[str]:
        given = {"os": SPEC.os, "arch": SPEC.arch, "machine_id": "m1", "boot_id": f"boot-{self.boot}", "kernel": "1",
                 "page_size": "4096", "root": "0"}  # fmt: skip
        yield from (f"{key}\t{value}" for key, value in given.items())
        yield from (f"pci\t0000:0{n}:00.0\t10de\t{gpu}\t0x030200\t" for n, gpu in enumerate(self.gpus))

    def _offers(self) -> Iterator[str]:
        if self.has_lists:
            yield from (f"offer\t{name}\t{version}" for name, versions in OFFERED.items() for version in versions)
        else:
            yield "hidden\toffers\tno package lists are there"
        yield "offered"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def node(machine: Machine, run: Path, spec: NodeSpec = SPEC) -> Node:
    """One run's view of it; another one is what the next task of a play, or the next run, has."""
    return Node(machine, spec, Plans(rooms()), SENDER, Events(run))


def kept() -> Snapshot:
    found = Reading("n1").load()
    assert found is not None
    return found


class TestAFreshlyInstalledNode:
    def test_fetches_its_lists_once_before_it_is_asked_what_its_archive_offers(self, run: Path) -> None:
        machine = Machine([H100], has_lists=False)
        plan = node(machine, run).plan()
        assert (machine.fetched, kept().offers) == (1, OFFERED)
        assert plan == node(Machine([H100]), run).plan()
        assert machine.first_readings == 2

    def test_a_node_that_has_lists_fetches_none(self, run: Path) -> None:
        machine = Machine([H100])
        node(machine, run).plan()
        assert (machine.fetched, machine.first_readings) == (0, 1)

    def test_without_its_archive_nothing_is_kept_and_it_is_told_in_apts_words(self, run: Path) -> None:
        machine = Machine([H100], has_lists=False, has_archive=False)
        with pytest.raises(Refused, match=r"n1: .* no package lists; .* Could not resolve 'archive\.example'.* again"):
            node(machine, run).plan()
        assert Reading("n1").load() is None
        machine.has_archive = True
        assert node(machine, run).plan()

    def test_a_reading_that_was_kept_without_lists_is_not_gone_by(self, run: Path) -> None:
        empty = Snapshot.model_validate(
            {**kept_from(run).model_dump(), "offers": {}, "hidden": {"offers": "no package lists are there"}}
        )
        Reading("n1").save(empty)
        assert Reading("n1").fitting(SPEC) is None


def kept_from(run: Path) -> Snapshot:
    node(Machine([H100]), run).plan()
    return kept()


class TestAfterABoot:
    def test_versions_stay_as_they_were_chosen_whatever_the_archive_offers_now(self, run: Path) -> None:
        machine = Machine([H100])
        before = node(machine, run)
        before.read()
        machine.boot, machine.has_lists = 2, False
        after = node(machine, run)
        after.read()
        assert after.plan() == before.plan()
        assert machine.first_readings == 1

    def test_the_plan_is_put_together_with_the_hardware_that_is_there_now(self, run: Path) -> None:
        machine = Machine([H100])
        one = node(machine, run)
        one.read()
        assert one.plan().stack.version("modules") == "open"
        machine.boot, machine.gpus = 2, [V100]
        snapshot = one.read()
        assert one.plan().stack.version("modules") == "proprietary"
        assert one.plan() == node(Machine([V100]), run).plan()
        assert [device.device for device in snapshot.pci] == ["1db1"]
        assert machine.readings == 3, "the node is asked about what the new plan names"
        assert [event["event"] for event in read(run)] == ["planned-anew"]

    def test_every_other_process_of_the_run_goes_by_the_same_plan(self, run: Path) -> None:
        machine = Machine([H100])
        step, task = node(machine, run), node(machine, run)
        step.read()
        machine.gpus = [V100]
        step.read()
        assert task.plan().plan.digest == step.plan().plan.digest

    @pytest.mark.parametrize("gpus", [[], [NOBODY]], ids=["no GPU", "none that is known"])
    def test_a_bus_that_tells_nothing_makes_no_other_plan(self, gpus: list[str], run: Path) -> None:
        machine = Machine([H100])
        one = node(machine, run, SPEC.model_copy(update={"gpu": "H100"}))
        one.read()
        before = one.plan()
        machine.gpus = gpus
        one.read()
        assert one.plan() == before

    def test_a_gpu_other_than_the_declared_one_is_told(self, run: Path) -> None:
        machine = Machine([H100])
        one = node(machine, run, SPEC.model_copy(update={"gpu": "H100"}))
        one.read()
        machine.gpus = [A100]
        with pytest.raises(NoFit, match="A100"):
            one.read()

    def test_the_same_hardware_is_read_once(self, run: Path) -> None:
        machine = Machine([H100, H100])
        node(machine, run).read()
        assert machine.readings == 1


PACKAGE = """\
Package: linux-image-1.2-artificial
Version: 1.2-1
Architecture: all
Maintainer: nobody
Size: 1
Filename: ./a.deb
"""


@needs_root
class TestFetching:
    """The real apt, on folders of its own."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        with TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            for each in ("lists/partial", "cache", "parts", "archive", "state"):
                (folder / each).mkdir(parents=True)
            (folder / "archive" / "Packages").write_text(PACKAGE)
            (folder / "sources.list").write_text(f"deb [trusted=yes] copy:{folder}/archive ./\n")
            (folder / "apt.conf").write_text(
                f'Dir::State::lists "{folder}/lists";\nDir::Cache "{folder}/cache";\n'
                f'Dir::Etc::SourceList "{folder}/sources.list";\nDir::Etc::SourceParts "{folder}/parts";\n'
            )
            yield folder

    def sent(self, folder: Path, text: str) -> subprocess.CompletedProcess[str]:
        moved = text.replace(STATE, f"{folder}/state").replace(RUN, f"{folder}/run")
        environment = os.environ | {"APT_CONFIG": str(folder / "apt.conf")}
        return subprocess.run(["sh", "-s"], input=moved, capture_output=True, text=True, env=environment, check=False)

    def reading(self, folder: Path) -> Snapshot:
        return parse(self.sent(folder, probe_program(globs=["linux-image-*-artificial"])).stdout)

    def test_no_lists_is_told_apart_from_nothing_offered(self, folder: Path) -> None:
        before = self.reading(folder)
        assert (before.offers, before.hidden) == ({}, {"offers": "no package lists are there"})
        fetched = self.sent(folder, program(apt.update()))
        assert fetched.returncode == 0, fetched.stderr
        after = self.reading(folder)
        assert (after.offers, after.hidden) == ({"linux-image-1.2-artificial": ("1.2-1",)}, {})

    def test_an_archive_that_does_not_answer_is_told(self, folder: Path) -> None:
        (folder / "archive" / "Packages").unlink()
        fetched = self.sent(folder, program(apt.update()))
        assert fetched.returncode != 0
        assert "Packages" in fetched.stderr

    def test_a_node_that_names_no_source_is_told(self, folder: Path) -> None:
        (folder / "sources.list").write_text("")
        fetched = self.sent(folder, program(apt.update()))
        assert (fetched.returncode, fetched.stderr) == (
            1, "no source of packages is declared on this node, or none of them has any\n",
        )  # fmt: skip
