"""docs/adding-a-role.md, followed word by word: its files written, its commands run, its output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from provision.lab import Lab, Node

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-role.md"
NODE = "rack14"
BLOCK = re.compile(r"(?:^`(?P<path>[\w./]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Followed(NamedTuple):
    """`said`: what each block of commands printed; `shown`: the lines of the page that tell of it."""

    said: list[str]
    shown: list[list[str]]


class Reader:
    """Somebody in a terminal, who writes the page's files and types its commands."""

    def __init__(self, folder: Path, lab: Lab) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PROVISION_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        self.environment = kept | {"PATH": path, "PROVISION_LAB": str(lab.state)}

    def type(self, commands: str) -> str:
        where = self.folder.parent / "where"
        done = subprocess.run(
            ["sh", "-eu", "-c", f'{commands}\npwd >"$0"', str(where)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        self.folder = Path(where.read_text().strip())
        return done.stdout

    def follow(self, page: str) -> Followed:
        followed = Followed([], [])
        for block in BLOCK.finditer(page):
            match block["language"]:
                case "sh":
                    followed.said.append(self.type(block["text"]))
                    followed.shown.append([])
                case "python":
                    (self.folder / block["path"]).write_text(block["text"])
                case "text":
                    followed.shown[-1] += block["text"].splitlines()
        return followed


@pytest.fixture(scope="module")
def node(lab: Lab) -> Iterator[Node]:
    (up,) = lab.up([NODE])
    yield up
    lab.down([NODE])


@pytest.fixture(scope="module")
def reader(lab: Lab, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("reader") / "home"
    (folder / "site").mkdir(parents=True)
    # The page's reader has his lab in the folder where he works; the tests' lab lies elsewhere.
    (folder / "site" / ".lab").symlink_to(lab.state)
    return Reader(folder, lab)


@pytest.fixture(scope="module")
def followed(reader: Reader) -> Followed:
    """The page up to its last command, which takes the node away."""
    page, last, rest = PAGE.read_text().partition(f"```sh\nprovision lab down {NODE}\n")
    assert last
    assert not BLOCK.search(rest)
    return reader.follow(page)


def like(line: str) -> re.Pattern[str]:
    """A line of the page: digits and the width of columns may be others, `…` stands for anything."""
    pattern = re.escape(line.strip()).replace("…", ".*")
    return re.compile(re.sub(r"(\\ )+", " +", re.sub(r"[0-9]+", "[0-9]+", pattern)))


def test_what_the_page_shows_is_what_is_printed(followed: Followed) -> None:
    assert sum(map(len, followed.shown)) > 15
    for said, shown in zip(followed.said, followed.shown, strict=True):
        printed = [line.strip() for line in said.splitlines()]
        missing = [line for line in shown if not any(like(line).fullmatch(one) for one in printed)]
        assert missing == [], said


def test_the_daemon_is_restarted_once_for_each_repair(followed: Followed, node: Node) -> None:
    starts = node.sudo("journalctl -q -u lldpd.service | grep -c 'Started lldpd.service'")
    assert int(starts.stdout) == 4, "installed, restarted with the first settings, and once for each of two repairs"


def test_the_node_ends_as_declared(followed: Followed, node: Node, reader: Reader) -> None:
    assert "hall 2 rack 14" in node.sudo("cat /etc/systemd/system/lldpd.service.d/provision.conf").stdout
    assert "nothing was due" in reader.type("provision apply inventory.py")


def test_a_daemon_that_is_gone_would_be_seen(followed: Followed, node: Node, reader: Reader) -> None:
    node.sudo("systemctl stop lldpd.service")
    assert "fails: lldp frames_go_out" in reader.type("! provision verify inventory.py")
