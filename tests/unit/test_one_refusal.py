"""A wrong variable is refused by a role in Ansible in the words in which an inventory file is refused, and as early.

One play is run over many hosts, each with one mistake. The hosts cannot be reached: their addresses are documentation's.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.inventory import WrongInventory, read_hosts

pytest.importorskip("ansible", reason="ansible-core is not installed: pip install ansible-core")

ROOT = Path(__file__).parents[2]
GOOD = {"os": "debian13", "arch": "x86_64", "gpu": "H100"}
ROLE = "kernel_64k"

WRONG: dict[str, dict[str, Any]] = {
    "misspelt": {"drivr": "580"},
    "like-nothing": {"colour": "green"},
    "another-type": {"driver": 580},
    "no-list": {"features": "rdma"},
    "word-in-a-list": {"features": ["rdmaa"]},
    "no-word": {"arch": "arm64"},
    "no-truth": {"fabricmanager": "perhaps"},
    "no-gpu": {"gpu": "H10O"},
    "hostile": {"kernel": "$(reboot)"},
    "two-mistakes": {"drivr": "580", "arch": "arm64"},
    "of-a-role-misspelt": {f"{ROLE}_trial_minuts": 3},
    "of-a-role-no-number": {f"{ROLE}_trial_minutes": "soon"},
    "of-a-role-too-small": {f"{ROLE}_trial_minutes": 0},
    "of-a-role-no-list": {f"{ROLE}_arguments": "quiet"},
    "of-a-role-no-truth": {f"{ROLE}_remove_old_kernels": "perhaps"},
    "of-another-role": {"preflight_root_mib": "much"},
}

FATAL = re.compile(r"^fatal: \[(?P<host>[a-z-]+)\]: (?P<how>\w+)! => (?P<result>\{.*\})$", re.MULTILINE)


def in_an_inventory_file(host: str, keys: dict[str, Any], folder: Path) -> list[str]:
    """What is told of the host, named where Ansible names it."""
    path = folder / f"{host}.py"
    path.write_text(f"from provision import fleet\n\none = fleet([{host!r}], **{GOOD | keys!r})\n")
    with pytest.raises(WrongInventory) as caught:
        read_hosts(path)
    return [f"{host}: {text}" for text in caught.value.mistakes]


def variable(key: str) -> str:
    return key if key.startswith((f"{ROLE}_", "preflight_")) else f"provision_{key}"


def play(folder: Path, hosts: dict[str, dict[str, Any]], **more: str) -> subprocess.CompletedProcess[str]:
    """Somebody's playbook with one role of ours, over hosts that cannot be reached."""
    reached = {host: {**variables, "ansible_host": "192.0.2.1"} for host, variables in hosts.items()}
    (folder / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": reached}}))
    plays = [{"hosts": "all", "gather_facts": False, "roles": [f"provision.core.{ROLE}"]}]
    (folder / "playbook.yml").write_text(yaml.safe_dump(plays))
    settings = {"ANSIBLE_HOME": str(folder), "ANSIBLE_COLLECTIONS_PATH": str(ROOT), "ANSIBLE_NOCOLOR": "1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROVISION_", "ANSIBLE_"))}
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.yml", "playbook.yml"],
        cwd=folder, env=kept | settings | more, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Host -> why Ansible refused it."""
    hosts = {host: {variable(key): value for key, value in (GOOD | keys).items()} for host, keys in WRONG.items()}
    done = play(tmp_path_factory.mktemp("play"), hosts)
    told = list(FATAL.finditer(done.stdout))
    assert {one["how"] for one in told} == {"FAILED"}, "a connection was tried\n" + done.stdout[-3000:]
    return {one["host"]: str(json.loads(one["result"])["msg"]) for one in told}


@pytest.mark.parametrize("host", WRONG)
def test_a_role_refuses_what_an_inventory_file_refuses_in_the_same_words(
    host: str, refused: dict[str, str], tmp_path: Path
) -> None:
    assert refused[host] == str(WrongInventory(in_an_inventory_file(host, WRONG[host], tmp_path)))


def test_what_looks_like_a_roles_and_is_somebody_elses_is_let_through(tmp_path: Path) -> None:
    done = play(
        tmp_path, {"host": {variable(key): value for key, value in GOOD.items()} | {"dcgm_exporter_port": 9400}}
    )
    assert "UNREACHABLE" in done.stdout


WITHOUT_THE_PACKAGE = """\
import sys
from pathlib import Path

sys.path[:] = [entry for entry in sys.path if not (Path(entry) / "provision" / "__init__.py").exists()]
"""


def test_the_collection_without_its_package_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_THE_PACKAGE)
    done = play(tmp_path, {"host": {variable(key): value for key, value in GOOD.items()}}, PYTHONPATH=str(tmp_path))
    (told,) = FATAL.finditer(done.stdout)
    assert "needs its Python package provision beside ansible-core" in json.loads(told["result"])["msg"]
    assert "Traceback" not in done.stdout + done.stderr
