"""ansible-lint in its strictest profile, with nothing skipped and no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from copies import HOME, copy

pytest.importorskip("ansiblelint", reason="ansible-lint is not installed: it comes with the extra dev")


@pytest.fixture
def collection(collection: Path) -> Path:
    """With what is beside it in this checkout."""
    copy((".ansible-lint", "molecule", "site.yml"), collection)
    return collection


def lint(collection: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # It looks for Ansible's programs in the PATH.
    path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "ansiblelint"],
        cwd=collection,
        env=environment | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_found(collection: Path, environment: dict[str, str]) -> None:
    done = lint(collection, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failure(s), 0 warning(s)" in done.stderr
    assert "Profile 'production' was required, and it passed" in done.stderr


def test_nothing_is_skipped(collection: Path) -> None:
    texts = [path.read_text() for path in collection.rglob("*.yml")]
    assert len(texts) > 20
    assert [text for text in texts if "noqa" in text or "skip_ansible_lint" in text] == []
    assert [*HOME.glob(".ansible-lint-ignore"), *HOME.glob(".config/ansible-lint*")] == []
    settings = yaml.safe_load((HOME / ".ansible-lint").read_text())
    assert set(settings) == {"profile", "offline", "strict", "exclude_paths"}
    assert settings["exclude_paths"] == ["ansible_collections/", "benchmarks/", "docs/", "provision/", "tests/"]


def test_faults_would_be_found(collection: Path, environment: dict[str, str]) -> None:
    tasks = collection / "roles" / "preflight" / "tasks" / "main.yml"
    tasks.write_text(tasks.read_text() + "- name: seeded\n  shell: ls\n")
    galaxy = collection / "galaxy.yml"
    galaxy.write_text("".join(line for line in galaxy.read_text().splitlines(True) if "repository:" not in line))
    done = lint(collection, environment)
    assert done.returncode == 2, done.stdout + done.stderr
    for rule in ("fqcn[action-core]", "name[casing]", "no-changed-when", "galaxy[no-repository]"):
        assert rule in done.stdout
