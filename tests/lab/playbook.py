"""Ansible run in a user's project as its users do, and what its own recap and result lines say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from provision.model import Frozen

CHECKOUT = Path(__file__).parents[2]
SITE = "---\n- name: Bring nodes to their declared state\n  import_playbook: provision.core.site\n"

RECAP = re.compile(r"^(\S+)\s+: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)
ITEM = re.compile(r"^(ok|changed|skipping|failed): \[(\S+)\](?: =>)? \(item=\S+ \| ([a-z0-9-]+)", re.MULTILINE)


class Play(Frozen):
    """One run of ansible-playbook that has ended."""

    code: int
    output: str

    def items(self, word: str, node: str) -> list[str]:
        """Names of resources that Ansible told as `ok`, `changed`, `skipping` or `failed`, in order."""
        return [name for said, host, name in ITEM.findall(self.output) if (said, host) == (word, node)]

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by node, as the recap says."""
        return {host: int(changed) for host, changed, _, _ in RECAP.findall(self.output)}


def settings(folder: Path) -> dict[str, str]:
    """What Ansible is told in a user's folder: the collection of this checkout, and nothing of this machine's own."""
    return {
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT),
        "ANSIBLE_INVENTORY_ENABLED": "provision.core.fleet",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
    }


def play(folder: Path, arguments: Sequence[str] = (), **environment: str) -> Play:
    """`ansible-playbook -i inventory.py site.yml` in a folder."""
    (folder / "site.yml").write_text(SITE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROVISION_", "ANSIBLE_"))}
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.py", "site.yml", *arguments],
        cwd=folder,
        env={**kept, **settings(folder), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Play(code=done.returncode, output=done.stdout)


def newest(state: Path) -> Path:
    """The folder of a controller's last run."""
    return max((state / "runs").iterdir(), key=lambda run: run.stat().st_mtime)


def events(state: Path, kind: str) -> list[dict[str, object]]:
    """Events of one kind in the newest run of a controller, oldest first."""
    told = [json.loads(line) for line in (newest(state) / "events.jsonl").read_text().splitlines()]
    return [event for event in told if event["event"] == kind]
