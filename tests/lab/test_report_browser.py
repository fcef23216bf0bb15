"""The report in a real browser: readable on a phone and on a desk, light and dark.

The page runs no script and allows none, so it stands unchanged in frames of a page that measures it.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from provision.cli.report import write_report
from provision.report import Declared

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RUN = Path(__file__).parents[1] / "unit" / "data" / "run-debian13"

PHONE, DESK = 390, 1200
READABLE = 4.5
"""Least contrast of text (WCAG 2.1, 1.4.3, level AA)."""

LONG = "x" * 3000

MEASURE = """
function luminance(colour) {
  const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3)
    .map(n => n / 255).map(n => n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function clear(colour) { return /^rgba\\(.*, 0\\)$/.test(colour); }
function behind(view, element) {
  for (let e = element; e; e = e.parentElement) {
    const colour = view.getComputedStyle(e).backgroundColor;
    if (!clear(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
}
function contrast(view, element) {
  const [dark, light] = [view.getComputedStyle(element).color, behind(view, element)].map(luminance).sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}
function measured(frame) {
  const view = frame.contentWindow, page = frame.contentDocument, width = view.innerWidth;
  const texts = [...page.body.querySelectorAll("*")].filter(
    e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length);
  return {
    width: page.scrollingElement.scrollWidth, window: width,
    wide: [...page.body.querySelectorAll("*")].filter(e => !e.closest(".scroll table") && e.getBoundingClientRect().right > width + 1)
      .map(e => e.outerHTML.slice(0, 100)),
    paper: luminance(view.getComputedStyle(page.body).backgroundColor),
    faint: texts.map(e => [contrast(view, e), e.textContent.trim().slice(0, 40)]).filter(([c]) => c < LEAST),
    texts: texts.length,
    small: texts.filter(e => parseFloat(view.getComputedStyle(e).fontSize) < 11).map(e => e.textContent.trim().slice(0, 40)),
    words: page.body.innerText,
  };
}
window.onload = () => {
  const told = [...document.querySelectorAll("iframe")].map(measured);
  document.body.innerHTML = "<pre id=told></pre>";
  document.getElementById("told").textContent = JSON.stringify(told);
};
"""

LOOKS = [(PHONE, "light"), (PHONE, "dark"), (DESK, "light"), (DESK, "dark")]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def look(page: str, folder: Path) -> list[dict[str, Any]]:
    """What each look of LOOKS measures. A frame has its own width, and the colours of the element that holds it."""
    frames = "".join(
        f'<iframe style="border:0;height:800px;width:{width}px;color-scheme:{scheme}" srcdoc="{html.escape(page)}"></iframe>'
        for width, scheme in LOOKS
    )
    wrapper = folder / "looks.html"
    wrapper.write_text(
        f"<!DOCTYPE html><meta charset=utf-8><body>{frames}<script>const LEAST = {READABLE};{MEASURE}</script>"
    )
    assert CHROMIUM is not None
    seen = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'browser'}", "--dump-dom", f"file://{wrapper}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told = re.search(r'<pre id="told">(.*?)</pre>', seen.stdout, re.DOTALL)
    assert told is not None, seen.stdout[:500] + seen.stderr[-1000:]
    found: list[dict[str, Any]] = json.loads(html.unescape(told[1]))
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(RUN, folder / "run")
    return write_report(folder / "run", declared()).read_text()


def declared() -> Declared:
    found = Declared.of(RUN)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def looks(page: str, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], dict[str, Any]]:
    return dict(zip(LOOKS, look(page, tmp_path_factory.mktemp("looks")), strict=True))


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_nothing_is_wider_than_the_window(looks: dict[Any, dict[str, Any]], width: int, scheme: str) -> None:
    seen = looks[width, scheme]
    assert seen["window"] == width
    assert seen["width"] <= width
    assert seen["wide"] == []


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_text_can_be_read(looks: dict[Any, dict[str, Any]], width: int, scheme: str) -> None:
    seen = looks[width, scheme]
    assert seen["texts"] > 200
    assert seen["faint"] == []
    assert seen["small"] == []


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_dark_is_dark_and_light_is_light(looks: dict[Any, dict[str, Any]], width: int) -> None:
    assert looks[width, "dark"]["paper"] < 0.05
    assert looks[width, "light"]["paper"] > 0.9


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_resource_and_version_is_seen(looks: dict[Any, dict[str, Any]], width: int, scheme: str) -> None:
    words = looks[width, scheme]["words"]
    (planned,) = declared().nodes.values()
    for entry in planned.plan.entries:
        assert entry.name in words
    for choice in planned.stack.choices.values():
        assert choice.version in words


def test_a_word_without_end_breaks_and_a_script_stays_text(page: str, tmp_path: Path) -> None:
    harmful = f"{LONG}<script>document.body.innerHTML = 'gone'</script>"
    evidence = "libcuda, NVML and the modules are "
    folder = tmp_path / "run"
    shutil.copytree(RUN, folder)
    for file in ("verify.json", "gpu1.after.json"):
        text = (folder / file).read_text()
        assert evidence in text
        (folder / file).write_text(text.replace(evidence, harmful))
    for seen in look(write_report(folder, declared()).read_text(), tmp_path):
        assert seen["width"] <= seen["window"]
        assert harmful in seen["words"]
