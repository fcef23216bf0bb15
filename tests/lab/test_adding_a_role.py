"""docs/adding-a-role.md, followed word by word: its files written, its commands run, its output compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reader import BLOCK, Followed, Reader

from provision.lab import Lab, Node

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-role.md"
NODE = "rack14"


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


def test_what_the_page_shows_is_what_is_printed(followed: Followed) -> None:
    assert sum(map(len, followed.shown)) > 15
    assert followed.missing() == [], followed.said


def test_the_daemon_is_restarted_once_for_each_repair(followed: Followed, node: Node) -> None:
    starts = node.sudo("journalctl -q -u lldpd.service | grep -c 'Started lldpd.service'")
    assert int(starts.stdout) == 4, "installed, restarted with the first settings, and once for each of two repairs"


def test_the_node_ends_as_declared(followed: Followed, node: Node, reader: Reader) -> None:
    assert "hall 2 rack 14" in node.sudo("cat /etc/systemd/system/lldpd.service.d/provision.conf").stdout
    assert "nothing was due" in reader.type("provision apply inventory.py")


def test_a_daemon_that_is_gone_would_be_seen(followed: Followed, node: Node, reader: Reader) -> None:
    node.sudo("systemctl stop lldpd.service")
    assert "fails: lldp frames_go_out" in reader.type("! provision verify inventory.py")
