"""`--full`: a question about one resource alone is the same question as in the reading of the whole node."""

from __future__ import annotations

from pathlib import Path
from shlex import split
from types import SimpleNamespace

import pytest
from samples import carried_out, machine, plan

from provision.engines.pyinfra.classic import alone, is_asked_for
from provision.inventory import read_inventory
from provision.model import BootEntry, Derived, Entry, File, Gate, Plan
from provision.planning import assemble, rooms
from provision.probe import fingerprint
from provision.probe.program import questions
from provision.steps import desired, difference

INVENTORY = Path(__file__).parents[2] / "inventories" / "gh200.py"
GH200 = assemble(next(iter(read_inventory(INVENTORY).values())), rooms()).plan

FILE = File(name="settings", path="/etc/x.conf", content="one\n")
OTHER = File(name="other", path="/etc/y.conf", content="two\n")
MADE = Derived(name="made", inputs=("settings",), command="true")
MADE_OF_IT = Derived(name="made-of-it", inputs=("made", "/etc/z"), command="true")
CHAIN = plan([OTHER, FILE, MADE], [MADE_OF_IT])


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("other", ["other"]),
        ("settings", ["settings"]),
        ("made", ["settings", "made"]),
        ("made-of-it", ["settings", "made", "made-of-it"]),
    ],
)
def test_it_needs_what_the_resource_derives_from_and_nothing_else(name: str, kept: list[str]) -> None:
    assert [entry.name for entry in alone(CHAIN, name).entries] == kept


@pytest.mark.parametrize("entry", GH200.entries, ids=lambda entry: entry.name)
def test_every_resource_of_a_real_plan_is_asked_for_as_in_the_whole(entry: Entry) -> None:
    cut = alone(GH200, entry.name)
    resource = entry.resource
    if isinstance(resource, Derived):
        assert desired(cut, resource) == desired(GH200, resource)
        assert fingerprint(cut, resource) == fingerprint(GH200, resource)
    assert _asked(cut) <= _asked(GH200)
    assert bool(questions(cut)) == _has_a_question(cut)


def _asked(cut: Plan) -> set[str]:
    """Each question by itself, whatever it is asked together with; what is behind a `print` is the fingerprint."""
    asked: set[str] = set()
    for line in questions(cut):
        verb, _, rest = line.partition(" ")
        if verb in {"files", "folders", "units"}:
            asked |= {f"{verb} {name}" for name in split(rest)}
        elif verb == "print":
            asked.add(f"print {rest.split()[0]}")
        elif verb in {"gate", "made"}:
            asked.add(line)
    return asked


def _has_a_question(cut: Plan) -> bool:
    """A precondition has none, and which kernel starts by default, without words of ours, every probe reads."""
    return not all(
        (isinstance(e.resource, BootEntry) and not e.resource.words)
        or (isinstance(e.resource, Gate) and e.resource.precondition)
        for e in cut.entries
    )


def test_a_node_that_was_asked_about_one_resource_alone_is_judged_by_the_whole_plan() -> None:
    answer = carried_out(CHAIN, MADE, carried_out(CHAIN, FILE, machine()))
    assert difference(CHAIN, MADE, answer) == ""
    assert difference(CHAIN, OTHER, answer) == "/etc/y.conf is missing"


@pytest.mark.parametrize(("data", "asked"), [({}, False), ({"full": True}, True), ({"full": False}, False)])
def test_who_asks_for_it(data: dict[str, bool], asked: bool) -> None:
    assert is_asked_for(SimpleNamespace(data=data)) is asked


def test_neither_true_nor_false_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        is_asked_for(SimpleNamespace(data={"full": "yes"}))
    assert ended.value.code == 2
    assert "full=yes" in capsys.readouterr().err
