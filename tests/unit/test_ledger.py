"""What the controller keeps: the ledger, the first reading, and the locks that keep two runs apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import machine, noted, plan

from provision.engines.events import RUN_VARIABLE, Events, new_run, read, run_folder
from provision.ledger import STATE_VARIABLE, AtWork, Ledger, NodeLocks, Reading, controller, now, state
from provision.model import LedgerEntry

EMPTY = plan()


def entry(step: str = "reboot", **fields: str) -> LedgerEntry:
    return noted(EMPTY, step, **fields)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger("n1", tmp_path)


class TestLedger:
    def test_a_node_that_nobody_worked_on_has_no_entries(self, ledger: Ledger) -> None:
        assert ledger.entries() == ()
        assert not ledger.is_rebooting()

    def test_entries_come_back_oldest_first(self, ledger: Ledger) -> None:
        entries = tuple(entry(step) for step in ("stretch", "reboot", "booted", "done"))
        for one in entries:
            ledger.add(one)
        assert ledger.entries() == entries
        assert len(ledger.path.read_bytes().splitlines()) == 4

    def test_a_machine_that_was_made_anew_under_its_old_name_starts_anew(self, ledger: Ledger) -> None:
        ledger.add(entry("reboot", machine_id="old"))
        ledger.add(entry("stretch", machine_id="new"))
        assert [e.step for e in ledger.entries("new")] == ["stretch"]
        assert ledger.entries("other") == ()

    def test_two_nodes_are_apart(self, tmp_path: Path) -> None:
        Ledger("n1", tmp_path).add(entry())
        assert Ledger("n2", tmp_path).entries() == ()

    def test_a_node_is_rebooting_while_nobody_saw_the_end_of_it(self, ledger: Ledger) -> None:
        seen = []
        for step in ("stretch", "reboot", "booted", "reboot", "failed"):
            ledger.add(entry(step))
            seen.append(ledger.is_rebooting())
        assert seen == [False, True, False, True, False]

    def test_a_last_line_torn_by_a_power_cut_is_passed_over_wherever_it_is_torn(self, ledger: Ledger) -> None:
        ledger.add(entry("stretch"))
        ledger.add(entry("reboot", detail="caf\u00e9 \u2028 \U0001f4a5"))
        whole = ledger.path.read_bytes()
        first = whole.index(b"\n") + 1
        for cut in range(first, len(whole) - 1):
            ledger.path.write_bytes(whole[:cut])
            assert [e.step for e in ledger.entries()] == ["stretch"]
            assert not ledger.is_rebooting()

    def test_what_is_added_behind_a_torn_line_is_not_lost_with_it(self, ledger: Ledger) -> None:
        ledger.add(entry("stretch"))
        whole = ledger.path.read_bytes()
        ledger.path.write_bytes(whole + whole[: len(whole) // 2])
        ledger.add(entry("reboot"))
        assert [e.step for e in ledger.entries()] == ["stretch", "reboot"]
        assert ledger.is_rebooting()

    @pytest.mark.parametrize(
        "garbage", [b"\xff\xfe\n", b"[]\n", b"null\n", b"\n\n", b'{"at": 1}\n', b"\x00" * 4096 + b"\n"]
    )
    def test_lines_that_are_no_entries_are_passed_over(self, ledger: Ledger, garbage: bytes) -> None:
        ledger.add(entry("stretch"))
        with ledger.path.open("ab") as file:
            file.write(garbage)
        ledger.add(entry("done"))
        assert [e.step for e in ledger.entries()] == ["stretch", "done"]

    @given(detail=st.text(max_size=30))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
    def test_any_detail_is_one_entry(self, ledger: Ledger, detail: str) -> None:
        ledger.path.unlink(missing_ok=True)
        ledger.add(entry("failed", detail=detail))
        ledger.add(entry("done"))
        assert [e.detail for e in ledger.entries()] == [detail, ""]

    def test_two_writers_lose_nothing(self, ledger: Ledger) -> None:
        def write(run: str) -> None:
            for _ in range(20):
                Ledger("n1", ledger.path.parent.parent).add(entry("stretch", run=run))

        writers = [threading.Thread(target=write, args=(run,)) for run in ("a", "b")]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert sorted(e.run for e in ledger.entries()) == ["a"] * 20 + ["b"] * 20


class TestReading:
    def test_it_is_kept_until_it_is_forgotten(self, tmp_path: Path) -> None:
        reading, snapshot = Reading("n1", tmp_path), machine(node="n1", offers={"a": ("1", "2")})
        assert reading.load() is None
        reading.save(snapshot)
        assert Reading("n1", tmp_path).load() == snapshot
        reading.forget()
        reading.forget()
        assert reading.load() is None

    @pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[]", b'{"os": "debian13"}'])
    def test_a_broken_one_counts_as_none(self, tmp_path: Path, text: bytes) -> None:
        reading = Reading("n1", tmp_path)
        reading.save(machine())
        reading.path.write_bytes(text)
        assert reading.load() is None


class TestWhereItIs:
    def test_beside_the_project_or_where_the_environment_says(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv(STATE_VARIABLE, raising=False)
        assert state() == tmp_path / ".provision"
        monkeypatch.setenv(STATE_VARIABLE, "/elsewhere")
        assert state() == Path("/elsewhere")

    def test_two_state_folders_are_two_controllers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "a"))
        one = controller()
        assert one == controller()
        monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "b"))
        assert controller() != one
        assert one.isalnum()

    def test_time_is_utc_to_the_second(self) -> None:
        assert abs(time.time() - time.mktime(time.strptime(now(), "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < 3


class TestEvents:
    def test_a_run_has_its_own_folder_or_the_one_it_was_given(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
        monkeypatch.delenv(RUN_VARIABLE, raising=False)
        folder = run_folder()
        assert (folder.parent, folder.is_dir()) == (tmp_path / "runs", True)
        monkeypatch.setenv(RUN_VARIABLE, str(folder))
        assert run_folder() == folder

    def test_events_are_there_for_others_at_once_and_a_torn_one_is_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
        folder = new_run()
        assert list(read(folder)) == []
        events = Events(folder)
        events.write("begin", "n1", resource="\x1b[2J\n\u2028\x85é")
        events.write("ok", "n1", seconds=1.5)
        with (folder / "events.jsonl").open("a") as file:
            file.write('{"at": 1, "ev')
        assert [(e["event"], e["node"]) for e in read(folder)] == [("begin", "n1"), ("ok", "n1")]
        assert next(read(folder))["resource"] == "\x1b[2J\n\u2028\x85é"


HOLD = """
import sys, time
from pathlib import Path
from provision.ledger import NodeLocks
with NodeLocks(sys.argv[2:], Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

TAKE_TURNS = """
import sys
from pathlib import Path
from provision.ledger import NodeLocks
for _ in range(20):
    with NodeLocks(sys.argv[2:], Path(sys.argv[1]), wait=20):
        pass
"""


@contextmanager
def held_by_another_process(folder: Path, *nodes: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), *nodes], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


class TestNodeLocks:
    def test_a_second_run_is_kept_off_and_told_whom_by(self, tmp_path: Path) -> None:
        with (
            held_by_another_process(tmp_path, "n1") as other,
            pytest.raises(
                AtWork, match=rf"^n1: another run \(process {other.pid} since 20.*Z\) is at work; run again later$"
            ),
            NodeLocks(["n1"], tmp_path, wait=0),
        ):
            pytest.fail("it was let in")

    def test_other_nodes_are_free(self, tmp_path: Path) -> None:
        with held_by_another_process(tmp_path, "n1"), NodeLocks(["n2", "n3"], tmp_path, wait=0):
            pass

    def test_a_killed_run_blocks_nobody(self, tmp_path: Path) -> None:
        with held_by_another_process(tmp_path, "n1") as other:
            os.kill(other.pid, signal.SIGKILL)
            other.wait()
            with NodeLocks(["n1"], tmp_path, wait=0):
                assert (tmp_path / "locks" / "n1").read_text().startswith(f"process {os.getpid()} since 20")

    def test_it_waits_for_the_other_to_end(self, tmp_path: Path) -> None:
        with held_by_another_process(tmp_path, "n1") as other:
            threading.Timer(0.3, other.kill).start()
            begun = time.monotonic()
            with NodeLocks(["n1"], tmp_path, wait=10):
                assert time.monotonic() - begun > 0.2

    def test_what_was_taken_is_given_back_when_one_cannot_be_had(self, tmp_path: Path) -> None:
        with held_by_another_process(tmp_path, "n2"):
            with pytest.raises(AtWork, match=r"^n2: "), NodeLocks(["n3", "n2", "n1"], tmp_path, wait=0):
                pytest.fail("it was let in")
            # In sorted order: the one before was taken, the one behind was never asked for.
            assert sorted(path.name for path in (tmp_path / "locks").iterdir()) == ["n1", "n2"]
            with NodeLocks(["n1", "n3"], tmp_path, wait=0):
                pass

    def test_they_are_given_back_at_the_end_and_after_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError), NodeLocks(["n1"], tmp_path, wait=0):
            raise ZeroDivisionError
        with NodeLocks(["n1", "n1"], tmp_path, wait=0):
            pass

    def test_two_runs_over_the_same_nodes_never_wait_for_each_other(self, tmp_path: Path) -> None:
        runs = [
            subprocess.Popen([sys.executable, "-c", TAKE_TURNS, str(tmp_path), *nodes])
            for nodes in (("a", "b", "c"), ("c", "b", "a"))
        ]
        assert [run.wait(30) for run in runs] == [0, 0]
