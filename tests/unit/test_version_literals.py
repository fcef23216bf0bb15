"""Versions are resolved, never typed: outside the catalog no text of the program names one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.catalog import load

HOME = Path(__file__).parents[2]
PROGRAM = sorted([*HOME.glob("provision/**/*.py"), *HOME.glob("roles/**/*.py"), *HOME.glob("tests/lab/**/*.py")])
SCRIPTS = sorted([*HOME.glob("provision/**/*.sh"), *HOME.glob("tests/lab/**/*.sh")])

ADDRESS = re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b")
VERSION = re.compile(
    r"""(?<![\w.])(?:
        [3-9]\d\d\.\d{2,3}(?:\.\d{2})?        # a driver, 3 digits first
      | \d+\.\d+\.\d+(?:[-+~]\w[\w.+~-]*)?    # anything of three parts: kernels, toolkits, packages
    )(?!\w)""",
    re.VERBOSE,
)
EXAMPLES = HOME / "provision/model/spec.py"
"""Tells a person what a pin looks like."""


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and value of every string, but for documentation: what is said of a version there is its source."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {
        id(statement.value)
        for node in ast.walk(tree)
        for statement in (node.body if isinstance(getattr(node, "body", None), list) else [])  # type: ignore[attr-defined]
        if isinstance(statement, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.lineno, node.value


def versions(text: str) -> list[str]:
    return VERSION.findall(ADDRESS.sub("", text))


@pytest.mark.parametrize("path", [path for path in PROGRAM if path != EXAMPLES], ids=lambda p: str(p.relative_to(HOME)))
def test_no_text_of_the_program_names_a_version(path: Path) -> None:
    assert {line: found for line, text in texts(path) if (found := versions(text))} == {}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(HOME)))
def test_no_command_of_a_script_names_a_version(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert {n: found for n, line in enumerate(lines, 1) if (found := versions(line.partition("#")[0]))} == {}


def test_the_pattern_knows_the_versions_of_the_catalog() -> None:
    """What the tests above look for is what the catalog holds: drivers, toolkits, kernels."""
    catalog = load()
    known = [
        *(branch.newest for branch in catalog.driver_branches),
        *(toolkit.id for toolkit in catalog.cuda_toolkits),
        *(release for kernel in catalog.kernels for release in kernel.releases),
    ]
    assert [version for version in known if not versions(f"apt-get install 'something={version}'")] == []


@pytest.mark.parametrize("text", ["127.0.0.1", "the driver's newest version", "page size 65536", "/proc/1/fd"])
def test_what_is_no_version_is_let_through(text: str) -> None:
    assert versions(text) == []
