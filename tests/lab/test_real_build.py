"""NVIDIA's own open modules, as Debian packages them, by `provision apply` on bare nodes of Debian 12 and 13.

All is real: kernels, headers, driver, compiler, dkms. Nobody loads the modules: the kernel is this machine's. With a
catalog that knows of no failed build the newest kernel is taken, which refuses the driver; with the catalog as it is,
one that takes it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import pytest
import yaml

from provision.catalog import load
from provision.inventory import read_inventory
from provision.lab import Lab, Node, systems
from provision.ledger import Reading
from provision.planning import Planned, assemble, rooms
from provision.platforms import platform_for

CHECKOUT = Path(__file__).parents[2]
PAIRS = "provision/catalog/data/kernel_driver_pairs.yaml"


class Ran(NamedTuple):
    code: int
    output: str
    seconds: float


class Site:
    """An inventory of one bare node, and `provision` as a person runs it, of this checkout or of a copy."""

    def __init__(self, node: Node, os_id: str, folder: Path) -> None:
        self.node, self.os_id, self.folder = node, os_id, folder
        self.inventory = folder / "inventory.py"
        keys = {"os": os_id, "arch": node.arch, "gpu": "H100", "hardware": "absent", "sudo": True}
        keys["ssh_config_file"] = str(node.ssh_config)
        told = ", ".join(f"{key}={value!r}" for key, value in keys.items())
        self.inventory.write_text(f"from provision import fleet\n\nlab = fleet([{node.name!r}], {told})\n")

    def provision(self, *arguments: str, source: Path = CHECKOUT) -> Ran:
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-P", "-m", "provision", *arguments],
            check=False,
            cwd=self.folder,
            env=os.environ
            | {
                "PYTHONPATH": str(source),
                "PROVISION_STATE": str(self.folder / "state"),
                "PYINFRA_PROGRESS": "off",
                "COLUMNS": "300",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        ran = Ran(done.returncode, done.stdout, round(time.monotonic() - begun, 1))
        print(f"{self.os_id}: provision {arguments[0]}: exit {ran.code}, {ran.seconds} s\n{ran.output[-3000:]}")
        return ran

    @property
    def planned(self) -> Planned:
        spec = read_inventory(self.inventory)[self.node.name]
        return assemble(spec, rooms([CHECKOUT / "roles"]), Reading(self.node.name, self.folder / "state").load())

    def sudo(self, program: str) -> str:
        done = self.node.sudo(program)
        assert done.returncode == 0, f"{program}\n{done.stdout}{done.stderr}"
        return done.stdout

    def kernels(self) -> dict[str, bool]:
        """Every kernel in /boot, and whether it has an initrd that can be read."""
        found = self.node.sudo("cd /boot && ls vmlinuz-* 2>/dev/null").stdout.split()
        releases = [name.removeprefix("vmlinuz-") for name in found]
        return {r: self.node.sudo(f"lsinitramfs /boot/initrd.img-{quote(r)}").returncode == 0 for r in releases}


def forgetful(folder: Path) -> Path:
    """A copy of the product whose catalog knows of no build that fails."""
    shutil.copytree(CHECKOUT / "provision", folder / "provision", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / "roles", folder / "roles", ignore=shutil.ignore_patterns("__pycache__"))
    pairs = folder / PAIRS
    table = yaml.safe_load(pairs.read_text())
    table["rows"] = [row for row in table["rows"] if row["builds"] and "debian" not in row["kernel"]]
    pairs.write_text(yaml.safe_dump(table))
    return folder


@pytest.fixture(params=["debian13", "debian12"])
def site(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Iterator[Site]:
    ground = systems.ground(lab, systems.check(request.param))
    name = f"real-{request.param}"
    (node,) = lab.up([name], layer=ground.layer, suite=ground.suite)
    yield Site(node, request.param, tmp_path)
    lab.down([name])


@pytest.mark.sweep
def test_a_kernel_that_refuses_the_driver_is_taken_off_again_and_the_old_one_stays(site: Site, tmp_path: Path) -> None:
    platform = platform_for(site.os_id, site.node.arch)
    # A machine has a kernel that it boots now: here the one that the catalog leads to.
    old, driver = site.planned.stack.version("kernel"), site.planned.stack.version("driver")
    image = platform.kernel_packages(old)[0].name
    site.sudo(f"apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install {quote(image)}")
    assert site.kernels() == {old: True}
    booted = site.node.boot_id()

    refused = site.provision("apply", str(site.inventory), source=forgetful(tmp_path / "copy"))

    assert refused.code == 1, refused.output
    module, version = platform.dkms_module(driver, "open")
    (told,) = {line.strip() for line in refused.output.splitlines() if "does not build for kernel" in line}
    release = told.partition("does not build for kernel ")[2].partition(":")[0]
    assert f"{module}/{version} does not build for kernel {release}: " in told
    assert ": error: " in told
    log = f"/var/lib/dkms/{module}/{version}/build/make.log"
    assert log in refused.output
    assert "error: " in site.sudo(f"cat {quote(log)}")
    assert site.node.boot_id() == booted
    assert site.kernels() == {old: True}

    stack = site.planned.stack
    assert stack.version("kernel") != release, "the catalog as it is leads elsewhere, from the same first reading"
    assert [p for p in load().kernel_driver_pairs if (p.builds, p.driver, p.last) == (False, driver, release)]


@pytest.mark.sweep
def test_the_catalog_leads_to_a_kernel_that_takes_the_driver(site: Site) -> None:
    brought = site.provision("apply", str(site.inventory))
    assert brought.code == 0, brought.output
    release = site.planned.stack.version("kernel")
    assert site.kernels() == {release: True}
    assert site.sudo(f"dkms status -k {quote(release)}").strip().endswith(": installed")
    assert site.provision("verify", str(site.inventory)).code == 0
