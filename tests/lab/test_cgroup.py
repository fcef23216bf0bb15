"""A node's control groups come and go while they are read: log-ins end, services stop."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator

import pytest

from provision.lab import host
from provision.lab.cgroup import Group


@pytest.fixture
def group() -> Iterator[Group]:
    if lacking := host.missing():
        pytest.skip(host.sentence(lacking))
    made = Group("provision-lab-test-cgroup")
    made.create()
    yield made
    made.kill()
    made.remove()


def test_processes_are_listed_from_groups_below_too(group: Group) -> None:
    below = group.paths[0] / "below"
    below.mkdir()
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        (below / "cgroup.procs").write_text(str(sleeper.pid), encoding="ascii")
        assert group.processes() == (sleeper.pid,)
        group.kill()
    assert group.processes() == ()


def test_groups_that_vanish_while_they_are_listed_do_no_harm(group: Group) -> None:
    over = threading.Event()

    def log_in_and_out() -> None:
        while not over.is_set():
            session = group.paths[0] / "user" / "session"
            session.mkdir(parents=True)
            session.rmdir()
            session.parent.rmdir()

    thread = threading.Thread(target=log_in_and_out)
    thread.start()
    try:
        assert {group.processes() for _ in range(3000)} == {()}
    finally:
        over.set()
        thread.join()
