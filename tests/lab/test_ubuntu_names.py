"""Network drivers, GPU modules and user half under Ubuntu's and NVIDIA's names: stand-ins on a Debian node.

Real here: apt, signatures, dkms, compiler, headers, symbol versions. The packages' contents are stand-ins, and the node
says so in /etc/provision-standins.
"""

from __future__ import annotations

import os
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
from provision.lab.archive import MARK, PLACE, provide
from provision.ledger import Reading
from provision.model.openpgp import fingerprints
from provision.planning import Planned, assemble, rooms

NAME = "ofed1"
SYSTEM = "ubuntu24.04"

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
        spec = read_inventory(self.inventory)[NAME]
        return assemble(spec, rooms(), Reading(NAME, self.state).load())

    def done(self) -> list[str]:
        """What the newest run carried out, in order."""
        newest = sorted((self.state / "runs").iterdir())[-1]
        events: list[dict[str, Any]] = list(read(newest))
        return [str(event["resource"]) for event in events if event["event"] == "ok"]

    def crc(self, program: str) -> str:
        return self.node.sudo(program).stdout.strip()


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    (node,) = lab.up([NAME], layer=provide(lab, SYSTEM))
    folder = tmp_path_factory.mktemp("ubuntu-names")
    site = Site(lab, node, folder)
    releases = [row.id for row in load().doca_releases if not row.prebuilt]
    # Every release has a repository and a key of its own here; the plan says which one is wanted.
    texts = {r: _armoured(node, f"{PLACE}/doca/{r}.gpg") for r in releases}
    site.inventory.write_text(_inventory(lab, folder, texts[releases[0]]))
    chosen = site.planned.stack.version("doca")
    site.inventory.write_text(_inventory(lab, folder, texts[chosen]))
    yield site
    lab.down([NAME])


def _armoured(node: Node, keyring: str) -> str:
    program = f"gpg --no-options --no-default-keyring --keyring {keyring} --armor --export"
    done = node.sudo(f"GNUPGHOME=$(mktemp -d) {program}")
    assert done.stdout, done.stderr
    return done.stdout


def _inventory(lab: Lab, folder: Path, key: str) -> str:
    return INVENTORY.format(
        name=NAME,
        system=SYSTEM,
        arch=os.uname().machine,
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


def test_everything_says_that_it_is_a_stand_in(applied: Site) -> None:
    assert "stand-ins" in applied.node.sudo(f"cat {MARK}").stdout


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
