"""Network drivers, GPU modules and user half under Ubuntu's and NVIDIA's names: stand-ins on a Debian node.

Real here: apt, signatures, dkms, compiler, headers, symbol versions. The packages' contents are stand-ins, and the node
says so in /etc/provision-standins.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.catalog import load
from provision.engines.events import read
from provision.inventory import read_inventory
from provision.lab import Lab, Node
from provision.lab.archive import PLACE, provide
from provision.ledger import Reading
from provision.model.openpgp import fingerprints
from provision.planning import Planned, assemble, rooms
from provision.platforms import platform_for

NAME = "ofed1"
SYSTEMS = ("ubuntu22.04", "ubuntu24.04")

INVENTORY = """\
from provision import fleet

lab = fleet(
    [{name!r}],
    os={system!r},
    arch={arch!r},
    gpu="H100",
    hardware="absent",
    features=["rdma"],
    roles=["preflight", "kernel_64k", "doca_ofed", "open_kernel_modules", "cuda_drivers"],
    doca_ofed_url={url!r},
    doca_ofed_key={key!r},
    doca_ofed_key_fingerprints={prints!r},
    ssh_config_file={ssh!r},
    sudo=True,
)
"""


READY_MADE = """\
from provision import fleet

lab = fleet(
    [{name!r}],
    os={system!r},
    arch={arch!r},
    gpu="H100",
    hardware="absent",
    roles=["preflight", "kernel_64k", "open_kernel_modules", "cuda_drivers"],
    open_kernel_modules_origin="precompiled",
    ssh_config_file={ssh!r},
    sudo=True,
)
"""


class Site:
    """The node, its inventory, and the commands that a person would give."""

    def __init__(self, lab: Lab, node: Node, folder: Path) -> None:
        self.node, self.state, self.inventory = node, folder / "state", folder / "inventory.py"
        self._environment = os.environ | {
            "PROVISION_LAB": str(lab.state),
            "PROVISION_STATE": str(self.state),
            "PYINFRA_PROGRESS": "off",
        }

    def provision(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "provision", *arguments],
            check=False,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    @property
    def planned(self) -> Planned:
        spec = read_inventory(self.inventory)[self.node.name]
        return assemble(spec, rooms(), Reading(self.node.name, self.state).load())

    def done(self) -> list[str]:
        """What the newest run carried out, in order."""
        newest = sorted((self.state / "runs").iterdir())[-1]
        events: list[dict[str, Any]] = list(read(newest))
        return [str(event["resource"]) for event in events if event["event"] == "ok"]

    def crc(self, program: str) -> str:
        return self.node.sudo(program).stdout.strip()


@pytest.fixture(scope="module", params=SYSTEMS)
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Site]:
    (node,) = lab.up([NAME], layer=provide(lab, request.param))
    folder = tmp_path_factory.mktemp("ubuntu-names")
    site = Site(lab, node, folder)
    releases = [row.id for row in load().doca_releases if not row.prebuilt]
    # Every release has a repository and a key of its own here; the plan says which one is wanted.
    texts = {r: _armoured(node, f"{PLACE}/doca/{r}.gpg") for r in releases}
    site.inventory.write_text(_inventory(lab, node, texts[releases[0]]))
    chosen = site.planned.stack.version("doca")
    site.inventory.write_text(_inventory(lab, node, texts[chosen]))
    yield site
    lab.down([NAME])


def _armoured(node: Node, keyring: str) -> str:
    program = f"gpg --no-options --no-default-keyring --keyring {keyring} --armor --export"
    done = node.sudo(f"GNUPGHOME=$(mktemp -d) {program}")
    assert done.stdout, done.stderr
    return done.stdout


def _inventory(lab: Lab, node: Node, key: str) -> str:
    return INVENTORY.format(
        name=NAME,
        system=node.system,
        arch=node.arch,
        url=f"file:{PLACE}/doca/{{version}}/",
        key=key,
        prints=list(fingerprints(key)),
        ssh=str(lab.ssh_config),
    )


@pytest.fixture(scope="module")
def applied(site: Site) -> Site:
    ran = site.provision("apply", str(site.inventory))
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    return site


def _installed(site: Site, name: str) -> str:
    updates = f"/lib/modules/{site.planned.stack.version('kernel')}/updates"
    return site.crc(f"find {updates} -name '{name}.ko*'")


def test_ofed_is_built_before_the_drivers_modules_in_one_boot(applied: Site) -> None:
    done = applied.done()
    assert done.count("ofed-build") == done.count("module-build") == 1
    assert done.index("ofed-build") < done.index("module-build") < done.index("peer-memory-fits")


def test_the_distributions_dkms_stays_though_the_vendor_has_a_newer_one(applied: Site) -> None:
    assert "1:" in applied.node.sudo("apt-cache madison dkms").stdout
    assert not applied.crc("dpkg-query -W -f '${Version}' dkms").startswith("1:")


def test_all_of_it_is_verified(applied: Site, tmp_path: Path) -> None:
    verified = applied.provision("verify", str(applied.inventory), "--out", str(tmp_path))
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_second_run_changes_nothing(applied: Site) -> None:
    again = applied.provision("apply", str(applied.inventory))
    assert again.returncode == 0, again.stderr[-3000:]
    assert applied.done() == []


@pytest.mark.parametrize("site", ["ubuntu24.04"], indirect=True)
def test_every_output_says_that_these_are_stand_ins(applied: Site, tmp_path: Path) -> None:
    told = applied.node.standins
    assert "by name only" in told
    image = f"linux-image-{applied.planned.stack.version('kernel')}"
    inventory, out = str(applied.inventory), str(tmp_path)
    said = {
        "plan": applied.provision("plan", inventory).stdout,
        "plan as JSON": applied.provision("plan", inventory, "--json").stdout,
        "apply": applied.provision("apply", inventory).stdout,
        "drift": applied.provision("drift", inventory).stdout,
        "drift as JSON": applied.provision("drift", inventory, "--json").stdout,
        "verify": applied.provision("verify", inventory, "--out", out).stdout,
        "verify as JSON": (tmp_path / "verify.json").read_text(),
        "verify as JUnit": (tmp_path / "verify.xml").read_text(),
        "report": html.unescape((tmp_path / "report.html").read_text()),
    }
    assert {name for name, text in said.items() if told not in text} == set()
    one_by_one = said.keys() - {"plan", "plan as JSON", "verify as JUnit"}
    assert {name for name in one_by_one if f"{image}" not in said[name]} == set()


@pytest.mark.parametrize("site", ["ubuntu24.04"], indirect=True)
def test_an_ofed_that_was_changed_without_a_rebuild_is_told_before_a_reboot_and_mended(applied: Site) -> None:
    release, modules = applied.planned.stack.version("kernel"), _installed(applied, "nvidia-peermem")
    before = applied.crc(f"modprobe --dump-modversions {modules} | grep ib_register_peer_memory_client")
    _another_ofed(applied, release)

    told = applied.provision("drift", str(applied.inventory))

    assert told.returncode == 3, told.stdout + told.stderr
    assert "was built against another OFED: it wants ib_register_peer_memory_client" in told.stdout
    mended = applied.provision("apply", str(applied.inventory))
    assert mended.returncode == 0, mended.stdout[-3000:] + mended.stderr[-3000:]
    assert "module-build" in applied.done()
    after = applied.crc(f"modprobe --dump-modversions {modules} | grep ib_register_peer_memory_client")
    assert after != before


def _another_ofed(site: Site, release: str) -> None:
    """OFED's source changes what it exports, and is built by hand, as a vendor's update does; the driver is not."""
    program = f"""set -eu
cd /usr/src/mlnx-ofed-kernel-*/
version=$(basename "$PWD" | sed 's/mlnx-ofed-kernel-//')
sed -i 's/^struct peer_memory_client {{/&\\n\\tint by_hand;/' include/rdma/peer_mem.h
dkms remove -m mlnx-ofed-kernel -v "$version" -k {release}
dkms build -m mlnx-ofed-kernel -v "$version" -k {release}
dkms install --force -m mlnx-ofed-kernel -v "$version" -k {release}
"""
    done = site.node.sudo(program)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


# Modules that the distribution built and signed


@pytest.fixture(scope="module", params=SYSTEMS)
def ready_made(lab: Lab, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Site]:
    (node,) = lab.up(["ready1"], layer=provide(lab, request.param))
    site = Site(lab, node, tmp_path_factory.mktemp("ready-made"))
    words = {"name": node.name, "system": node.system, "arch": node.arch, "ssh": str(lab.ssh_config)}
    site.inventory.write_text(READY_MADE.format(**words))
    try:
        ran = site.provision("apply", str(site.inventory))
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
        yield site
    finally:
        lab.down([node.name])


def _drift(site: Site) -> str:
    found = site.provision("drift", str(site.inventory))
    assert found.returncode == 3, found.stdout + found.stderr
    return found.stdout


def test_ready_made_modules_are_installed_for_the_target_kernel_and_nothing_is_built(ready_made: Site) -> None:
    assert not {"module-build", "ofed-build"} & set(ready_made.done())
    assert ready_made.crc("dpkg-query -W -f '${Package}\\n' 'nvidia-dkms-*' 2>/dev/null") == ""
    release = ready_made.planned.stack.version("kernel")
    path = ready_made.crc(f"modinfo -k {release} -n nvidia")
    assert path.startswith(f"/lib/modules/{release}/kernel/nvidia-")
    assert ready_made.crc(f"modinfo -F signer {path}") == "stand-in for a distribution"
    assert ready_made.crc(f"modinfo -F vermagic {path}").split()[0] == release


def test_ready_made_modules_are_verified_and_stay(ready_made: Site, tmp_path: Path) -> None:
    verified = ready_made.provision("verify", str(ready_made.inventory), "--out", str(tmp_path))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    again = ready_made.provision("apply", str(ready_made.inventory))
    assert again.returncode == 0, again.stderr[-3000:]
    assert ready_made.done() == []


LEFT_BY_DKMS = "/lib/modules/{release}/updates/dkms/nvidia.ko"
SPOILT = {
    "unsigned": ("strip --strip-debug {path}", "{path} is not signed"),
    "gone": ("rm {path}; depmod {release}", "no nvidia for kernel {release}"),
    "of another driver": ("sed -i s/{driver}/{other}/g {path}", "{path} is version {other}, not {driver}"),
    "hidden by what dkms left": (
        "install -D {path} LEFT; strip --strip-debug LEFT; depmod {release}".replace("LEFT", LEFT_BY_DKMS),
        f"{LEFT_BY_DKMS} is not signed",
    ),
}


@pytest.mark.parametrize("ready_made", ["ubuntu24.04"], indirect=True)
@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT)
def test_the_gate_sees_what_is_wrong_with_them(ready_made: Site, spoil: str, said: str) -> None:
    release, driver = (ready_made.planned.stack.version(name) for name in ("kernel", "driver"))
    path = ready_made.crc(f"modinfo -k {release} -n nvidia")
    words = {"release": release, "driver": driver, "other": f"1{driver[1:]}", "path": path}
    spoilt = ready_made.node.sudo(f"cp {path} /srv/kept.ko; {spoil.format(**words)}")
    assert spoilt.returncode == 0, spoilt.stderr
    try:
        assert said.format(**words) in _drift(ready_made)
    finally:
        back = f"rm -f {LEFT_BY_DKMS.format(**words)}; cp /srv/kept.ko {path}; depmod {release}"
        assert ready_made.node.sudo(back).returncode == 0
    assert ready_made.provision("drift", str(ready_made.inventory)).returncode == 0


@pytest.mark.parametrize("ready_made", ["ubuntu24.04"], indirect=True)
def test_a_kernel_without_any_is_told_before_a_package_is_touched(ready_made: Site) -> None:
    chosen = ready_made.planned.stack.version("kernel")
    platform = platform_for(ready_made.node.system, ready_made.node.arch)
    other = next(release for row in platform.kernels for release in row.releases if release != chosen)
    declared = ready_made.inventory.read_text()
    ready_made.inventory.write_text(declared.replace("sudo=True,", f"sudo=True,\n    kernel={other!r},"))
    before = ready_made.crc("dpkg-query -W")
    try:
        refused = ready_made.provision("apply", str(ready_made.inventory))
    finally:
        ready_made.inventory.write_text(declared)
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert re.search(rf"no version of linux-modules-nvidia-\d+-server-open-{other} is offered", refused.stdout)
    assert ready_made.crc("dpkg-query -W") == before
