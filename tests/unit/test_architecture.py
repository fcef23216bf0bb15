"""The order of the rooms: a module imports only from its own room and from rooms below it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import provision

PACKAGE = Path(provision.__file__).parent
TESTS = Path(__file__).parents[1]

ROOMS = (
    "__main__",
    "cli",
    "pyinfra",
    "engines",
    "solver",
    "lab",
    "probe",
    "report",
    "doctor",
    "verify",
    "inventory",
    "ledger",
    "steps",
    "planning",
    "stack",
    "platforms",
    "catalog",
    "model",
)
"""Top first. `pyinfra`, `inventory` and `ledger` are single modules; the first two are what users import."""

MODULES = sorted(path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imported(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, also inside functions and for type checkers."""
    for node in ast.walk(ast.parse((PACKAGE.parent / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from provision import fleet` is the façade; `from provision import lab` would be a room.
            whole = node.module or ""
            yield from (f"{whole}.{alias.name}" for alias in node.names) if whole == "provision" else (whole,)


def forbidden(path: Path) -> list[str]:
    own = room_of(dotted(path))
    return [
        name
        for name in imported(path)
        if (room := room_of(name)) in ROOMS and name.startswith("provision.") and ROOMS.index(room) < ROOMS.index(own)
    ]


@pytest.mark.parametrize("path", [p for p in MODULES if room_of(dotted(p))], ids=dotted)
def test_imports_only_from_rooms_below(path: Path) -> None:
    assert room_of(dotted(path)) in ROOMS, f"{path} stands in a room that the house does not have"
    assert forbidden(path) == []


def test_a_breach_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "provision" / "steps").mkdir(parents=True)
    (tmp_path / "provision/steps/bad.py").write_text("def later():\n    from provision.engines.events import read\n")
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path / "provision")
    assert forbidden(Path("provision/steps/bad.py")) == ["provision.engines.events"]


def test_nothing_but_the_pyinfra_engine_imports_pyinfra() -> None:
    found = {str(path) for path in MODULES for name in imported(path) if name.split(".")[0] == "pyinfra"}
    assert {path for path in found if not path.startswith("provision/engines/pyinfra/")} == set()


def test_no_two_test_files_share_a_name() -> None:
    """pytest imports them by their bare names, and stops at the second."""
    names = Counter(path.name for path in TESTS.glob("*/test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
