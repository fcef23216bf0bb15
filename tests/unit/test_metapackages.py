"""A metapackage that pulls in a newer driver or kernel is held wherever it is installed, not only what it pulls."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from golden_plans import SHIPPED, cases
from pydantic import ValidationError

from provision.model import Package, Packages, PackageState, Plan, Snapshot
from provision.planning import assemble, rooms
from provision.platforms import apt, platform_for
from provision.platforms.shell import program
from provision.probe import probe_program
from provision.stack import NoFit
from provision.steps.resource import difference

KNOWN = (
    "linux-image-amd64",
    "linux-generic-hwe-24.04",
    "linux-nvidia-64k-hwe-24.04",
    "cuda-drivers",
    "cuda-drivers-580",
    "nvidia-open",
    "nvidia-driver-580-open",
    "nvidia-driver-580-server-open",
    "doca-ofed",
    "doca-all",
    "cuda",
    "cuda-13-0",
    "cuda-toolkit",
)


def plans() -> Iterator[tuple[str, str, Plan]]:
    for name, spec in cases().items():
        try:
            yield name, f"{spec.os} {spec.arch}", assemble(spec, rooms([SHIPPED])).plan
        except NoFit:
            continue


PLANS = tuple(plans())


def sets(plan: Plan) -> list[Packages]:
    return [entry.resource for entry in plan.entries if isinstance(entry.resource, Packages)]


@pytest.mark.parametrize(("name", "system", "plan"), PLANS, ids=[name for name, *_ in PLANS])
def test_no_plan_brings_a_metapackage_that_it_does_not_hold(name: str, system: str, plan: Plan) -> None:
    metas = {meta for one in sets(plan) for meta in one.metas}
    loose = [p.name for one in sets(plan) if not one.hold for p in one.packages]
    assert not [package for package in loose if any(fnmatchcase(package, meta) for meta in (*metas, *KNOWN))]
    assert set(platform_for(*system.split()).kernel_metas()) <= metas
    assert {"cuda-drivers*", "nvidia-open"} <= metas


@pytest.mark.parametrize("package", KNOWN)
def test_what_is_known_to_pull_is_held_by_some_plan(package: str) -> None:
    metas = {meta for *_, plan in PLANS for one in sets(plan) for meta in one.metas}
    assert any(fnmatchcase(package, meta) for meta in metas)


def test_the_probe_asks_about_them() -> None:
    (plan, *_) = (plan for *_, plan in PLANS)
    assert "'cuda-drivers*'" in probe_program(plan)


def test_what_is_not_held_has_no_metapackages_to_hold() -> None:
    with pytest.raises(ValidationError, match="are not held"):
        Packages(name="a", packages=(Package(name="a"),), metas=("all",))


@pytest.mark.parametrize(
    ("metas", "held"),
    [("", ["libcuda1"]), ("cuda-drivers* nvidia-open", ["libcuda1", "cuda-drivers-580"])],
    ids=["none known", "one installed, one removed"],
)
def test_only_those_that_are_installed_are_held(tmp_path: Path, metas: str, held: list[str]) -> None:
    (tmp_path / "cuda-drivers-is-a-file").touch()
    asked = 'echo "ii |cuda-drivers-580"; echo "rc |nvidia-open"; [ "$4 $5" = "cuda-drivers* nvidia-open" ]'
    for name, text in {"dpkg-query": asked, "apt-mark": f'shift 2; printf "%s\\n" "$@" >{tmp_path}/held'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    text = program(apt._HOLD, "hold_all\n", metas=metas, hold="libcuda1")
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-euc", text], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "held").read_text().split() == held


def test_a_metapackage_that_is_gone_or_held_is_no_drift() -> None:
    (plan, *_) = (plan for *_, plan in PLANS)
    one = next(one for one in sets(plan) if "cuda-drivers*" in one.metas)
    states = {p.name: PackageState(version=p.version.replace("*", "1"), status="hi") for p in one.packages}
    for status, told in {"hi": "", "rc": "", "un": "", "ii": "cuda-drivers-580 is not held"}.items():
        meta = {"cuda-drivers-580": PackageState(version="580", status=status)}
        snapshot = Snapshot.model_construct(packages=states | meta)
        assert difference(plan, one, snapshot) == told
