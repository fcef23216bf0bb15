"""Real docker, containerd and podman take what the role writes for them, and keep what was theirs.

The engines are Debian's. NVIDIA's four packages are stand-ins in a signed repository on the node; their `nvidia-ctk`
does to containerd what the real one was seen to do.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.catalog import load
from provision.lab import Lab, Node
from provision.lab.archive import PLACE, Ground, archive
from provision.lab.archive.build import NEEDS, Offered, build
from provision.lab.archive.description import repositories
from provision.model.openpgp import fingerprints
from provision.platforms import platform_for

NAME = "containers"
REPOSITORY = "container-toolkit"
ARCH = os.uname().machine
ENGINES = ("docker.io", "docker-cli", "containerd", "podman", "runc", "apparmor")

# What a lab node cannot hold (a bridge, overlays on an overlay), which is a site's own settings as well as any.
DOCKER = {"iptables": False, "ip6tables": False, "bridge": "none", "storage-driver": "vfs"}

CONTAINERD = """\
version = 2

# a site's own words
[plugins."io.containerd.grpc.v1.cri"]
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "/etc/cni/of-the-site"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
"""


def sudo(node: Node, program: str, stdin: str = "") -> str:
    done = node.sudo(f"set -eu\n{program}", stdin=stdin)
    assert done.returncode == 0, f"{program}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def furnish(node: Node) -> None:
    """The stand-ins' repository, which the node's apt does not know yet; engines, with settings of their own."""
    sudo(node, f"apt-get -qq update && apt-get -qq -y --no-install-recommends install {' '.join(NEEDS)} >/dev/null")
    platform = platform_for("debian13", ARCH)
    multiarch = sudo(node, "gcc -print-multiarch").strip()
    ground = Ground(
        arch=ARCH, package_arch=platform.package_arch, multiarch=multiarch, headers="", common="", generated=()
    )
    row = repositories()[REPOSITORY]
    packages = archive(load(), platform, ground)[REPOSITORY]
    build(node, [Offered(folder=REPOSITORY, origin=row.origin, label=row.label, packages=packages)])
    for path, text in (("/etc/docker/daemon.json", json.dumps(DOCKER)), ("/etc/containerd/config.toml", CONTAINERD)):
        sudo(node, f"mkdir -p $(dirname {path}) && cat >{path}", stdin=text)
    sudo(
        node,
        "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold "
        f"install {' '.join(ENGINES)} >/dev/null",
    )


def armoured(node: Node) -> str:
    binary = sudo(node, f"base64 -w 64 {PLACE}/{REPOSITORY}.gpg")
    assert base64.b64decode(binary)
    return f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{binary.strip()}\n-----END PGP PUBLIC KEY BLOCK-----\n"


@pytest.fixture(scope="module")
def node(lab: Lab) -> Iterator[Node]:
    (fresh,) = lab.up([NAME])
    furnish(fresh)
    yield fresh
    lab.down([NAME])


class Site:
    """An inventory with this one role, and the command line."""

    def __init__(self, folder: Path, node: Node) -> None:
        self.folder = folder
        key = armoured(node)
        keys = {
            "os": "debian13",
            "arch": ARCH,
            "gpu": "H100",
            "hardware": "absent",
            "roles": ["container_toolkit"],
            "sudo": True,
            "ssh_config_file": str(node.ssh_config),
            "container_toolkit_url": f"file:{PLACE}/{REPOSITORY}",
            "container_toolkit_key": key,
            "container_toolkit_key_fingerprints": list(fingerprints(key)),
        }
        told = ", ".join(f"{name}={value!r}" for name, value in keys.items())
        (folder / "inventory.py").write_text(f"from provision import fleet\n\nlab = fleet([{NAME!r}], {told})\n")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVISION_")}
        return subprocess.run(
            [sys.executable, "-m", "provision", *words, "inventory.py"],
            cwd=self.folder,
            env=environment | {"PROVISION_STATE": str(self.folder / "state")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def site(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"), node)


@pytest.fixture(scope="module")
def applied(site: Site) -> subprocess.CompletedProcess[str]:
    done = site.run("apply")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_first_run_converges_and_a_second_finds_nothing(
    site: Site, applied: subprocess.CompletedProcess[str]
) -> None:
    assert "converged" in applied.stdout
    again = site.run("apply")
    assert (again.returncode, "nothing was due" in again.stdout) == (0, True), again.stdout + again.stderr


def test_the_specification_waits_for_a_gpu(applied: subprocess.CompletedProcess[str]) -> None:
    assert "container-cdi (hardware)" in applied.stdout.replace("modules", "hardware").replace("boot", "hardware")


@pytest.mark.usefixtures("applied")
def test_docker_keeps_its_own_settings_and_takes_ours(node: Node) -> None:
    kept = json.loads(sudo(node, "cat /etc/docker/daemon.json"))
    assert {key: kept[key] for key in DOCKER} == DOCKER
    told = json.loads(sudo(node, "docker info --format '{{json .}}'"))
    assert "nvidia" in told["Runtimes"]
    assert "/var/run/cdi" in told["CDISpecDirs"]
    assert told["Driver"] == DOCKER["storage-driver"]


@pytest.mark.usefixtures("applied")
def test_containerd_keeps_its_own_settings_and_its_plugins(node: Node) -> None:
    dump = sudo(node, "containerd config dump")
    for told in ("/etc/cni/of-the-site", "runtimes.runc]", "runtimes.nvidia]", "enable_cdi = true"):
        assert told in dump, told
    assert "a site's own words" in sudo(node, "cat /etc/containerd/config.toml")
    cri = [line.split() for line in sudo(node, "ctr plugins ls").splitlines() if line.split()[1:2] == ["cri"]]
    assert [words[-1] for words in cri] == ["ok"], cri


@pytest.mark.usefixtures("applied")
def test_a_change_of_containerds_own_settings_reaches_it(node: Node, site: Site) -> None:
    sudo(node, "sed -i 's,of-the-site,of-another,' /etc/containerd/config.toml")
    looked = site.run("drift")
    assert "container-containerd" in looked.stdout, looked.stdout
    done = site.run("apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/etc/cni/of-another" in sudo(node, "containerd config dump")


@pytest.mark.usefixtures("applied")
def test_podman_looks_where_the_specification_will_be(node: Node) -> None:
    """A device that no specification names is refused by its name; once one names it, it is found."""
    sudo(node, "mkdir -p /srv/root/bin && cp -a /usr/sbin/ldconfig /srv/root/bin/")
    run = (
        "podman --storage-driver=vfs run --rm --network=none --device nvidia.com/gpu=all "
        "--rootfs /srv/root /bin/ldconfig -V"
    )
    refused = node.sudo(run)
    assert refused.returncode != 0
    assert "unresolvable CDI devices nvidia.com/gpu=all" in refused.stderr, refused.stderr
    sudo(node, "nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml")
    assert "unresolvable" not in node.sudo(run).stderr
    sudo(node, "rm -r /var/run/cdi")


@pytest.mark.usefixtures("applied")
def test_verify_agrees(site: Site) -> None:
    done = site.run("verify")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("applied")
def test_an_engine_that_comes_later_finds_its_settings(node: Node, site: Site) -> None:
    """Nobody asks which engines are there: what is written waits for them, and containerd is due when it comes."""
    sudo(node, "DEBIAN_FRONTEND=noninteractive apt-get -qq -y purge docker.io containerd >/dev/null")
    sudo(node, "rm -rf /etc/containerd")
    without = site.run("apply")
    assert without.returncode == 0, without.stdout + without.stderr
    assert "nvidia" in json.loads(sudo(node, "cat /etc/docker/daemon.json"))["runtimes"]
    sudo(node, "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install containerd >/dev/null")
    done = site.run("apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nvidia-container-runtime" in sudo(node, "containerd config dump")
