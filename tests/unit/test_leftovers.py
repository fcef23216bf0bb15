"""What an earlier plan told apt, and this one does not, is taken away; what a person wrote stays."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from golden_plans import SHIPPED
from samples import signing_key

from provision.catalog import load
from provision.model import Derived, Gate, NodeSpec, Plan
from provision.planning import assemble, build, instance, rooms
from provision.planning.leftovers import without_leftovers
from provision.planning.role import Context
from provision.platforms import leftovers, platform_for, ready
from provision.stack import resolve

PLATFORM = platform_for("debian13", "x86_64")
SPEC = {"os": "debian13", "arch": "x86_64", "gpu": "H100", "features": ["rdma"]}
KEY = signing_key("vendor")
WITH_KEY = {"variables": {"doca_ofed": {"key": KEY.armour, "key_fingerprints": list(KEY.fingerprints)}}}


def plan(**more: object) -> Plan:
    return assemble(NodeSpec.model_validate({**SPEC, **more}), rooms([SHIPPED])).plan


def program(made: Plan, name: str) -> str:
    resource = made.by_name[name].resource
    assert isinstance(resource, (Derived, Gate))
    return resource.command if isinstance(resource, Derived) else resource.test


def run(root: Path, text: str) -> subprocess.CompletedProcess[str]:
    text = text.replace("/etc/apt/", f"{root}/etc/apt/")
    return subprocess.run(["sh", "-euc", text], capture_output=True, text=True, check=False)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """As a plan with a repository, and other pins, left it."""
    files = {
        "sources.list.d/provision-ofed-repository.sources": "ours",
        "sources.list.d/provision-retired.sources": "ours",
        "sources.list.d/vendor.sources": "theirs",
        "keyrings/provision-ofed-repository.asc": "ours",
        "preferences.d/provision-kernel": "ours",
        "preferences.d/provision-ofed": "ours",
        "preferences.d/provision-of-old": "ours",
        "preferences.d/theirs": "theirs",
    }
    for name, text in files.items():
        path = tmp_path / "etc/apt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def there(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("more", "gone"),
    [
        (WITH_KEY, {"provision-retired.sources", "provision-of-old"}),
        (
            {},
            {
                "provision-retired.sources",
                "provision-of-old",
                "provision-ofed-repository.sources",
                "provision-ofed-repository.asc",
            },
        ),
        (
            {"features": []},
            {
                "provision-retired.sources",
                "provision-of-old",
                "provision-ofed-repository.sources",
                "provision-ofed-repository.asc",
                "provision-ofed",
            },
        ),
    ],
    ids=["the same repository", "a repository less", "a role less"],
)
def test_what_the_plan_has_no_more_goes_and_nothing_else(node: Path, more: dict[str, object], gone: set[str]) -> None:
    made, before = plan(**more), there(node)
    judged = run(node, program(made, "own-sources"))
    assert judged.returncode == 1
    assert all(name in judged.stderr for name in gone)

    dropped = run(node, program(made, "stale-sources"))

    assert dropped.returncode == 0, dropped.stderr
    assert dropped.stdout.count("is taken away: the plan has it no more") == len(gone)
    assert before - there(node) == gone
    assert run(node, program(made, "own-sources")).returncode == 0
    assert run(node, program(made, "stale-sources")).stdout == ""


@pytest.mark.parametrize("reboots", ["single", "staged"])
def test_it_goes_before_anything_is_fetched_and_behind_what_refuses_a_node(reboots: str) -> None:
    made = plan(reboots=reboots, **WITH_KEY)
    first = [entry.resource for entry in made.boots[0]]
    place = next(n for n, resource in enumerate(first) if resource.name == "stale-sources")
    assert all(resource.kind in {"gate", "manual"} for resource in first[:place])
    assert not any(isinstance(r, Gate) and r.precondition and r.name.startswith("preflight") for r in first[place:])
    assert [e.name for e in made.entries].count("stale-sources") == 1
    keep = program(made, "stale-sources")
    assert "/etc/apt/sources.list.d/provision-ofed-repository.sources" in keep, "of a later boot, too"


def test_one_role_alone_takes_nothing_away() -> None:
    spec = NodeSpec.model_validate(SPEC)
    context = Context(spec=spec, stack=resolve(spec, load(), None), platform=PLATFORM)
    room = rooms([SHIPPED])["cuda_drivers"]
    assert "stale-sources" not in build(context, {"cuda_drivers": instance(room, {})}).by_name


def test_a_plan_without_packages_has_no_say() -> None:
    made = plan()
    few = Plan(boots=(tuple(e for e in made.boots[0] if e.resource.kind == "file"),))
    assert without_leftovers(few, PLATFORM) == few


def test_a_name_is_not_taken_for_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "provision-axb").touch()
    ours, keep = [f"{tmp_path}/provision-*"], [f"{tmp_path}/provision-a.b"]
    assert run(tmp_path, leftovers.gone(ours, keep)).returncode == 1


@pytest.mark.parametrize(
    ("installed", "version", "refused"),
    [
        ("", "3.2.1", None),
        ("rc |doca-ofed|2.5.0-0.0.1", "3.2.1", None),
        ("ii |doca-ofed|2.6.0-058000", "3.2.1", None),
        ("hi |doca-ofed|3.2.1-044000", "3.2.1", None),
        ("ii |doca-all|2.9.1-018000", "2.9", None),
        ("ii |doca-ofed|2.5.2-0.0.6", "3.2.1", "doca-ofed 2.5.2-0.0.6 is installed, which cannot be upgraded"),
        ("ii |doca-all|3.3.0-088000", "3.2.1", "doca-all 3.3.0-088000 is installed, newer than 3.2.1"),
        ("ii |doca-ofed|3.2.1-1\nii |doca-all|2.2.0-1", "3.2.1", "doca-all 2.2.0-1 is installed, which cannot be"),
        ("ii |doca-ofed|3.10.0-1", "3.2.1", "newer than 3.2.1"),
    ],
)
def test_an_old_doca_is_upgraded_from_2_6_on_and_refused_before(
    tmp_path: Path, installed: str, version: str, refused: str | None
) -> None:
    tool = tmp_path / "dpkg-query"
    tool.write_text(f"#!/bin/sh\nprintf '%s\\n' '{installed}'\n")
    tool.chmod(0o755)
    text = ready.doca_can_become(version, ["doca-ofed", "doca-all"])
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    told = subprocess.run(["sh", "-euc", text], capture_output=True, text=True, env=environment, check=False)
    assert told.returncode == (1 if refused else 0), told
    assert (refused or "") in told.stderr


def test_an_old_doca_refuses_before_anything_is_changed_and_names_the_guide() -> None:
    gate = plan().by_name["ofed-upgradable"].resource
    assert isinstance(gate, Gate)
    assert gate.precondition
    assert "ofed_uninstall.sh --force" in gate.remedy
    assert "NVIDIA's guide to DOCA-Host" in gate.remedy
