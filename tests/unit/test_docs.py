"""The pages say what is so: what is generated is fresh, what is linked exists, the figure is whole."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

from provision.planning import rooms

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_plan_in_the_readme_is_what_the_tool_prints() -> None:
    renewed = runpy.run_path(str(ROOT / "scripts" / "readme_plan.py"))["renewed"]
    assert README.read_text() == renewed(README.read_text()), "stale: run `make docs`"


def test_a_stale_plan_would_be_seen() -> None:
    renewed = runpy.run_path(str(ROOT / "scripts" / "readme_plan.py"))["renewed"]
    page = README.read_text()
    assert renewed(page.replace("preflight-space", "preflight-place")) == renewed(page)
    assert "preflight-place" not in renewed(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor[1:] in anchors(target), anchor


def test_every_role_of_ours_is_on_the_node_that_the_readme_shows() -> None:
    plan = README.read_text().partition("Boot 1 of")[2]
    for name in rooms((ROOT / "roles",)):
        assert f"\n  {name}\n" in plan


def test_the_figure_is_well_formed_and_keeps_within_its_frame() -> None:
    figure = ElementTree.parse(ROOT / "docs" / "way-of-data.svg").getroot()
    width, height = (float(figure.attrib[side]) for side in ("width", "height"))
    boxes = figure.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(boxes) > 10
    for box in boxes:
        x, y, wide, high = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        assert 0 <= x < x + wide <= width
        assert 0 <= y < y + high <= height
