"""`provision plan`: what a person reads before anything is changed."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from samples import SETTINGS
from typer.testing import CliRunner

from provision.cli.main import app
from provision.cli.plan import planned as outcome
from provision.cli.plan_view import Group, marks, show, what
from provision.inventory import read_inventory
from provision.ledger import Reading
from provision.model import (
    BootEntry,
    Derived,
    Directory,
    File,
    Gate,
    NodeSpec,
    Package,
    Packages,
    Resource,
    Snapshot,
    Unit,
)
from provision.planning import rooms
from provision.platforms import platform_for

ROOT = Path(__file__).parents[2]
GH200 = ROOT / "inventories" / "gh200.py"
LAB = ROOT / "inventories" / "lab.py"
OFFERS = json.loads((Path(__file__).parent / "data" / "offers-trixie-amd64.json").read_text())

DEBIAN = """
from provision import fleet
lab = fleet({hosts!r}, os="debian13", arch="x86_64", gpu="H100", hardware="absent", {keys})
"""


@pytest.fixture(autouse=True)
def _nothing_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(ROOT)


def inventory(folder: Path, hosts: list[object], keys: str = "") -> Path:
    path = folder / "fleet.py"
    path.write_text(DEBIAN.format(hosts=hosts, keys=keys))
    return path


def planned(path: Path) -> list[Group]:
    return list(outcome(read_inventory(path), rooms()).groups)


def shown(found: list[Group], width: int = 100, terminal: bool = False) -> str:
    out = io.StringIO()
    show(found, Console(file=out, width=width, force_terminal=terminal, highlight=False))
    return out.getvalue()


def read_once(node: str) -> Snapshot:
    offers = {name: tuple(versions) for name, versions in OFFERS["offers"].items()} if "offers" in OFFERS else OFFERS
    asked = platform_for("debian13", "x86_64").offered_names(NodeSpec(os="debian13", arch="x86_64"))
    snapshot = Snapshot(
        os="debian13", arch="x86_64", machine_id="m", boot_id="b", kernel="1.0.0-artificial", page_size=4096, lab=True,
        limits=frozenset({"boot", "hardware"}), offers=offers, asked=asked,
    )  # fmt: skip
    Reading(node).save(snapshot)
    return snapshot


def test_the_plan_of_real_machines_needs_no_machine() -> None:
    said = CliRunner().invoke(app, ["plan", str(GH200)])
    assert said.exit_code == 0
    assert "gh200-01, gh200-02" in said.stdout
    assert "the archive of these nodes was not asked yet" in said.stdout


def test_every_resource_stands_in_it_in_order() -> None:
    [group] = planned(GH200)
    text = shown([group])
    places = [text.index(f"    {entry.name} ") for entry in group.planned.plan.entries]
    assert places == sorted(places)
    assert sum(line.startswith("Boot ") for line in text.splitlines()) == len(group.planned.plan.boots)


def test_every_version_has_its_reasons_and_every_source_is_named_once() -> None:
    [group] = planned(GH200)
    text = shown([group], width=5000)
    for choice in group.planned.stack.choices.values():
        for reason in choice.reasons:
            assert reason.text in text
            assert len(re.findall(rf"\]  +{re.escape(reason.source)}$", text, re.MULTILINE)) == 1
            line = next(
                line
                for line in text.splitlines()
                if (reason.text in line and choice.component in line) or reason.text in line
            )
            assert ("unverified" in line) or reason.verified


def test_identical_nodes_are_one_group_and_others_are_not(tmp_path: Path) -> None:
    found = planned(inventory(tmp_path, ["a", ("b", {"reboots": "staged"}), "c"]))
    assert [group.nodes for group in found] == [("a", "c"), ("b",)]


def test_versions_come_from_what_the_node_offered_once_it_was_read(tmp_path: Path) -> None:
    path = inventory(tmp_path, ["a", "b"])
    read_once("a")
    first, second = planned(path)
    assert (first.nodes, second.nodes) == (("a",), ("b",))
    assert first.reading is not None
    assert "offered when first read" in shown([first])
    assert "from the catalog alone" in shown([second])


def test_a_reading_of_another_kind_of_machine_does_not_count(tmp_path: Path) -> None:
    Reading("a").save(read_once("a").model_copy(update={"os": "debian12"}))
    [group] = planned(inventory(tmp_path, ["a"]))
    assert group.reading is None


def test_what_the_node_cannot_hold_is_marked(tmp_path: Path) -> None:
    [group] = planned(inventory(tmp_path, ["a"]))
    assert group.limits == {"hardware"}
    assert "(not applicable: hardware)" in shown([group])
    read_once("a")
    [group] = planned(inventory(tmp_path, ["a"]))
    assert group.limits == {"boot", "hardware"}
    assert "(not applicable: boot)" in shown([group])


def test_a_narrow_terminal_is_not_overrun() -> None:
    lines = shown(planned(GH200), width=60).splitlines()
    assert max(map(len, lines)) <= 60


def test_nothing_but_text_goes_into_a_pipe() -> None:
    text = shown(planned(GH200), width=10_000)
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_limit_names_nodes() -> None:
    said = CliRunner().invoke(app, ["plan", str(GH200), "--limit", "gh200-02"])
    assert said.stdout.startswith("gh200-02\n")


def test_what_fits_is_shown_though_another_node_fits_nothing(tmp_path: Path) -> None:
    path = inventory(tmp_path, ["a", ("b", {"driver": "9999999"}), "c"])
    said = CliRunner().invoke(app, ["plan", str(path)])
    assert said.exit_code == 2
    assert said.stdout.startswith("a, c\n")
    assert said.stderr.startswith("b: ")
    assert len(said.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        pytest.param('kernel="0.0.0-artificial"', ["0.0.0-artificial", "nothing fits"], id="pin that nothing fits"),
        pytest.param('drivr="1"', ["drivr", "driver"], id="misspelt key"),
        pytest.param("preflight_root_mib=-1", ["preflight_root_mib"], id="variable out of range"),
    ],
)
def test_wrong_input_is_told_with_exit_code_2(tmp_path: Path, keys: str, words: list[str]) -> None:
    said = CliRunner().invoke(app, ["plan", str(inventory(tmp_path, ["a"], keys))])
    assert said.exit_code == 2
    assert said.stdout == ""
    assert len(said.stderr.splitlines()) == 1
    for word in words:
        assert word in said.stderr


SETTINGS_IN_WORDS = (
    "https://example.org/apt stable main",
    "/srv/it's leads to ../some where",
    "/usr/bin/tool leads to /opt/tool",
    "KEY in /etc/default/x",
    "a.b.c, e in /etc/x.json",
    "quiet init_on_alloc=0",
    "a-b loaded at boot: o=1",
    "rival kept out: modeset=0",
    "own a=1;2",
    "net.ipv4.tcp_rmem=1 2 3",
    "group people",
    "user daemon-user in people, video",
    "/opt/it's a tool from https://example.org/tool-1.tar.gz",
    "power-limit=600 on every GPU",
    "compute-mode=exclusive-process on every GPU",
    "the key is enrolled",
)
GATE = Gate(name="g", test="true", expect="it holds", remedy="-", needs=("boot",), boot_scoped=True)
PACKAGES = Packages(name="p", packages=(Package(name="one"), Package(name="two", version="1.*")), hold=True)
FILE = File(name="f", path="/etc/f", content="x", boot_scoped=True)


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        (PACKAGES, "one, two=1.*; held"),
        (FILE, "/etc/f (644)"),
        (Directory(name="d", path="/srv", mode="700"), "/srv (700)"),
        (Unit(name="u", unit="x.service", running=False), "x.service enabled, stopped"),
        (BootEntry(name="b", release="1.0.0-artificial"), "1.0.0-artificial starts by default"),
        (Derived(name="r", inputs=("p", "/etc/f"), command="true"), "from p, /etc/f"),
        (GATE, "it holds"),
        *zip(SETTINGS, SETTINGS_IN_WORDS, strict=True),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_each_kind_in_one_line(resource: Resource, words: str) -> None:
    assert what(resource) == words


def test_marks() -> None:
    assert marks(FILE, frozenset()) == "takes a reboot"
    assert marks(PACKAGES, frozenset({"boot"})) == ""
    assert marks(GATE, frozenset()) == ""
    assert marks(GATE, frozenset({"boot"})) == "not applicable: boot"
