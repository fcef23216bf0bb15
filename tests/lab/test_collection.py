"""Outside this checkout: the wheel in an environment of its own, the collection from its file, and nothing else of ours.

pip downloads what the wheel depends on; after that no network is needed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playbook import CHECKOUT
from standins import provide

from provision.lab import Lab, Node
from provision.planning import rooms

pytest.importorskip("ansible", reason="ansible-core is not installed: pip install ansible-core")

PLAYBOOK = """\
---
- name: One role, in somebody's own playbook
  hosts: gpu
  gather_facts: false
  become: true
  roles:
    - role: provision.core.kernel_64k
"""

INVENTORY = """\
gpu:
  hosts:
    {name}:
  vars:
    ansible_ssh_common_args: -F {ssh_config}
    provision_os: debian13
    provision_arch: {arch}
    provision_gpu: H100
    provision_hardware: absent
"""

CARRIED = {
    "CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "meta", "playbooks", "plugins", "roles",
}  # fmt: skip

NODES = ("outside1", "outside2", "outside3")

CHANGED = re.compile(r"^\S+ +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=0", re.MULTILINE)


class Ran(NamedTuple):
    code: int
    output: str


class Outside:
    """Somebody's folder, and an environment with the wheel and ansible-core in it."""

    def __init__(self, folder: Path, environment: Path) -> None:
        self.folder, self.programs = folder, environment / "bin"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PROVISION_", "ANSIBLE_", "PYTHON"))}
        self.environment = {
            **kept,
            "PATH": f"{self.programs}{os.pathsep}{kept['PATH']}",
            "ANSIBLE_HOME": str(environment / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
        }

    def run(self, command: str) -> Ran:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout)

    def succeed(self, command: str) -> str:
        ran = self.run(command)
        assert ran.code == 0, f"{command}\n{ran.output}"
        return ran.output


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    place = folder / "venv"
    for command in (
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT)],
        [sys.executable, "-m", "venv", str(place)],
    ):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    (wheel,) = folder.glob("provision-*.whl")
    install = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", f"{wheel}[ansible]"]
    subprocess.run(install, check=True, stdin=subprocess.DEVNULL)
    return place


@pytest.fixture(scope="module")
def nodes(lab: Lab) -> Iterator[tuple[Node, ...]]:
    yield tuple(lab.up(list(NODES), layer=provide(lab)))
    lab.down(list(NODES))


class TestAProject:
    """What `provision init` writes, used on a bare node by every command that its README names, and by no other means."""

    @pytest.fixture
    def project(self, environment: Path, tmp_path: Path) -> Outside:
        made = Outside(tmp_path, environment)
        said = made.succeed(f"provision init fleet --os debian13 --arch {os.uname().machine} --gpu H100 --host gpu-01")
        assert "ansible.cfg" in said
        return Outside(tmp_path / "fleet", environment)

    def named(self, project: Outside) -> set[str]:
        """Commands of its README."""
        page = (project.folder / "README.md").read_text()
        return {line.strip() for line in page.splitlines() if line.startswith("    ")}

    def declare(self, project: Outside, node: Node) -> None:
        """The one change that a user makes, and what only a lab node may say."""
        path = project.folder / "inventory.py"
        text = path.read_text().replace('"gpu-01"', repr(node.name))
        more = f"    hardware='absent',\n    ssh_config_file={str(node.ssh_config)!r},\n    sudo=True,\n"
        assert text.count("    sudo=True,\n") == 1
        path.write_text(text.replace("    sudo=True,\n", more))

    def test_a_plan_needs_no_node(self, project: Outside) -> None:
        told = project.succeed("provision plan inventory.py")
        assert "module-build" in told
        assert "Boot 2 of 2" in told

    def test_pyinfra_brings_a_node_up_and_ansible_finds_nothing_to_do(
        self, project: Outside, nodes: tuple[Node, ...]
    ) -> None:
        self.declare(project, nodes[0])
        project.succeed("provision plan inventory.py")
        assert project.run("provision apply --dry inventory.py").code == 3
        assert "kernel-packages" in project.succeed("pyinfra inventory.py deploy.py --dry")
        assert nodes[0].sudo("test -e /var/lib/provision/derived/initrd").returncode != 0

        assert "converged" in project.succeed("pyinfra inventory.py deploy.py -y")

        assert nodes[0].sudo("test -s /var/lib/provision/derived/initrd").returncode == 0
        assert "nothing was due" in project.succeed("provision apply inventory.py")
        project.succeed("provision verify inventory.py")
        for command in ("ansible-playbook -i inventory.py site.yml", self.CHECK):
            assert CHANGED.findall(project.succeed(command)) == ["0"]

    def test_ansible_brings_a_node_up_and_pyinfra_finds_nothing_to_do(
        self, project: Outside, nodes: tuple[Node, ...]
    ) -> None:
        self.declare(project, nodes[1])
        checked = project.succeed(self.CHECK)
        assert "changed: [outside2] => (item=kernel_64k | kernel-packages)" in checked
        assert nodes[1].sudo("test -e /var/lib/provision/derived/initrd").returncode != 0

        played = project.succeed("ansible-playbook -i inventory.py site.yml")

        assert "changed: [outside2] => (item=open_kernel_modules | module-build)" in played
        assert nodes[1].sudo("test -s /var/lib/provision/derived/initrd").returncode == 0
        assert "nothing was due" in project.succeed("provision apply inventory.py --engine ansible")
        assert "converged" in project.succeed("pyinfra inventory.py deploy.py -y")
        project.succeed("provision apply --dry inventory.py")
        project.succeed("provision verify inventory.py")

    CHECK = "ansible-playbook -i inventory.py site.yml --check --diff"

    def test_no_command_of_its_readme_was_left_out(self, project: Outside) -> None:
        assert self.named(project) == {
            "provision plan inventory.py",
            "provision apply --dry inventory.py",
            "provision apply inventory.py",
            "provision verify inventory.py",
            "pyinfra inventory.py deploy.py --dry",
            "pyinfra inventory.py deploy.py -y",
            self.CHECK,
            "ansible-playbook -i inventory.py site.yml",
        }

    def test_the_wheel_brings_the_whole_collection(self, project: Outside) -> None:
        """ansible-galaxy takes what lies there for installed, and would leave out what it lacks."""
        assert "provision.core 0" in project.succeed("ansible-galaxy collection list provision.core")
        told = project.succeed("ansible-doc -t role -l provision.core")
        assert {name for name in rooms() if f"provision.core.{name}" not in told} == set()

    def test_nothing_came_from_this_checkout(self, project: Outside) -> None:
        told = project.succeed("python -c 'import provision; print(provision.__file__)'; provision roles list")
        assert str(CHECKOUT) not in told
        assert f"{project.programs.parent}/lib" in told
        assert "kernel_64k: " in told


@pytest.fixture(scope="module")
def outside(environment: Path, nodes: tuple[Node, ...], tmp_path_factory: pytest.TempPathFactory) -> Outside:
    """A folder with an inventory in YAML and a playbook, where the collection that the wheel carries is not seen."""
    made = Outside(tmp_path_factory.mktemp("outside"), environment)
    made.environment["ANSIBLE_COLLECTIONS_SCAN_SYS_PATH"] = "False"
    (made.folder / "playbook.yml").write_text(PLAYBOOK)
    told = INVENTORY.format(name=nodes[2].name, ssh_config=nodes[2].ssh_config, arch=os.uname().machine)
    (made.folder / "inventory.yml").write_text(told)
    return made


class TestTheCollection:
    """From its file."""

    def test_is_built_and_installed_from_its_file(self, outside: Outside) -> None:
        outside.succeed(f"ansible-galaxy collection build {CHECKOUT} --output-path .")
        (file,) = outside.folder.glob("provision-core-*.tar.gz")
        with tarfile.open(file) as tar:
            assert {name.split("/")[0] for name in tar.getnames()} == CARRIED
            assert [name for name in tar.getnames() if "__pycache__" in name] == []
        outside.succeed(f"ansible-galaxy collection install {file.name}")
        assert str(outside.programs.parent / "ansible") in outside.succeed("ansible-galaxy collection list")

    @pytest.mark.parametrize(
        ("variable", "told"),
        [
            ("provision_drivr=580", "'drivr' is not a key, did you mean 'driver'?"),
            ("kernel_64k_trial_minutes=0", "kernel_64k_trial_minutes='0': it must be 2 or more"),
        ],
    )
    def test_refuses_a_wrong_variable_before_any_connection(self, outside: Outside, variable: str, told: str) -> None:
        """All kinds of mistakes: tests/unit/test_one_refusal.py."""
        refused = outside.run(f"ansible-playbook -i inventory.yml playbook.yml -e {variable} -e ansible_host=192.0.2.1")
        assert refused.code == 2
        assert told in refused.output
        assert "UNREACHABLE" not in refused.output

    def test_its_role_is_used_by_a_playbook_elsewhere_by_its_full_name(self, outside: Outside) -> None:
        played = outside.succeed("ansible-playbook -i inventory.yml playbook.yml")
        assert "changed: [outside3] => (item=kernel_64k | kernel-packages)" in played
        assert "module-build" not in played, "no other role's"
        assert CHANGED.findall(outside.succeed("ansible-playbook -i inventory.yml playbook.yml")) == ["0"]

    def test_is_documented_for_ansible_doc(self, outside: Outside) -> None:
        for kind, name in (("module", "step"), ("module", "resource"), ("lookup", "plan"), ("inventory", "fleet")):
            outside.succeed(f"ansible-doc -t {kind} provision.core.{name}")
        assert "kernel_64k_trial_minutes" in outside.succeed("ansible-doc -t role provision.core.kernel_64k")
