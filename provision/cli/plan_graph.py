"""A plan as a picture: versions with reasons, then the boots from left to right, roles and resources in order.

Pure: data in, SVG out. The picture needs nothing beside itself, and is readable on light and dark ground.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple
from xml.etree import ElementTree as Xml

from provision.cli.plan_view import Group, declared, marks, title, what
from provision.model import Choice, Derived, Entry, Limit, Resource

MARGIN = 28
COLUMN = 400
"""Width of a boot, and of the column of versions."""
GUTTER = 64
"""Between two columns: room for what goes across a reboot."""
LANE = 7
"""Between two lines that lead from an input to what derives from it."""
LANES = 8
INSET = 14 + LANE * LANES
"""From a boot's left edge to its resources: the lines of derived resources run there."""
NAMES = 126
"""Width of the names of components."""
LINE = 15
SMALL = 11.5
CHARACTER = 0.52
"""Of the size of the type: a cautious mean width of a sans-serif character."""

STYLE = """
text { font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #1d252c }
.ground { fill: #ffffff }
.boot { fill: #f4f6f8; stroke: #d3d9de }
.role { fill: #ffffff; stroke: #c9d1d8 }
.title { font-size: 18px; font-weight: 700 }
.heading { font-size: 14px; font-weight: 700 }
.name { font-size: 13px; font-weight: 600 }
.note, .why { font-size: 11.5px; font-weight: 400 }
.note, .count { fill: #566370 }
.count { font-size: 11.5px }
.by { font-size: 11.5px; fill: #2f6db0; font-weight: 600 }
.version { font-size: 13px; font-weight: 700; fill: #1f7a3a }
.doubt { fill: #9a5b00 }
.mark { stroke: none }
.kind-packages, .kind-file, .kind-directory, .kind-unit, .kind-boot-entry { fill: #4374b3 }
.kind-derived { fill: #7a52a8 }
.kind-gate { fill: #c07a00 }
.edge { fill: none; stroke: #7a52a8; stroke-width: 1.3; opacity: .75 }
.tip { fill: #7a52a8 }
.reboot { fill: none; stroke: #566370; stroke-width: 2 }
.reboot-tip { fill: #566370 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6ebef }
  .ground { fill: #14191e }
  .boot { fill: #1b2229; stroke: #36424d }
  .role { fill: #222b33; stroke: #3d4a56 }
  .note, .count { fill: #a7b3bd }
  .by { fill: #8ab8ee }
  .version { fill: #74d091 }
  .doubt { fill: #f0b357 }
  .kind-packages, .kind-file, .kind-directory, .kind-unit, .kind-boot-entry { fill: #7fb0ea }
  .kind-derived { fill: #c3a1ea }
  .kind-gate { fill: #f0b357 }
  .edge { stroke: #c3a1ea }
  .tip { fill: #c3a1ea }
  .reboot { stroke: #a7b3bd }
  .reboot-tip { fill: #a7b3bd }
}
"""

LEGEND = (
    ("packages", "state: packages, file, unit, boot entry"),
    ("derived", "derived from what its lines lead to"),
    ("gate", "gate: must hold before the plan goes on"),
)


class Spot(NamedTuple):
    """Where a resource stands: the middle of its mark."""

    x: float
    y: float
    boot: int


class Drawn(NamedTuple):
    """A part of the picture and how far down it reaches."""

    parts: list[Xml.Element]
    bottom: float


def picture(groups: Iterable[Group]) -> str:
    """The plans of these groups, one below the other, as an SVG document."""
    each = tuple(groups)
    columns = max((1 + len(group.planned.plan.boots) for group in each), default=1)
    width = 2 * MARGIN + columns * COLUMN + (columns - 1) * GUTTER
    body: list[Xml.Element] = []
    y: float = MARGIN
    for group in each:
        parts, bottom = _group(group, y)
        body += parts
        y = bottom + 2 * MARGIN
    height = max(y - MARGIN, 3 * MARGIN)
    names = "; ".join(title(group.nodes) for group in each)
    root = Xml.Element("svg", {
        "xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {height:.0f}",
        "width": str(width), "height": f"{height:.0f}", "role": "img",
    })  # fmt: skip
    Xml.SubElement(root, "title").text = f"The plan of {names}" if each else "No plan"
    Xml.SubElement(root, "style").text = STYLE
    root.append(_rect("ground", 0, 0, width, height, radius=0))
    root.extend(body)
    Xml.indent(root, " ")
    return Xml.tostring(root, encoding="unicode") + "\n"


def _group(group: Group, top: float) -> Drawn:
    planned = group.planned
    parts = [
        _text("title", MARGIN, top + 16, title(group.nodes)),
        _text("note", MARGIN, top + 36, declared(planned.spec)),
    ]
    parts += _legend(MARGIN, top + 58)
    start = top + 80
    versions, bottom = _versions(planned.stack.choices.values(), planned.stack.warnings, start)
    parts += versions
    spots: dict[str, Spot] = {}
    bottoms = [bottom]
    frames: list[Xml.Element] = []
    for number, boot in enumerate(planned.plan.boots):
        x = MARGIN + (number + 1) * (COLUMN + GUTTER)
        drawn, end = _boot(boot, number, len(planned.plan.boots), x, start, group.limits, spots)
        bottoms.append(end)
        parts += drawn
    bottom = max(bottoms)
    for number in range(len(planned.plan.boots)):
        x = MARGIN + (number + 1) * (COLUMN + GUTTER)
        frames.append(_rect("boot", x, start, COLUMN, bottom - start))
        if number:
            parts += _reboot(x - GUTTER, start + 22)
    return Drawn([*frames, *parts, *_edges(planned.plan.entries, spots)], bottom)


def _legend(x: float, y: float) -> list[Xml.Element]:
    parts: list[Xml.Element] = []
    for kind, words in LEGEND:
        parts += [_mark(kind, x + 5, y - 4), _text("note", x + 16, y, words)]
        x += 16 + _width(words, SMALL) + 28
    return parts


def _versions(choices: Iterable[Choice], warnings: Sequence[str], top: float) -> Drawn:
    parts = [_text("heading", MARGIN, top + 22, "Versions, and why")]
    y = top + 50
    for choice in choices:
        parts.append(_text("name", MARGIN, y, choice.component))
        parts.append(_text("version", MARGIN + NAMES, y, choice.version))
        y += LINE + 2
        for reason in choice.reasons:
            text = reason.text if reason.verified else f"{reason.text} (unverified)"
            style = "why" if reason.verified else "why doubt"
            for line in _lines(text, COLUMN - 12, SMALL):
                parts.append(_text(style, MARGIN + 12, y, line))
                Xml.SubElement(parts[-1], "title").text = f"{reason.source} {reason.fact}".strip()
                y += LINE
            y += 2
        y += 8
    if warnings:
        parts.append(_text("heading", MARGIN, y + 6, "Warnings"))
        y += 30
        for warning in warnings:
            for line in _lines(warning, COLUMN - 12, SMALL):
                parts.append(_text("why doubt", MARGIN + 12, y, line))
                y += LINE
            y += 4
    return Drawn(parts, y)


def _boot(  # noqa: PLR0913, PLR0917 - a place, and what stands there
    boot: Sequence[Entry], number: int, count: int, x: float, top: float, limits: frozenset[Limit],
    spots: dict[str, Spot],
) -> Drawn:  # fmt: skip
    parts = [_text("heading", x + 14, top + 22, f"Boot {number + 1} of {count}")]
    parts.append(_text("count", x + COLUMN - 14, top + 22, f"{len(boot)} resources", anchor="end"))
    y = top + 38
    for role, members in groupby(boot, key=lambda entry: entry.role):
        begun = y
        y += 20
        inside = [_text("by", x + INSET - 4, y, role)]
        y += 8
        for entry in members:
            spots[entry.name] = Spot(x + INSET, y + 8, number)
            drawn, y = _resource(entry.resource, x + INSET, y, COLUMN - INSET - 24, limits)
            inside += drawn
        y += 4
        parts += [_rect("role", x + INSET - 16, begun, COLUMN - INSET + 4, y - begun, radius=6), *inside]
        y += 10
    return Drawn(parts, y + 6)


def _resource(resource: Resource, x: float, y: float, width: float, limits: frozenset[Limit]) -> Drawn:
    name = _text("name", x + 14, y + 12, resource.name)
    if marked := marks(resource, limits):
        mark = Xml.SubElement(name, "tspan", {"class": "note doubt", "dx": "10"})
        mark.text = marked
    parts = [_mark(resource.kind, x, y + 8), name]
    y += 12
    for line in _lines(what(resource), width, SMALL):
        y += LINE
        parts.append(_text("note", x + 14, y, line))
    return Drawn(parts, y + 10)


def _edges(entries: Iterable[Entry], spots: Mapping[str, Spot]) -> Iterator[Xml.Element]:
    """One line from every input to what derives from it; the longer it is within its boot, the further out it runs."""
    lanes: dict[int, list[tuple[float, float]]] = {}
    pairs = [
        (spots[source], spots[entry.name])
        for entry in entries
        if isinstance(entry.resource, Derived)
        for source in entry.resource.inputs
        if source in spots
    ]
    for source, target in sorted(pairs, key=lambda pair: abs(pair[1].y - pair[0].y)):
        if source.boot != target.boot:
            yield from _across(source, target)
            continue
        lane = _free_lane(lanes, source, target)
        x = source.x - 8 - 8 - LANE * (lane + 1)
        path = (
            f"M{source.x - 7:.1f} {source.y:.1f} H{x + 5:.1f} Q{x:.1f} {source.y:.1f} {x:.1f} {source.y + 5:.1f} "
            f"V{target.y - 5:.1f} Q{x:.1f} {target.y:.1f} {x + 5:.1f} {target.y:.1f} H{target.x - 10:.1f}"
        )
        yield _element("path", "edge", d=path)
        yield _tip("tip", target.x - 6, target.y)


def _across(source: Spot, target: Spot) -> Iterator[Xml.Element]:
    begin, end = source.x + COLUMN - INSET - 14, target.x - 6
    middle = target.x - INSET - GUTTER / 2
    bend = f"C{middle:.1f} {source.y:.1f} {middle:.1f} {target.y:.1f} {end - 4:.1f} {target.y:.1f}"
    path = f"M{begin:.1f} {source.y:.1f} {bend}"
    yield _element("path", "edge", d=path)
    yield _tip("tip", end, target.y)


def _free_lane(lanes: dict[int, list[tuple[float, float]]], source: Spot, target: Spot) -> int:
    """The innermost lane on which nothing runs beside this line; the last one is shared."""
    key = source.boot * LANES
    for lane in range(LANES):
        taken = lanes.setdefault(key + lane, [])
        # Lines into one target may share its lane: they mean the same.
        if all(end < source.y or target.y < begin or end == target.y for begin, end in taken):
            taken.append((source.y, target.y))
            return lane
    return LANES - 1


def _reboot(x: float, y: float) -> list[Xml.Element]:
    return [
        _text("count", x + GUTTER / 2, y - 10, "reboot", anchor="middle"),
        _element("path", "reboot", d=f"M{x + 8:.1f} {y} H{x + GUTTER - 16:.1f}"),
        _tip("reboot-tip", x + GUTTER - 8, y, size=9),
    ]


def _mark(kind: str, x: float, y: float) -> Xml.Element:
    """A shape for each sort of resource, so that no one needs the colours to tell them apart."""
    if kind == "gate":
        points = f"{x},{y - 6} {x + 6},{y} {x},{y + 6} {x - 6},{y}"
        return _element("polygon", f"mark kind-{kind}", points=points)
    if kind == "derived":
        return _element("circle", f"mark kind-{kind}", cx=f"{x}", cy=f"{y}", r="5")
    return _element("rect", f"mark kind-{kind}", x=f"{x - 5}", y=f"{y - 5}", width="10", height="10", rx="2")


def _tip(style: str, x: float, y: float, size: float = 6) -> Xml.Element:
    points = f"{x:.1f},{y:.1f} {x - size:.1f},{y - size / 2:.1f} {x - size:.1f},{y + size / 2:.1f}"
    return _element("polygon", style, points=points)


def _lines(text: str, width: float, size: float) -> list[str]:
    return textwrap.wrap(text, max(12, int(width / (size * CHARACTER))), break_on_hyphens=False)


def _width(text: str, size: float) -> float:
    return len(text) * size * CHARACTER


def _text(style: str, x: float, y: float, text: str, anchor: str = "start") -> Xml.Element:
    element = _element("text", style, x=f"{x:.1f}", y=f"{y:.1f}")
    if anchor != "start":
        element.set("text-anchor", anchor)
    element.text = text
    return element


def _rect(style: str, x: float, y: float, width: float, height: float, radius: float = 10) -> Xml.Element:  # noqa: PLR0913, PLR0917 - a place and a size
    size = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}"}
    return _element("rect", style, **size, rx=f"{radius}")


def _element(tag: str, style: str, **attributes: str) -> Xml.Element:
    return Xml.Element(tag, {"class": style, **attributes})
