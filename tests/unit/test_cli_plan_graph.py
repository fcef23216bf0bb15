"""`provision plan --graph`: a picture that holds the whole plan, in order, within its frame."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from typer.testing import CliRunner

from provision.cli.main import app
from provision.cli.plan import planned
from provision.cli.plan_graph import picture
from provision.cli.plan_view import Group
from provision.inventory import read_inventory
from provision.model import Derived
from provision.planning import rooms

ROOT = Path(__file__).parents[2]
GH200 = ROOT / "inventories" / "gh200.py"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def _nothing_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(ROOT)


def group(reboots: str) -> Group:
    specs = {node: spec.model_copy(update={"reboots": reboots}) for node, spec in read_inventory(GH200).items()}
    [found] = planned(specs, rooms()).groups
    return found


@pytest.fixture(params=["single", "staged"])
def drawn(request: pytest.FixtureRequest) -> tuple[Group, Xml.Element]:
    found = group(request.param)
    return found, Xml.fromstring(picture([found]))


def texts(root: Xml.Element, style: str) -> list[tuple[float, float, str]]:
    """x, y and words of every text of a style."""
    return [
        (float(one.attrib["x"]), float(one.attrib["y"]), (one.text or "").strip())
        for one in root.iter(f"{SVG}text")
        if one.attrib["class"].split()[0] == style
    ]


def edges(root: Xml.Element) -> list[str]:
    return [one.attrib["d"] for one in root.iter(f"{SVG}path") if one.attrib["class"] == "edge"]


def test_boots_stand_from_left_to_right(drawn: tuple[Group, Xml.Element]) -> None:
    found, root = drawn
    boots = found.planned.plan.boots
    headings = [(x, words) for x, _, words in texts(root, "heading") if words.startswith("Boot ")]
    assert [words for _, words in sorted(headings)] == [f"Boot {n + 1} of {len(boots)}" for n in range(len(boots))]


def test_every_resource_stands_in_its_boot_in_order(drawn: tuple[Group, Xml.Element]) -> None:
    found, root = drawn
    places = {words: (x, y) for x, y, words in texts(root, "name")}
    columns = []
    for boot in found.planned.plan.boots:
        spots = [places[entry.name] for entry in boot]
        assert len({x for x, _ in spots}) == 1
        assert [y for _, y in spots] == sorted(y for _, y in spots)
        columns.append(spots[0][0])
    assert columns == sorted(columns)


def test_roles_head_their_resources(drawn: tuple[Group, Xml.Element]) -> None:
    found, root = drawn
    assert {words for _, _, words in texts(root, "by")} == {entry.role for entry in found.planned.plan.entries}


def test_every_input_that_is_a_resource_has_its_line(drawn: tuple[Group, Xml.Element]) -> None:
    found, root = drawn
    names = found.planned.plan.by_name
    derived = [e.resource for e in found.planned.plan.entries if isinstance(e.resource, Derived)]
    assert len(edges(root)) == sum(name in names for one in derived for name in one.inputs) > 0


def test_gates_and_derived_have_shapes_of_their_own(drawn: tuple[Group, Xml.Element]) -> None:
    found, root = drawn
    kinds = [entry.resource.kind for entry in found.planned.plan.entries]
    shapes = [(one.tag.removeprefix(SVG), one.attrib.get("class", "")) for one in root.iter()]
    # One of each more: the legend.
    assert shapes.count(("polygon", "mark kind-gate")) == kinds.count("gate") + 1
    assert shapes.count(("circle", "mark kind-derived")) == kinds.count("derived") + 1


def test_versions_stand_with_their_reasons(drawn: tuple[Group, Xml.Element]) -> None:
    found, root = drawn
    choices = found.planned.stack.choices.values()
    assert [words for _, _, words in texts(root, "version")] == [choice.version for choice in choices]
    why = " ".join(words for _, _, words in texts(root, "why"))
    for choice in choices:
        for reason in choice.reasons:
            assert " ".join(reason.text.split()) in why
    assert why.count("(unverified)") == sum(not r.verified for choice in choices for r in choice.reasons)


def test_nothing_leaves_the_frame(drawn: tuple[Group, Xml.Element]) -> None:
    _, root = drawn
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for box in root.iter(f"{SVG}rect"):
        x, y, wide, high = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        assert 0 <= x < x + wide <= width
        assert 0 <= y < y + high <= height
    for one in root.iter(f"{SVG}text"):
        assert 0 < float(one.attrib["y"]) < height


def test_it_follows_the_readers_ground_and_needs_nothing_from_outside(drawn: tuple[Group, Xml.Element]) -> None:
    text = Xml.tostring(drawn[1], encoding="unicode")
    assert "prefers-color-scheme: dark" in text
    assert "href" not in text
    assert "url(" not in text


def test_several_groups_stand_below_each_other() -> None:
    root = Xml.fromstring(picture([group("single"), group("staged")]))
    titles = texts(root, "title")
    assert len(titles) == 2
    assert titles[0][1] < titles[1][1]


def test_words_of_people_are_only_words() -> None:
    found = group("single").model_copy(update={"nodes": ("<script>&",)})
    assert "<script>" not in picture([found])


def test_the_command_writes_the_file_and_prints_nothing(tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    said = CliRunner().invoke(app, ["plan", str(GH200), "--graph", str(path)])
    assert (said.exit_code, said.stdout) == (0, "")
    assert path.read_text() == picture([group("single")])


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["plan", str(GH200), "--graph", str(tmp_path / "nowhere" / "plan.svg")])
    assert said.exit_code == 2
    assert "No such file" in said.stderr
