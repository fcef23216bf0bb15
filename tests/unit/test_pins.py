"""What keeps a package manager at the versions of a plan. Versions are artificial on purpose."""

from __future__ import annotations

import pytest

from provision.catalog import load
from provision.model import NodeSpec, Package
from provision.model.machine import Pin
from provision.platforms import platform_for, preferences, versionlock
from provision.platforms.pins import pins
from provision.probe.parse_repositories import _pins

V = "1.2.3-*"
PACKAGES = (Package(name="modules", version=V), Package(name="kernel"), Package(name="libcuda1", version=V))


def test_packages_of_one_version_are_one_record_and_any_version_is_none() -> None:
    assert pins(PACKAGES) == (Pin(file="", packages="modules libcuda1", pin=f"version {V}", priority=1001),)


def test_what_must_not_come_from_somewhere_is_below_zero() -> None:
    never = {name: pin for row in load().component_packages for name, pin in row.never.items()}
    assert preferences(pins((), never)).endswith("Package: dkms\nPin: release l=DOCA-HOST*\nPin-Priority: -1\n")


def test_no_record_is_no_file() -> None:
    assert preferences(pins((Package(name="kernel"),))) == ""


def test_what_is_rendered_is_what_the_probe_reads() -> None:
    file = "/etc/apt/preferences.d/some"
    records = pins(PACKAGES, {"dkms": "release l=X*"}, file)
    assert tuple(_pins(file, preferences(records).splitlines())) == records


@pytest.mark.parametrize(
    ("version", "line"),
    [("1.2.3-*", "part-1.2.3-*.*\n"), ("1.*", "part-1.*-*.*\n"), ("*", "")],
)
def test_a_version_lock_of_dnf(version: str, line: str) -> None:
    assert versionlock([Package(name="part", version=version)]) == line


@pytest.mark.parametrize(
    ("os", "modules", "locked"),
    [
        ("debian12", "open", True),  # the security suite has a newer driver than the open modules
        ("debian12", "proprietary", True),
        ("debian13", "open", False),  # one version in the whole archive
        ("ubuntu24.04", "open", True),  # only branches are known
    ],
)
def test_a_driver_is_locked_where_the_archive_has_or_may_have_another(os: str, modules: str, locked: bool) -> None:
    platform = platform_for(os, "x86_64")
    driver = platform.drivers.offered[modules][-1]  # type: ignore[index]
    lock = platform.driver_lock(driver, modules)
    assert (lock is not None) is locked
    if lock is not None:
        every = (*platform.driver_kernel_packages(driver, modules), *platform.driver_user_packages(driver))
        assert all(f" {package.name}" in lock.content for package in every)
        assert f"Pin: version {every[0].version}\n" in lock.content


def test_the_lock_stands_before_the_packages_and_is_theirs() -> None:
    from provision.planning import assemble, rooms

    plan = assemble(NodeSpec(os="debian12", arch="x86_64", gpu="H100"), rooms()).plan
    names = [entry.name for entry in plan.boots[0]]
    assert names.index("driver-lock") < min(names.index("module-packages"), names.index("driver-packages"))
    assert plan.by_name["driver-lock"].role == plan.by_name["module-packages"].role
