"""The collection as its file: built, installed, and one of its roles used by a playbook that knows nothing of this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playbook import CHECKOUT
from standins import provide

from provision.lab import Lab, Node

pytest.importorskip("ansible", reason="ansible-core is not installed: pip install 'provision[ansible]'")

PLAYBOOK = """\
---
- name: One role, in somebody's own playbook
  hosts: gpu
  gather_facts: false
  become: true
  roles:
    - role: provision.core.kernel_64k
"""

CARRIED = {"FILES.json", "LICENSE", "MANIFEST.json", "README.md", "meta", "playbooks", "plugins", "roles"}


class Outside:
    """A folder with an inventory in YAML, a playbook, and the collection installed from its file."""

    def __init__(self, folder: Path, node: Node) -> None:
        self.folder, self.node = folder, node
        (folder / "playbook.yml").write_text(PLAYBOOK)
        self.declare()

    def declare(self, more: str = "") -> None:
        (self.folder / "inventory.yml").write_text(
            f"""\
gpu:
  hosts:
    {self.node.name}:
  vars:
    ansible_ssh_common_args: -F {self.node.ssh_config}
    provision_os: debian13
    provision_arch: {os.uname().machine}
    provision_gpu: H100
    provision_hardware: absent
    {more}
"""
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROVISION_", "ANSIBLE_"))}
        settings = {
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "False",
            "ANSIBLE_NOCOLOR": "1",
        }
        return subprocess.run(
            [sys.executable, "-m", "ansible", *command],
            cwd=self.folder,
            env=kept | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("playbook", "-i", "inventory.yml", "playbook.yml", *arguments)


@pytest.fixture(scope="module")
def outside(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    (node,) = lab.up(["collection1"], layer=provide(lab))
    yield Outside(tmp_path_factory.mktemp("outside"), node)
    lab.down([node.name])


def test_the_collection_is_built_and_installed_from_its_file(outside: Outside) -> None:
    built = outside.run("galaxy", "collection", "build", str(CHECKOUT), "--output-path", str(outside.folder))
    assert built.returncode == 0, built.stdout
    (file,) = outside.folder.glob("provision-core-*.tar.gz")
    with tarfile.open(file) as tar:
        assert {name.split("/")[0] for name in tar.getnames()} == CARRIED
    installed = outside.run("galaxy", "collection", "install", str(file), "-p", str(outside.folder / "collections"))
    assert installed.returncode == 0, installed.stdout


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("provision_drivr: '580'", "'drivr' is not a key, did you mean 'driver'?"),
        (
            "kernel_64k_trial_minuts: 3",
            "'kernel_64k_trial_minuts' is not a key, did you mean 'kernel_64k_trial_minutes'?",
        ),
        ("kernel_64k_trial_minutes: 0", "kernel_64k_trial_minutes: Input should be greater than or equal to 2"),
    ],
)
def test_a_wrong_variable_is_refused_before_any_connection(outside: Outside, more: str, told: str) -> None:
    outside.declare(more)
    refused = outside.play("-e", "ansible_host=192.0.2.1")
    outside.declare()
    assert refused.returncode == 2
    assert told in refused.stdout
    assert "UNREACHABLE" not in refused.stdout


def test_a_playbook_elsewhere_uses_one_role_by_its_full_name(outside: Outside) -> None:
    played = outside.play()
    assert played.returncode == 0, played.stdout
    assert "changed: [collection1] => (item=kernel_64k | kernel-packages)" in played.stdout
    assert "module-build" not in played.stdout, "no other role's"
    again = outside.play()
    assert again.returncode == 0, again.stdout
    assert "changed=0" in again.stdout


def test_ansible_doc_knows_plugins_and_roles(outside: Outside) -> None:
    for kind, name in (("module", "step"), ("module", "resource"), ("lookup", "plan"), ("inventory", "fleet")):
        told = outside.run("doc", "-t", kind, f"provision.core.{name}")
        assert told.returncode == 0, told.stdout
    told = outside.run("doc", "-t", "role", "provision.core.kernel_64k")
    assert "kernel_64k_trial_minutes" in told.stdout
