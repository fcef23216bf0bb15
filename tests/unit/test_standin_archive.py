"""The archive of stand-ins: from descriptions and catalog to control files, without a node."""

from __future__ import annotations

import io
import itertools
import re
import tarfile
from collections import defaultdict
from fnmatch import fnmatchcase

import pytest
from debian.deb822 import Packages
from debian.debian_support import NativeVersion

from provision.catalog import load
from provision.catalog.published import published
from provision.lab.archive import Ground, StandIn, archive, descriptions, repositories, sources
from provision.lab.archive.build import Offered, tree
from provision.lab.archive.cases import Unknown, cases
from provision.lab.archive.description import Group, texts
from provision.lab.archive.ground import headers_tree
from provision.lab.archive.layer import first_kernel, mark, os_release
from provision.lab.archive.make import filled
from provision.model.places import STANDS_FOR
from provision.platforms import packages_of, platform_for, precompiled_modules

GROUND = Ground(
    arch="x86_64",
    package_arch="amd64",
    multiarch="x86_64-linux-gnu",
    headers="/srv/headers",
    common="/usr/src/linux-headers-common",
    generated=("autoconf.h", "uapi", "utsrelease.h"),
    needs=("linux-headers-common (= 1)", "gcc-14"),
)
UBUNTU = ("ubuntu22.04", "ubuntu24.04")
OF_DEBIAN = {"dkms", "make", "kmod", "linux-base", "initramfs-tools", "linux-headers-common", "gcc-14"}
"""What stand-ins need of the real Debian below them."""


def made(os: str = "ubuntu24.04", arch: str = "x86_64") -> dict[str, tuple[StandIn, ...]]:
    return archive(load(), platform_for(os, arch), GROUND)


def fields(package: StandIn) -> Packages:
    return Packages(package.control_file().splitlines())


def versions(os: str = "ubuntu24.04") -> dict[tuple[str, str], list[str]]:
    """(repository's folder, name) -> versions in it."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for folder, packages in made(os).items():
        for package in packages:
            found[folder, package.name].append(fields(package)["Version"])
    return found


def driver(branch: str) -> str:
    return load().branch[branch].newest


def one(name: str, version: str = "*", folder: str = "cuda") -> StandIn:
    """The newest of that name."""
    found = [p for p in made()[folder] if p.name == name and fnmatchcase(fields(p)["Version"], version)]
    return max(found, key=lambda package: NativeVersion(fields(package)["Version"]))


# What there is


@pytest.mark.parametrize("os", UBUNTU)
@pytest.mark.parametrize("branch", [row.id for row in load().driver_branches if not row.ended(load().as_of)])
def test_a_living_driver_is_served_under_the_names_and_versions_that_roles_ask_for(os: str, branch: str) -> None:
    platform, served = platform_for(os, "x86_64"), versions(os)
    parts = ("modules", "driver", "fabricmanager", "imex", "nscq", "nvsdm", "nvlsm", "pinning")
    wanted = [p for part in parts for p in packages_of(platform, part, driver(branch), "cuda").packages]
    wanted += packages_of(platform, "modules", driver(branch), "cuda", "proprietary").packages
    assert [
        package.name
        for package in wanted
        if not any(fnmatchcase(version, package.version) for version in served["cuda", package.name])
    ] == []


@pytest.mark.parametrize("os", UBUNTU)
def test_the_driver_of_ubuntus_own_archive_is_served_too(os: str) -> None:
    platform, served = platform_for(os, "x86_64"), versions(os)
    for branch, modules in itertools.product(platform.drivers.offered["open"], ("open", "proprietary")):
        newest = driver(branch)
        parts = ("modules", "driver", "persistenced", "modprobe", "fabricmanager", "nscq")
        for package in (p for part in parts for p in packages_of(platform, part, newest, variant=modules).packages):
            assert any(fnmatchcase(version, package.version) for version in served["archive", package.name]), package


@pytest.mark.parametrize("os", UBUNTU)
def test_every_kernel_that_the_catalog_names_is_served(os: str) -> None:
    served = {name for folder, name in versions(os) if folder == "archive"}
    for arch in ("x86_64", "aarch64"):
        platform = platform_for(os, arch)
        served_here = {p.name for p in archive(load(), platform, GROUND)["archive"]}
        for row in platform.kernels:
            for release in row.releases:
                wanted = (*platform.kernel_packages(release), *platform.kernel_tools(release))
                assert {package.name for package in wanted} <= served_here
                assert set(row.metas) <= served_here
    assert any(name.startswith("linux-image-") and name.endswith("-nvidia-64k") for name in served), (
        "the 64K names are served on the other architecture too"
    )


@pytest.mark.parametrize("os", UBUNTU)
@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_the_newest_kernels_have_modules_that_the_distribution_built(os: str, arch: str) -> None:
    platform = platform_for(os, arch)  # type: ignore[arg-type]
    found = {p.name: p for p in archive(load(), platform, GROUND)["archive"] if p.built}
    newest = [platform.newest_first(row.releases)[0] for row in platform.kernels if row.default and row.releases]
    for release, branch, modules in itertools.product(
        newest, platform.drivers.offered["open"], ("open", "proprietary")
    ):
        (package,) = precompiled_modules(platform, driver(branch), modules, release).packages
        built = found.pop(package.name).built
        assert built is not None
        assert built.release == release
        assert built.place.startswith(f"/usr/lib/modules/{release}/kernel/nvidia-{branch}srv")
        assert f'MODULE_VERSION("{driver(branch)}")' in built.source["nvidia.c"]
        assert built.headers["include/generated/utsrelease.h"] == f'#define UTS_RELEASE "{release}"\n'
        assert all(not path.startswith("/") for path in (*built.headers, *built.header_links, *built.source))
    assert found == {}


@pytest.mark.parametrize(
    ("component", "repository", "asked"),
    [
        ("cuda_toolkit", "cuda", [row.id for row in load().cuda_toolkits if not row.preview and "x86_64" in row.archs]),
        ("cuda_compat", "cuda", [row.cuda for row in load().cuda_compat if row.driver]),
        ("container_toolkit", "container-toolkit", [row.id for row in load().container_toolkits]),
        ("doca", "doca", [row.id for row in load().doca_releases if not row.prebuilt]),
        ("nic_firmware", "doca", [row.id for row in load().doca_releases if not row.prebuilt]),
    ],
)
def test_every_version_of_a_component_is_served(component: str, repository: str, asked: list[str]) -> None:
    platform, served = platform_for("ubuntu24.04", "x86_64"), versions()
    assert asked
    for version in asked:
        folder = repositories()[repository].folder.format(version=version)
        for package in packages_of(platform, component, version, repository).packages:  # type: ignore[arg-type]
            assert any(fnmatchcase(has, package.version) for has in served[folder, package.name]), package


@pytest.mark.parametrize("os", UBUNTU)
@pytest.mark.parametrize(("component", "repository"), [("gdrcopy", "site"), ("dcgm", "cuda")])
def test_what_no_resolver_chooses_is_served_as_roles_ask_for_it(os: str, component: str, repository: str) -> None:
    platform, had = platform_for(os, "x86_64"), versions(os)
    found = published(load(), component, os, "x86_64", driver("580"))
    version = found[0] if found else "*"
    pattern = version if component == "dcgm" else f"{version}*"
    variant = load().cuda_majors[-1].id if component == "dcgm" else None
    for package in packages_of(platform, component, pattern, repository, variant).packages:  # type: ignore[arg-type]
        assert any(fnmatchcase(has, package.version) for has in had[repository, package.name]), package


def test_every_doca_profile_that_is_known_for_certain_is_served() -> None:
    (newest, *_) = [row for row in load().doca_releases if not row.prebuilt]
    served = {package.name for package in made()[f"doca/{newest.id}"]}
    assert {row.id for row in load().doca_profiles if row.verified} <= served


def test_names_lose_the_branch_where_the_vendors_do() -> None:
    names = {name for folder, name in versions() if folder == "cuda"}
    assert {"nvidia-dkms-580-open", "nvidia-driver-580-open", "nvidia-dkms-open", "nvidia-open"} <= names
    assert not names & {"nvidia-dkms-590-open", "libnvidia-compute-590", "nvidia-fabricmanager-580"}


def test_nothing_is_served_where_the_catalog_knows_nothing() -> None:
    catalog = load().model_copy(update={"cuda_compat": ()})
    with pytest.raises(Unknown, match="no cuda_compat for Ubuntu"):
        cases("cuda_compat", catalog, platform_for("ubuntu24.04", "x86_64"))


# What a control file says


def test_a_stand_in_says_what_it_stands_for_and_where_that_is_known_from() -> None:
    said = fields(one("nvidia-dkms-580-open"))
    assert said["Description"].startswith("stand-in for nvidia-dkms-580-open")
    assert said[STANDS_FOR].startswith(
        "nvidia-dkms-580-open of NVIDIA's CUDA repository (partly unverified: NVIDIA/gpu-"
    )


@pytest.mark.parametrize("group", descriptions(), ids=lambda group: group.id)
def test_every_source_is_one_of_the_catalogs(group: Group) -> None:
    assert set(group.source.split("+")) <= set(load().sources)


def test_every_version_but_dcgms_is_marked_and_sorts_below_any_that_a_vendor_gave() -> None:
    marked = re.compile(r"(.*[-.])0standin1|(.*)~standin1")
    for (_, name), found in versions().items():
        for version in found:
            if name.startswith("datacenter-gpu-manager"):
                continue
            match = marked.fullmatch(version)
            assert match, (name, version)
            assert NativeVersion(version) < NativeVersion(match[2] or f"{match[1]}0ubuntu1")


def test_the_parts_of_a_driver_are_in_lockstep() -> None:
    version = f"{driver('580')}-0standin1"
    assert fields(one("nvidia-dkms-580-open"))["Depends"] == (
        f"nvidia-kernel-source-580-open (= {version}), nvidia-kernel-common-580 (= {version}), dkms"
    )
    newest = fields(one("nvidia-dkms-open"))
    assert f"nvidia-kernel-common (= {newest['Version']})" in newest["Depends"]


@pytest.mark.parametrize("flavour", ["nvidia-dkms-580-open", "nvidia-dkms-580", "nvidia-dkms-open", "nvidia-dkms"])
def test_two_kernel_flavours_of_a_driver_exclude_each_other(flavour: str) -> None:
    said = fields(one(flavour))
    assert (said["Provides"], said["Conflicts"]) == ("nvidia-dkms-kernel", "nvidia-dkms-kernel")


def test_whoever_asks_for_cuda_gets_a_driver_and_whoever_asks_for_the_toolkit_none() -> None:
    assert "cuda-drivers (>= " in fields(one("cuda-12-8"))["Depends"]
    assert "driver" not in fields(one("cuda-toolkit-12-8"))["Depends"]


def test_a_dkms_of_doca_would_win_without_a_pin() -> None:
    (newest, *_) = [row for row in load().doca_releases if not row.prebuilt]
    version = fields(one("dkms", folder=f"doca/{newest.id}"))["Version"]
    assert NativeVersion(version).epoch == "1"


@pytest.mark.parametrize("os", UBUNTU)
def test_everything_that_a_stand_in_depends_on_is_there(os: str) -> None:
    packages = [(folder, package) for folder, found in made(os).items() for package in found]
    named: dict[str, set[str]] = defaultdict(set)
    for _, package in packages:
        said = fields(package)
        named[package.name].add(said["Version"])
        for provided in said.get("Provides", "").split(", "):
            named[provided].add("")
    for _, package in packages:
        for alternatives in Packages(package.control_file().splitlines()).relations["depends"]:
            assert any(
                one["name"] in OF_DEBIAN
                or (
                    one["name"] in named
                    and (not one["version"] or one["version"][0] != "=" or one["version"][1] in named[one["name"]])
                )
                for one in alternatives
            ), (package.name, alternatives)


# What a package holds


def test_a_kernels_headers_are_the_real_ones_under_its_own_release() -> None:
    files, links = headers_tree("1-stand-in", GROUND)
    tree = "/usr/src/linux-headers-1-stand-in"
    assert files[f"{tree}/include/generated/utsrelease.h"] == '#define UTS_RELEASE "1-stand-in"\n'
    assert files[f"{tree}/Makefile"].splitlines() == [
        "include /usr/src/linux-headers-common/Makefile",
        "override KERNELRELEASE = 1-stand-in",
    ]
    assert links[f"{tree}/Module.symvers"] == "/srv/headers/Module.symvers"
    assert links[f"{tree}/include/generated/autoconf.h"] == "/srv/headers/include/generated/autoconf.h"
    assert f"{tree}/include/generated/utsrelease.h" not in links
    assert links["/usr/lib/modules/1-stand-in/build"] == tree


def test_each_ofed_train_has_a_structure_of_its_own() -> None:
    """So the exported symbol has another CRC."""
    trains = {row.ofed for row in load().doca_releases if not row.prebuilt}
    packages = [p for found in made().values() for p in found if p.name == "mlnx-ofed-kernel-dkms"]
    headers = {text for p in packages for path, text in p.files.items() if path.endswith("rdma/peer_mem.h")}
    assert len(trains) == len(headers) > 1


@pytest.mark.parametrize("name", ["nvidia-dkms-580-open", "nvidia-dkms-580"])
def test_the_modules_say_their_flavour(name: str) -> None:
    source = one(name).files[f"/usr/src/nvidia-{driver('580')}/nvidia.c"]
    is_open = name.endswith("-open")
    assert ("NVIDIA UNIX Open Kernel Module" in source) is is_open
    assert (f'MODULE_LICENSE("{"Dual MIT/GPL" if is_open else "NVIDIA"}")' in source) is True


def test_a_pinning_package_names_what_it_keeps_and_nothing_that_has_its_own_versions() -> None:
    (preferences,) = one(f"nvidia-driver-pinning-{driver('580')}").files.values()
    assert f"Pin: version {driver('580')}-*" in preferences
    assert "nvidia-dkms-580-open" in preferences
    assert "nvlsm" not in preferences
    (of_branch,) = one("nvidia-driver-pinning-580").files.values()
    assert "Pin: version 580.*" in of_branch


def test_no_placeholder_is_left_in_any_file() -> None:
    left = re.compile(r"@[a-z_]+@|\{(branch|driver|version|release|ofed|major|minor|suffix|self|multiarch)\}")
    for packages in made().values():
        for package in packages:
            for path, content, _ in package.entries():
                assert not left.search(path), (package.name, path)
                assert not left.search(content), (package.name, path)


def test_a_placeholder_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        filled("a @nobody@ b", {"somebody": "1"})


def test_every_kept_file_of_the_data_is_used() -> None:
    used = {file for group in descriptions() for package in group.packages for file in package.files.values()}
    assert set(texts("files")) == used
    every = [package for group in descriptions() for package in group.packages]
    folders = {source.source for package in every for source in (package.dkms, package.built) if source}
    assert {path.partition("/")[0] for path in texts("dkms")} == folders
    scripts = {package.scripts for group in descriptions() for package in group.packages if package.scripts} | {"dkms"}
    assert {path.partition("/")[0] for path in texts("scripts")} == scripts


# What is sent to a node, and what the node is called


def content(tar: tarfile.TarFile, path: str) -> str:
    file = tar.extractfile(path)
    assert file is not None
    return file.read().decode()


def test_what_is_sent_is_one_tree_per_package_and_what_has_to_be_compiled() -> None:
    package = one("libnvidia-compute-580")
    data = tree((Offered(folder="cuda", origin="NVIDIA", label="NVIDIA CUDA", packages=(package,)),))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        libraries = content(tar, "libraries")
        assert f"cuda/0/usr/lib/x86_64-linux-gnu/libcuda.so.{driver('580')} libcuda.so.1\n" in libraries
        assert content(tar, "built") == ""
        assert content(tar, "repositories") == "cuda|NVIDIA|NVIDIA CUDA\n"
        assert content(tar, "packages/cuda/0/DEBIAN/control") == package.control_file()
        assert tar.getmember("packages/cuda/0/usr/lib/x86_64-linux-gnu/libcuda.so.1").issym()


def test_what_is_built_here_is_sent_with_the_headers_of_its_kernel() -> None:
    (package, *_) = [p for p in made()["archive"] if p.built]
    assert package.built is not None
    release, place = package.built.release, package.built.place
    data = tree((Offered(folder="archive", origin="Ubuntu", label="Ubuntu", packages=(package,)),))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert content(tar, "built") == f"archive/0 {release} {place}\n"
        assert "KERNELRELEASE" in content(tar, "modules/archive/0/headers/Makefile")
        assert tar.getmember("modules/archive/0/headers/scripts").issym()
        assert "nvidia-peermem.o" in content(tar, "modules/archive/0/source/Kbuild")


@pytest.mark.parametrize(("os", "codename"), [("ubuntu22.04", "jammy"), ("ubuntu24.04", "noble")])
def test_the_node_bears_the_name_and_says_that_it_is_only_one(os: str, codename: str) -> None:
    platform = platform_for(os, "x86_64")
    said = dict(line.split("=", 1) for line in os_release(platform).splitlines())
    assert said["ID"].strip('"') + said["VERSION_ID"].strip('"') == os
    assert said["VERSION_CODENAME"] == f'"{codename}"'
    assert "by name only" in said["PRETTY_NAME"]
    assert "by name only" in mark(platform)
    assert first_kernel(platform).endswith("-generic")


def test_a_source_names_one_key_per_repository() -> None:
    assert sources("doca", version="1").splitlines() == [
        "Types: deb",
        "URIs: file:/srv/stand-ins/doca/1",
        "Suites: ./",
        "Signed-By: /srv/stand-ins/doca/1.gpg",
    ]
