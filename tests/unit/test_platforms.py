"""What distributions call things."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest
from offers import RECORDED, recorded

from provision.catalog import Kernel, load
from provision.model import NodeSpec
from provision.platforms import Platform, platform_for

PLATFORMS = [(system.id, arch) for system in load().operating_systems for arch in system.archs]
KERNELS = [(row, release) for row in load().kernels for release in row.releases]


@pytest.mark.parametrize(
    ("os", "arch", "told"),
    [
        ("debian14", "x86_64", "did you mean debian13?"),
        ("ubuntu24.10", "aarch64", "did you mean ubuntu24.04?"),
        ("debian13", "riscv64", "it has x86_64 and aarch64"),
    ],
)
def test_an_unknown_platform_is_told_in_one_sentence(os: str, arch: str, told: str) -> None:
    with pytest.raises(LookupError, match=re.escape(told)):
        platform_for(os, arch)


@pytest.mark.parametrize(("os", "arch"), PLATFORMS)
def test_architectures_are_named_as_dpkg_does(os: str, arch: str) -> None:
    assert platform_for(os, arch).package_arch == {"x86_64": "amd64", "aarch64": "arm64"}[arch]


@pytest.mark.parametrize(("row", "release"), KERNELS, ids=lambda value: getattr(value, "id", value))
def test_a_release_and_its_packages_belong_together(row: Kernel, release: str) -> None:
    platform = platform_for(row.os, row.arch)
    packages = [package.name for package in platform.kernel_packages(release)]
    assert packages[:2] == [f"linux-image-{release}", f"linux-headers-{release}"]
    assert not any("{" in name for name in packages)
    assert [package.name for package in platform.kernel_tools(release)] == (
        [f"linux-tools-{release}"] if row.os.startswith("ubuntu") else []
    )
    assert platform.release_of(packages[0]) == release
    assert platform.release_of(packages[1]) is None
    assert platform.page_size(release) == row.page_size


@pytest.mark.parametrize("ending", ["-cloud-amd64", "-rt-amd64", "-amd64-unsigned", "-amd64-dbg"])
def test_other_flavours_are_no_kernels_of_ours(ending: str) -> None:
    platform = platform_for("debian13", "x86_64")
    release = platform.kernels[0].releases[0].removesuffix("-amd64")
    assert platform.release_of(f"linux-image-{release}-amd64") is not None
    assert platform.release_of(f"linux-image-{release}{ending}") is None
    assert platform.release_of("linux-image-amd64") is None


@pytest.mark.parametrize(
    ("os", "arch", "size"),
    [
        ("debian12", "aarch64", 4096),
        ("debian13", "x86_64", 4096),
        ("debian13", "aarch64", 16384),
        ("ubuntu22.04", "aarch64", 65536),
        ("ubuntu24.04", "x86_64", 4096),
    ],
)
def test_the_largest_page_size_of_a_distribution(os: str, arch: str, size: int) -> None:
    assert platform_for(os, arch).largest_page_size() == size


@pytest.mark.parametrize(("os", "arch"), PLATFORMS)
@pytest.mark.parametrize("modules", ["open", "proprietary"])
def test_the_packages_of_a_driver_are_all_at_its_version(os: str, arch: str, modules: str) -> None:
    platform = platform_for(os, arch)
    version = max(load().driver_branches, key=lambda branch: branch.newest).newest
    packages = (*platform.driver_kernel_packages(version, modules), *platform.driver_user_packages(version))
    assert {package.version for package in packages} == {f"{version}-*"}
    branch = version.partition(".")[0]
    assert {package.version for package in platform.driver_user_packages(branch)} == {f"{branch}.*"}


def test_debian_names_modules_in_its_own_way() -> None:
    platform = platform_for("debian13", "x86_64")
    driver = platform.drivers.offered["open"][0]
    assert platform.dkms_module(driver) == ("nvidia-current-open", driver)
    assert platform.dkms_module(driver, "proprietary") == ("nvidia-current", driver)
    assert platform.module_names() == tuple(
        f"nvidia-current-open{suffix}" for suffix in ("", "-uvm", "-modeset", "-drm", "-peermem")
    )
    with pytest.raises(LookupError, match="open or proprietary"):
        platform.dkms_module(driver, "closed")


def _newest_and(platform: Platform) -> tuple[str, str]:
    releases = platform.newest_first(platform.kernels[0].releases)
    return releases[0], releases[-1]


@pytest.mark.parametrize(("os", "arch"), PLATFORMS)
def test_releases_are_ordered_as_dpkg_orders_versions(os: str, arch: str) -> None:
    platform = platform_for(os, arch)
    newest, oldest = _newest_and(platform)
    assert platform.newest_first([oldest, newest, oldest])[0] == newest


def test_a_rebuilt_release_is_newer_than_the_first_build() -> None:
    platform = platform_for("debian13", "x86_64")
    releases = platform.kernels[0].releases
    rebuilt = next(release for release in releases if ".1-" in release)
    assert platform.newest_first(releases).index(rebuilt) < platform.newest_first(releases).index(
        rebuilt.replace(".1-", "-")
    )


@pytest.mark.parametrize("name", RECORDED)
def test_a_first_reading_asks_for_all_that_was_recorded_and_nothing_strange(name: str) -> None:
    reading = recorded(name)
    globs = platform_for(reading.os, reading.arch).offered_names(NodeSpec(os=reading.os, arch=reading.arch))
    assert all(re.fullmatch(r"[a-z0-9*?][a-z0-9+.*?-]*", glob) for glob in globs)
    assert reading.offers
    assert all(any(fnmatchcase(package, glob) for glob in globs) for package in reading.offers)


@pytest.mark.parametrize("name", RECORDED)
def test_a_kernel_without_headers_is_not_offered(name: str) -> None:
    reading = recorded(name)
    platform = platform_for(reading.os, reading.arch)
    assert reading.offers is not None
    offered = platform.offered_kernels(reading.offers)
    images = {release for package in reading.offers if (release := platform.release_of(package))}
    assert set(offered) < images, "the recorded archives keep images whose headers are gone"
    assert all(f"linux-headers-{release}" in reading.offers for release in offered)
    assert list(offered) == list(platform.newest_first(offered))


def test_a_driver_is_offered_when_all_its_parts_are() -> None:
    reading = recorded("offers-bookworm-amd64.json")
    platform = platform_for(reading.os, reading.arch)
    assert reading.offers is not None
    for modules, versions in platform.drivers.offered.items():
        assert set(platform.offered_drivers(reading.offers, modules)) == set(versions)
    assert set(platform.drivers.offered["open"]) < set(platform.drivers.offered["proprietary"])
    without = {package: versions for package, versions in reading.offers.items() if package != "libcuda1"}
    assert platform.offered_drivers(without, "open") == ()


def test_the_branch_in_a_package_name_is_the_versions_own() -> None:
    platform = platform_for("ubuntu24.04", "aarch64")
    ours, other = platform.drivers.offered["open"][:2]
    names = [package.name for package in (*platform.driver_kernel_packages(ours), *platform.driver_user_packages(ours))]
    offers = dict.fromkeys(names, (f"{ours}.1.02-0ubuntu0.24.04.1", f"{other}.3.04-0ubuntu0.24.04.1"))
    assert platform.offered_drivers(offers, "open") == (f"{ours}.1.02",)


@pytest.mark.parametrize("os", ["ubuntu22.04", "ubuntu24.04"])
def test_no_metapackage_brings_a_newer_kernel_by_itself(os: str) -> None:
    platform = platform_for(os, "x86_64")
    newer = f"linux-image-generic-hwe-{os.removeprefix('ubuntu')}"
    assert newer in platform.kernel_globs(), "an unattended update leaves it alone"
    stanza = next(text for text in platform.kernel_lock().content.split("\n\n") if newer in text)
    assert "Pin-Priority: -1" in stanza
