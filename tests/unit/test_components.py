"""Which packages a component is, per distribution and repository."""

from __future__ import annotations

import pytest

from provision.catalog import DriverNames, load
from provision.platforms import Platform, packages_of, platform_for, platform_of

SYSTEMS = [(system.id, arch) for system in load().operating_systems for arch in system.archs]
CONTAINERS = [
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
]


@pytest.mark.parametrize("platform", [platform_for(*system) for system in SYSTEMS], ids=lambda p: f"{p.os.id}-{p.arch}")
@pytest.mark.parametrize(
    ("component", "repository", "names", "pattern"),
    [
        ("cuda_toolkit", "cuda", ["cuda-toolkit-9-8"], "9.8.1-*"),
        ("cuda_compat", "cuda", ["cuda-compat-9-8"], "*"),
        ("doca", "doca", ["doca-ofed"], "9.8.1*"),
        ("container_toolkit", "container-toolkit", CONTAINERS, "9.8.1-*"),
    ],
)
def test_a_components_names_and_version(
    platform: Platform, component: str, repository: str, names: list[str], pattern: str
) -> None:
    named = packages_of(platform, component, "9.8.1", repository)  # type: ignore[arg-type]
    assert [package.name for package in named.packages] == names
    assert {package.version for package in named.packages} == {pattern}
    assert named.row.source


@pytest.mark.parametrize(
    ("component", "repository", "variant", "name"),
    [("doca", "doca", "doca-all", "doca-all"), ("modules", "archive", "proprietary", "nvidia-kernel-dkms")],
)
def test_a_variant_is_taken(component: str, repository: str, variant: str, name: str) -> None:
    named = packages_of(platform_for("debian13", "x86_64"), component, "9.8.1", repository, variant)  # type: ignore[arg-type]
    assert named.packages[0].name == name


def test_debian_has_a_toolkit_of_its_own_and_ubuntu_none_that_is_known() -> None:
    debian = packages_of(platform_for("debian13", "x86_64"), "cuda_toolkit", "9.8.1")
    assert [(p.name, p.version) for p in debian.packages] == [("nvidia-cuda-toolkit", "*~9.8.1-*")]
    with pytest.raises(LookupError, match=r"no cuda_toolkit is known in the repository 'archive' for Ubuntu 24\.04"):
        packages_of(platform_for("ubuntu24.04", "x86_64"), "cuda_toolkit", "9.8.1")


@pytest.mark.parametrize(("os", "arch"), SYSTEMS)
def test_kernel_and_driver_of_the_archive_are_what_the_platform_says(os: str, arch: str) -> None:
    platform = platform_for(os, arch)
    release, driver = platform.kernels[0].releases[0], platform.drivers.offered["open"][0]
    assert packages_of(platform, "kernel", release).packages == platform.kernel_packages(release)
    assert packages_of(platform, "modules", driver).packages == platform.driver_kernel_packages(driver)
    assert packages_of(platform, "driver", driver).packages == platform.driver_user_packages(driver)
    assert packages_of(platform, "driver", driver).row is platform.drivers


ROWS = (
    DriverNames(
        id="old", family="ubuntu", first="500", last="559", kernel={"open": ("old-{branch}",)}, user=("user-{branch}",),
        fabricmanager=("fm-{branch}",), verified=True, source="a test",
    ),
    DriverNames(
        id="new", family="ubuntu", first="560", kernel={"open": ("new",)}, user=("user",), fabricmanager=("fm",),
        imex=("imex",), nscq=("nscq",), nvsdm=("nvsdm",), absent={"aarch64": ("nvsdm",)}, nvlsm=("nvlsm",),
        pinning="pinning-{version}", verified=False, source="a test",
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("component", "version", "names"),
    [
        ("modules", "559.1.2", ["old-559"]),
        ("modules", "560.1.2", ["new"]),
        ("driver", "500.1.2", ["user-500"]),
        ("fabricmanager", "500.1.2", ["fm-500"]),
        ("fabricmanager", "999.1.2", ["fm"]),
        ("imex", "560.1.2", ["imex"]),
        ("nscq", "560.1.2", ["nscq"]),
    ],
)
def test_names_in_nvidias_repository_follow_the_branch(component: str, version: str, names: list[str]) -> None:
    platform = platform_of(load().model_copy(update={"driver_names": ROWS}), "ubuntu24.04", "aarch64")
    named = packages_of(platform, component, version, "cuda")  # type: ignore[arg-type]
    assert [(p.name, p.version) for p in named.packages] == [(name, f"{version}-*") for name in names]
    assert named.row in ROWS


@pytest.mark.parametrize(("component", "name"), [("nvlsm", "nvlsm"), ("pinning", "pinning-560.1.2")])
def test_parts_with_versions_of_their_own_take_any(component: str, name: str) -> None:
    platform = platform_of(load().model_copy(update={"driver_names": ROWS}), "ubuntu24.04", "aarch64")
    (package,) = packages_of(platform, component, "560.1.2", "cuda").packages  # type: ignore[arg-type]
    assert (package.name, package.version) == (name, "*")


@pytest.mark.parametrize(("component", "version"), [("imex", "559.1.2"), ("modules", "499.1.2"), ("nvsdm", "560.1.2")])
def test_a_name_that_nobody_read_is_not_guessed(component: str, version: str) -> None:
    platform = platform_of(load().model_copy(update={"driver_names": ROWS}), "ubuntu24.04", "aarch64")
    with pytest.raises(LookupError, match=f"what the {component} of driver branch {version[:3]} is called"):
        packages_of(platform, component, version, "cuda")  # type: ignore[arg-type]


@pytest.mark.parametrize("platform", [platform_for(*system) for system in SYSTEMS], ids=lambda p: f"{p.os.id}-{p.arch}")
@pytest.mark.parametrize(
    "branch", [row.id for row in load().driver_branches if row.type == "LTSB" and not row.ended(load().as_of)]
)
def test_the_catalog_names_both_halves_of_every_living_long_term_driver(platform: Platform, branch: str) -> None:
    for component in ("modules", "driver"):
        named = packages_of(platform, component, f"{branch}.1.2", "cuda")  # type: ignore[arg-type]
        assert all("{" not in package.name for package in named.packages)
