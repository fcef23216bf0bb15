"""A node under Ubuntu's name: the stand-ins' archive is signed, and its tiny modules obey the kernel's own tools.

Real here: apt and its signatures, dkms, the compiler, Debian's kernel headers, modpost and depmod. Stand-ins: every
package from /srv/stand-ins. Nothing is loaded: the kernel is this machine's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from shlex import quote

import pytest
from standins import sudo

from provision.catalog import load
from provision.lab import Lab, Node
from provision.lab.archive import MARK, Served, provide, served, sources
from provision.lab.archive.layer import first_kernel
from provision.model import NodeSpec, Repository, SigningKey
from provision.platforms import platform_for
from provision.platforms.repository import add
from provision.probe import parse, probe_program
from provision.stack import resolve

OS = "ubuntu24.04"
BOTH = pytest.mark.parametrize("node", ["ubuntu22.04", "ubuntu24.04"], indirect=True)
"""Of what differs between the two: the names. The rest is asked of one of them."""
INSTALL = "export DEBIAN_FRONTEND=noninteractive\napt-get -q -y --no-install-recommends install "
NO_DKMS_OF_DOCA = (
    "printf '%s\\n' 'Package: dkms' 'Pin: release l=DOCA-HOST*' 'Pin-Priority: -1' >/etc/apt/preferences.d/doca"
)

SYMBOL = "ib_register_peer_memory_client"


@pytest.fixture
def node(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Node]:
    (fresh,) = lab.up(["named"], layer=provide(lab, getattr(request, "param", OS)))
    yield fresh
    lab.down(["named"])


def offer(node: Node, *repositories: tuple[str, str]) -> None:
    """Writes deb822 sources for repositories and their versions, as roles do, and reads the lists."""
    for repository, version in repositories:
        text = sources(repository, version=version)
        sudo(node, f"printf %s {quote(text)} >/etc/apt/sources.list.d/{repository}.sources")
    sudo(node, "apt-get -q update --error-on=any")


def install(node: Node, *names: str) -> str:
    return sudo(node, INSTALL + " ".join(map(quote, names)) + " </dev/null 2>&1")


def trains() -> tuple[str, str]:
    """Two DOCA releases of different OFED trains, the older first."""
    rows = [row for row in load().doca_releases if not row.prebuilt]
    first = rows[0]
    return first.id, next(row.id for row in rows if row.ofed != first.ofed)


def newest(branch: str) -> str:
    return load().branch[branch].newest


def kernel_64k(system: str = OS) -> tuple[str, str]:
    """Release of the newest 64K kernel, and the metapackage that follows it."""
    row = platform_for(system, "aarch64").kernels[0]
    return row.releases[-1], row.metas[0]


def versions_of(node: Node, release: str, module: str) -> dict[str, str]:
    """Symbol -> CRC that a module was built against."""
    path = sudo(node, f"find /lib/modules/{quote(release)}/ -name {quote(module + '.ko*')}").strip()
    lines = sudo(node, f"modprobe --dump-modversions {quote(path)}").splitlines()
    return {symbol: crc for crc, symbol in (line.split() for line in lines)}


def misfits(node: Node, release: str) -> str:
    """What depmod says of symbols whose versions differ between modules: the same that the kernel says when it loads."""
    folder = f"/lib/modules/{quote(release)}"
    return sudo(node, f"depmod -n -e -E {folder}/build/Module.symvers {quote(release)} 2>&1 >/dev/null")


# The name


@BOTH
def test_the_node_is_ubuntu_by_name_and_says_so(node: Node) -> None:
    platform = platform_for(node.system, node.arch)
    reading = parse(sudo(node, "sh -s", stdin=probe_program(globs=platform.driver_globs())), node.name)
    assert (reading.os, reading.lab) == (node.system, True)
    assert "by name only" in sudo(node, f"cat {MARK}")
    assert first_kernel(platform) in sudo(node, "readlink -f /vmlinuz")
    assert reading.standins is not None
    assert reading.standins.told == node.standins
    of_kernel = f"linux-image-{first_kernel(platform)}"
    assert reading.standins.packages[of_kernel].startswith(f"{of_kernel} of Ubuntu's archive (")


@BOTH
def test_the_resolver_finds_a_stack_in_the_archive(node: Node) -> None:
    spec = NodeSpec.model_validate({"os": node.system, "arch": node.arch, "gpu": "H100", "hardware": "absent"})
    globs = platform_for(node.system, node.arch).offered_names(spec)
    reading = parse(sudo(node, "sh -s", stdin=probe_program(globs=globs)), node.name)
    stack = resolve(spec, load(), reading)
    assert stack.version("kernel").endswith("-generic")
    assert stack.version("driver") in {newest(row) for row in ("580", "595")}


def test_every_installed_stand_in_tells_what_it_stands_for(node: Node) -> None:
    release = first_kernel(platform_for(OS, node.arch))
    told = sudo(node, f"dpkg-query -W -f '${{X-Provision-Stands-For}}' linux-image-{quote(release)}")
    assert told.startswith(f"linux-image-{release} of Ubuntu's archive (")


# The signature


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("sed -i 's/^Description: stand-in/Description: standing/' Packages", "Hash Sum mismatch"),
        (
            "sed -i 's/^Date:.*/Date: Thu, 01 Jan 1970 00:00:00 +0000/' InRelease",
            "has been manipulated|BADSIG",
        ),
        ("cp ../archive.gpg ../cuda.gpg", "Missing key|NO_PUBKEY"),
    ],
    ids=["an index that somebody changed", "a release file that somebody changed", "the key of another repository"],
)
def test_apt_refuses(node: Node, damage: str, said: str) -> None:
    text = sources("cuda")
    sudo(node, f"printf %s {quote(text)} >/etc/apt/sources.list.d/cuda.sources")
    sudo(node, f"cd /srv/stand-ins/cuda\n{damage}")
    refused = node.sudo("apt-get -q update --error-on=any 2>&1")
    assert refused.returncode != 0
    assert re.search(said, refused.stdout), refused.stdout
    assert "Candidate" not in sudo(node, "apt-cache policy nvidia-open")


def test_a_role_can_add_a_repository_by_itself_and_only_with_its_own_key(node: Node) -> None:
    cuda, archive = served(node, "cuda"), served(node, "archive")

    def declared(by: Served) -> Repository:
        key = SigningKey(armour=by.key, fingerprints=by.key_fingerprints)
        return Repository(name="cuda", uris=(cuda.url,), suites=("./",), key=key)

    sudo(node, "mkdir -p /etc/apt/keyrings\nsh -s", stdin=add(declared(cuda)))
    refused = node.sudo("sh -s", stdin=add(declared(archive)))
    assert refused.returncode != 0
    assert "is not signed by" in refused.stdout + refused.stderr


# What must not happen by itself


def test_without_a_pinning_package_the_newest_branch_comes(node: Node) -> None:
    offer(node, ("cuda", ""))
    follows = sudo(node, "apt-get -s --no-install-recommends install nvidia-open")
    assert newest(max((row.id for row in load().driver_branches), key=int)) in follows
    install(node, f"nvidia-driver-pinning-{newest('595')}")
    kept = sudo(node, "apt-get -s --no-install-recommends install nvidia-open")
    assert f"nvidia-dkms-open ({newest('595')}-" in kept


def test_the_toolkit_brings_no_driver_and_cuda_does(node: Node) -> None:
    offer(node, ("cuda", ""))
    toolkit = next(row for row in load().cuda_toolkits if row.driver and not row.preview)
    dashed = toolkit.minor.replace(".", "-")
    assert "cuda-drivers" not in sudo(node, f"apt-get -s --no-install-recommends install cuda-toolkit-{dashed}")
    assert "Inst cuda-drivers " in sudo(node, f"apt-get -s --no-install-recommends install cuda-{dashed}")


def test_programs_say_their_version_and_that_they_are_stand_ins(node: Node) -> None:
    offer(node, ("cuda", ""), ("container-toolkit", ""))
    toolkit = next(row for row in load().cuda_toolkits if row.driver and not row.preview)
    install(
        node,
        f"cuda-toolkit-{toolkit.minor.replace('.', '-')}",
        "nvidia-container-toolkit",
        f"libnvidia-compute-580={newest('580')}-*",
    )
    compiler = sudo(node, "/usr/local/cuda/bin/nvcc --version")
    assert f"release {toolkit.minor}, V{toolkit.id}" in compiler
    assert "stand-in" in compiler
    assert node.sudo("/usr/local/cuda/bin/nvcc a.cu").returncode == 64
    sudo(node, "nvidia-ctk cdi generate --output=/run/cdi/nvidia.yaml")
    written = sudo(node, "cat /run/cdi/nvidia.yaml")
    assert "stand-in" in written
    assert f"libcuda.so.{newest('580')}" in written


# The modules


@BOTH
def test_the_right_order_gives_modules_that_fit_until_ofed_changes(node: Node) -> None:
    older, newer = trains()
    release, meta = kernel_64k(node.system)
    driver = newest("580")
    sudo(node, NO_DKMS_OF_DOCA)
    offer(node, ("cuda", ""), ("doca", older))
    install(node, meta)
    install(node, "mlnx-ofed-kernel-dkms")
    install(node, f"nvidia-driver-pinning-{driver}")
    install(node, "nvidia-driver-580-open")

    assert sudo(node, f"dkms status -m nvidia -v {driver} -k {quote(release)}").strip().endswith(": installed")
    module = f"/lib/modules/{release}/updates/dkms/nvidia.ko"
    assert sudo(node, f"modinfo -F vermagic {quote(module)}").startswith(f"{release} ")
    assert sudo(node, f"modinfo -F license {quote(module)}").strip() == "Dual MIT/GPL"
    exported = sudo(node, f"grep -w {SYMBOL} /usr/src/ofa_kernel/{node.arch}/{quote(release)}/Module.symvers")
    assert versions_of(node, release, "nvidia-peermem")[SYMBOL] == exported.split()[0]
    assert misfits(node, release) == ""

    offer(node, ("doca", newer))
    install(node, "mlnx-ofed-kernel-dkms")
    assert f"nvidia-peermem.ko disagrees about version of symbol {SYMBOL}" in misfits(node, release)

    sudo(
        node,
        f"dkms build --force nvidia/{driver} -k {quote(release)} && dkms install --force nvidia/{driver} -k {quote(release)}",
    )
    assert misfits(node, release) == ""


def test_a_driver_that_was_built_first_knows_nothing_of_ofed(node: Node) -> None:
    """It builds, and on a real machine starts with EINVAL: only the imports tell before that."""
    older, _ = trains()
    release, meta = kernel_64k()
    sudo(node, NO_DKMS_OF_DOCA)
    offer(node, ("cuda", ""), ("doca", older))
    install(node, meta)
    install(node, f"nvidia-driver-pinning-{newest('580')}")
    install(node, "nvidia-driver-580-open")
    install(node, "mlnx-ofed-kernel-dkms")
    imports = versions_of(node, release, "nvidia-peermem")
    assert "nvidia_p2p_get_pages" in imports
    assert SYMBOL not in imports


def test_dkms_builds_in_the_order_of_the_alphabet_and_modpost_refuses(node: Node) -> None:
    """`iser` comes before the OFED that it needs, and the new kernel's headers are left half configured."""
    older, _ = trains()
    row = platform_for(OS, "aarch64").kernels[0]
    other, release = row.releases[0], row.releases[-1]
    sudo(node, NO_DKMS_OF_DOCA)
    offer(node, ("doca", older))
    install(node, "doca-ofed")
    refused = node.sudo(INSTALL + f"linux-headers-{quote(release)} </dev/null 2>&1")
    assert refused.returncode != 0
    assert re.search(r"failed for module\(s\) iser\(10\)", refused.stdout), refused.stdout
    assert 'modpost: "rdma_stand_in_attach"' in refused.stdout + sudo(node, "cat /var/lib/dkms/iser/*/build/make.log")

    for module in ("iser", "isert", "srp"):
        sudo(node, f"echo 'BUILD_DEPENDS[0]=\"mlnx-ofed-kernel\"' >/etc/dkms/{module}.conf")
    install(node, f"linux-headers-{other}")
    assert sudo(node, f"dkms status -k {quote(other)}").count(": installed") == 4


# Old kernels


DEPENDS_ON_OLD = """\
mkdir -p /tmp/p/DEBIAN
printf '%s\\n' 'Package: somebodys' 'Version: 1' 'Architecture: all' 'Maintainer: nobody <nobody@localhost>' \
    'Depends: linux-image-{release}' 'Description: needs an old kernel' >/tmp/p/DEBIAN/control
dpkg-deb --root-owner-group --build /tmp/p /tmp/somebodys.deb
dpkg -i /tmp/somebodys.deb
"""


def test_old_kernels_go_with_all_their_packages_and_the_newest_stay(node: Node) -> None:
    """Executed whole, with one licence: the kernel that runs is this machine's, which lies in no /boot."""
    platform = platform_for(OS, node.arch)
    (row,) = [row for row in platform.kernels if row.flavour == "generic"]
    newest, older, oldest, *_ = platform.newest_first(row.releases)
    for release in (oldest, older, newest):
        named = [p.name for p in (*platform.kernel_packages(release), *platform.kernel_tools(release))]
        install(node, *named)
        sudo(node, f"apt-mark -qq hold {' '.join(named)}")
    running = sudo(node, "uname -r").strip()

    refused = node.sudo("sh -s", stdin=platform.prune_kernels(newest, 1))
    assert refused.returncode != 0
    assert f"kernel {newest} does not run" in refused.stdout + refused.stderr

    told = sudo(node, "sh -s", stdin=platform.prune_kernels(running, 2))
    assert f"kernel {oldest} is taken off" in told
    assert told.strip().splitlines()[-1] == f"kernels in /boot: {older} {newest}"

    sudo(node, DEPENDS_ON_OLD.format(release=older))
    told = sudo(node, "sh -s", stdin=platform.prune_kernels(running, 1))
    assert f"to take kernel {older} off, these would go as well: somebodys" in told
    assert f"kernel {older} stays" in told

    sudo(node, "dpkg --purge somebodys")
    assert f"kernel {older} is taken off" in sudo(node, "sh -s", stdin=platform.prune_kernels(running, 1))
    assert sudo(node, "cd /boot; ls vmlinuz-* initrd.img-*").split() == [f"initrd.img-{newest}", f"vmlinuz-{newest}"]
    assert sudo(node, "ls /lib/modules").split() == [newest]
    left = sudo(node, "dpkg-query -W -f '${Package}\\n' 'linux-*'").split()
    assert [name for name in left if name.endswith((older, oldest))] == []
    assert {p.name for p in (*platform.kernel_packages(newest), *platform.kernel_tools(newest))} <= set(left)
