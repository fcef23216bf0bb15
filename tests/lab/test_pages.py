"""docs/pyinfra.md and docs/ansible.md, followed word by word, from `pip install` in a checkout to the last command."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playbook import CHECKOUT
from reader import BLOCK, Followed, Reader

from provision.lab import Lab

NODE = "rack14"
PAGES = ("pyinfra.md", "ansible.md")
DOWN = f"```sh\nprovision lab down {NODE}\n"
LEFT_OUT = (".git", ".lab", ".provision", ".venv*", ".mypy_cache", ".ruff_cache", ".pytest_cache", "__pycache__")


class Read(NamedTuple):
    page: str
    reader: Reader
    followed: Followed


@pytest.fixture(scope="module", params=PAGES)
def read(request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    """A page up to its last command, which takes the node away."""
    home = tmp_path_factory.mktemp("reader")
    shutil.copytree(CHECKOUT, home / "provision", symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    # The page's reader has his lab in the folder where he works; the tests' lab lies elsewhere.
    (home / "site").mkdir()
    (home / "site" / ".lab").symlink_to(lab.state)
    lab.up([NODE])
    reader = Reader(home / "provision", lab, ANSIBLE_HOME=str(home / "ansible"), ANSIBLE_NOCOLOR="1")
    page, last, rest = (CHECKOUT / "docs" / request.param).read_text().partition(DOWN)
    assert last
    assert not BLOCK.search(rest)
    try:
        yield Read(request.param, reader, reader.follow(page))
    finally:
        lab.down([NODE])


def test_what_the_page_shows_is_what_is_printed(read: Read) -> None:
    assert sum(map(len, read.followed.shown)) > 4
    assert read.followed.missing() == [], "\n".join(read.followed.said)


def test_both_the_role_and_the_users_own_tasks_were_carried_out(read: Read, lab: Lab) -> None:
    node = lab.node(NODE)
    assert "rack 14 is ours" in node.ssh("cat /etc/motd").stdout
    assert node.sudo("test -s /etc/apt/apt.conf.d/52provision-unattended-upgrades").returncode == 0


def test_nothing_of_the_checkout_was_used(read: Read) -> None:
    told = read.reader.type("python -c 'import provision; print(provision.__file__)'")
    assert Path(told.strip()).is_relative_to(read.reader.folder / ".venv")
