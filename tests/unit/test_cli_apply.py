"""`provision apply`: an engine followed, its events in words, and how a run ended. Runs under data/runs are real ones."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live

from provision.cli.apply import exit_code, last_words, note_retry
from provision.cli.apply_view import conclude
from provision.cli.engine import FULL, INTERRUPTED, LOG, PACKAGED_DEPLOY, follow, pyinfra_command
from provision.cli.exits import Exit
from provision.cli.progress import LiveView, PlainView, at_work, progress_words, sentence
from provision.cli.summary import REBOOT, Event, NodeReport, Operation, Outcome, by_role, operations, report, reports
from provision.ledger import Ledger
from provision.model import LedgerEntry

RUNS = Path(__file__).parent / "data" / "runs"


def events(name: str) -> list[Event]:
    return [json.loads(line) for line in (RUNS / f"{name}.jsonl").read_text().splitlines()]


def of(name: str, kind: str) -> list[Event]:
    return [event for event in events(name) if event["event"] == kind]


def console(width: int = 200, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, highlight=False)


def text(of_console: Console) -> str:
    assert isinstance(of_console.file, io.StringIO)
    return of_console.file.getvalue()


DONE: Event = {"at": 1.0, "node": "n", "event": "done", "plan": "p", "not_applicable": {}}


def asked(resource: str, limit: str = "", why: str = "") -> Event:
    return {"at": 2.0, "node": "n", "event": "asked", "resource": resource, "role": "r", "limit": limit, "why": why}


class TestSummary:
    def test_a_bring_up(self) -> None:
        [one] = reports(events("first-light"), ["gpu1"])
        assert one.outcome == "converged"
        assert one.reboots == 1
        assert one.changes == len(of("first-light", "ok"))
        assert one.not_applicable == of("first-light", "done")[0]["not_applicable"]

    def test_every_operation_has_its_seconds_and_role(self) -> None:
        done = operations(events("first-light"))
        assert [o.seconds for o in done if o.resource != REBOOT] == [e["seconds"] for e in of("first-light", "ok")]
        assert [o.role for o in done if o.resource != REBOOT] == [e["role"] for e in of("first-light", "begin")]

    def test_a_reboot_counts_from_the_order_to_the_new_boot(self) -> None:
        [reboot] = [o for o in operations(events("first-light")) if o.resource == REBOOT]
        [ordered], [up] = of("first-light", "reboot"), of("first-light", "booted")
        assert reboot.seconds == pytest.approx(up["at"] - ordered["at"], abs=0.01)

    def test_roles_in_order_with_their_sums(self) -> None:
        done = operations(events("first-light"))
        summed = by_role(done)
        assert [o for _, _, group in summed for o in group] == list(done)
        assert sum(seconds for _, seconds, _ in summed) == pytest.approx(sum(o.seconds for o in done), abs=0.1)

    def test_a_failure_keeps_its_evidence(self) -> None:
        one = report("gpu1", events("failed"))
        [failed] = of("failed", "failed")
        assert (one.outcome, one.failed) == ("failed", failed["resource"])
        assert one.evidence == failed["evidence"].strip() != ""

    def test_a_run_that_was_interrupted_is_unfinished(self) -> None:
        assert report("gpu1", events("interrupted")).outcome == "unfinished"

    @pytest.mark.parametrize(
        ("last", "evidence"),
        [
            ({"event": "refused", "reason": "another run is at work"}, "another run is at work"),
            ({"event": "lost", "resource": "initrd", "evidence": "timed out"}, "timed out"),
        ],
        ids=["refused", "lost"],
    )
    def test_other_ends(self, last: dict[str, str], evidence: str) -> None:
        one = report("n", [{"at": 1.0, "node": "n", **last}])
        assert (one.outcome, one.evidence) == ("failed", evidence)

    def test_a_node_without_events_was_not_reached(self) -> None:
        assert [one.outcome for one in reports(events("first-light"), ["gpu1", "gpu2"])] == ["converged", "unreachable"]

    def test_what_was_asked_one_by_one(self) -> None:
        one = report("n", [DONE, asked("a"), asked("b", limit="not applicable: boot"), asked("c"), asked("c")])
        assert (one.outcome, one.asked) == ("converged", 2)

    def test_what_is_found_then_refutes_what_was_done(self) -> None:
        refuted = {"at": 9.0, "node": "n", "event": "refused", "reason": "c is not as declared"}
        one = report("n", [DONE, asked("c", why="c has another content"), refuted])
        assert (one.outcome, one.evidence) == ("failed", "c is not as declared")

    def test_what_was_due(self) -> None:
        [drift] = of("dry", "drift")
        due = report("gpu1", events("dry")).due
        assert [resource for _, resource, _ in due] == [one["resource"] for boot in drift["boots"] for one in boot]


@pytest.mark.parametrize(
    ("engine", "outcomes", "dry", "code"),
    [
        (0, ["converged", "converged"], False, Exit.DONE),
        (0, ["converged"], True, Exit.DONE),
        (0, ["converged", "unfinished"], True, Exit.DRIFT),
        (1, ["unfinished", "unreachable"], True, Exit.FAILED),
        (1, ["converged", "failed"], False, Exit.FAILED),
        (1, ["converged", "unreachable"], False, Exit.FAILED),
        (0, ["converged", "failed"], False, Exit.FAILED),
        (0, ["unfinished"], False, Exit.FAILED),
        (0, ["unreachable"], True, Exit.FAILED),
        (1, ["converged"], False, Exit.FAILED),
        (INTERRUPTED, ["converged"], False, Exit.FAILED),
        (2, ["unreachable"], False, Exit.WRONG_INPUT),
    ],
)
def test_exit_code(engine: int, outcomes: list[Outcome], dry: bool, code: Exit) -> None:
    found = [NodeReport(node=f"n{number}", outcome=outcome) for number, outcome in enumerate(outcomes)]
    assert exit_code(engine, found, dry) is code


REFUSED = NodeReport(node="a", outcome="failed", wrong_input=True)
CONVERGED = NodeReport(node="b", outcome="converged")
CHANGED = CONVERGED.model_copy(update={"operations": (Operation(role="r", resource="x", seconds=1),)})


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([REFUSED], Exit.WRONG_INPUT),
        ([REFUSED, CONVERGED], Exit.WRONG_INPUT),
        ([REFUSED, CHANGED], Exit.FAILED),
        ([REFUSED, NodeReport(node="c", outcome="unreachable")], Exit.FAILED),
        ([CONVERGED, NodeReport(node="c", outcome="failed")], Exit.FAILED),
    ],
)
def test_a_refused_declaration_is_wrong_input_where_no_machine_was_touched(found: list[NodeReport], code: Exit) -> None:
    assert exit_code(1, found, dry=False) is code


def test_a_refusal_tells_whether_the_declaration_is_at_fault() -> None:
    told = [
        {"at": 1.0, "event": "refused", "node": "a", "reason": "no repository", "input": is_input}
        for is_input in (True, False)
    ]
    assert [report("a", [event]).wrong_input for event in told] == [True, False]


class TestWords:
    def test_every_event_but_progress_is_a_sentence(self) -> None:
        for name in ("first-light", "failed", "interrupted", "dry"):
            for event in events(name):
                assert bool(sentence(event, None)) == (event["event"] != "progress")

    def test_a_compiler_call_becomes_the_object_it_makes(self) -> None:
        calls = [e for e in of("first-light", "progress") if "-MMD," in e["line"]]
        assert calls
        for call in calls:
            words = progress_words(call)
            assert " compiling " in words
            assert words.endswith(".o")
            assert words.partition("compiling ")[2] in call["line"]

    def test_other_progress_is_shown_as_it_is(self) -> None:
        event = next(e for e in of("first-light", "progress") if "-MMD," not in e["line"])
        assert progress_words(event).endswith(event["line"].strip()[:100])

    def test_a_node_is_at_work_until_its_end(self) -> None:
        doing = None
        for event in events("first-light"):
            doing = at_work(event, doing)
            assert bool(doing.what) == (event["event"] != "done")

    def test_while_it_asks_one_by_one_a_node_is_at_one_thing_and_nothing_is_a_line(self) -> None:
        doing = None
        for number, resource in enumerate("abc"):
            event = {**asked(resource), "at": 5.0 + number}
            assert sentence(event, doing) == ""
            doing = at_work(event, doing)
        assert (doing.since, doing.detail) == (5.0, "c")

    def test_a_log_gets_a_line_for_each_begin_and_end_and_progress_now_and_then(self) -> None:
        out = console()
        PlainView(out).show(events("first-light"))
        lines = text(out).splitlines()
        ends = [e for e in events("first-light") if e["event"] != "progress"]
        progress = [line for line in lines if " lines, " in line]
        assert len(lines) == len(ends) + len(progress)
        assert 0 < len(progress) <= len(of("first-light", "progress"))

    def test_progress_comes_at_most_every_15_seconds(self) -> None:
        begin, progress = of("first-light", "begin")[0], of("first-light", "progress")[0]
        out = console()
        PlainView(out).show([begin, *({**progress, "at": begin["at"] + second} for second in range(1, 46))])
        assert text(out).count(" lines, ") == 3

    def test_a_terminal_shows_what_is_going_on_and_keeps_what_ended(self) -> None:
        out = console(width=80, terminal=True)
        seen = events("first-light")
        middle = seen.index(of("first-light", "progress")[-1]) + 1
        with Live(console=out, auto_refresh=False, transient=True) as live:
            shown = LiveView(live, ["gpu1"])
            assert "connecting" in text(out)
            shown.show(seen[:middle])
            assert "module-build" in text(out)
            shown.show(seen[middle:])
        assert "converged" in text(out)


class TestConclusion:
    def concluded(self, found: Sequence[NodeReport], dry: bool = False, interrupted: bool = False) -> str:
        out = console()
        conclude(out, found, Path("run"), dry=dry, interrupted=interrupted)
        return text(out)

    def test_of_a_bring_up(self) -> None:
        said = self.concluded(reports(events("first-light"), ["gpu1"]))
        assert "gpu1: converged in" in said
        assert "1 reboot\n" in said
        assert "module-build" in said
        assert "not applicable: " in said
        assert "evidence: run" in said

    def test_of_a_failure(self) -> None:
        said = self.concluded([report("gpu1", events("failed"))])
        for words in ("gpu1: failed", "dkms-by-plan failed", "cannot overwrite directory"):
            assert words in said

    def test_of_a_run_in_full(self) -> None:
        said = self.concluded([report("n", [DONE, asked("a"), asked("b")])])
        assert "n: converged, nothing was due" in said
        assert "2 resources asked for one by one: nothing was found" in said

    def test_of_a_dry_run(self) -> None:
        said = self.concluded([report("gpu1", events("dry"))], dry=True)
        [drift] = of("dry", "drift")
        for boot in drift["boots"]:
            for one in boot:
                assert f"{one['resource']}: {one['why']}" in said

    def test_of_an_interruption(self) -> None:
        said = self.concluded([report("gpu1", events("interrupted"))], interrupted=True)
        assert "The same command again finishes the work" in said

    def test_a_big_fleet_is_told_by_its_exceptions(self) -> None:
        fleet = [NodeReport(node=f"n{number}", outcome="converged") for number in range(100)]
        said = self.concluded([*fleet, NodeReport(node="bad", outcome="failed", evidence="why")])
        assert "100 nodes converged" in said
        assert "bad: failed" in said
        assert "n7" not in said


def test_what_the_engine_said_of_a_node_that_was_never_reached() -> None:
    said = last_words((RUNS / "unreachable.log").read_text(), ["gpu2"])
    assert "Could not resolve hostname" in said["gpu2"]


ENGINE = """
import os, sys, time
with open(os.path.join(os.environ["PROVISION_RUN"], "events.jsonl"), "a", buffering=1) as out:
    for line in open(sys.argv[1]):
        out.write(line[:10]); out.flush(); out.write(line[10:])
print("said by the engine")
print(os.environ["PYINFRA_PROGRESS"])
time.sleep(float(sys.argv[2]))
sys.exit(int(sys.argv[3]))
"""
"""An engine that replays a recorded run, each line in two writes."""


def engine(name: str, seconds: float = 0, code: int = 0) -> list[str]:
    return [sys.executable, "-c", ENGINE, str(RUNS / f"{name}.jsonl"), str(seconds), str(code)]


class TestEngine:
    def test_every_event_is_shown_once_and_the_output_kept(self, tmp_path: Path) -> None:
        shown: list[Event] = []
        assert follow(engine("first-light", code=1), tmp_path, shown.extend) == 1
        assert shown == events("first-light")
        assert (tmp_path / LOG).read_text().splitlines() == ["said by the engine", "off"]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
    @pytest.mark.parametrize(
        "before", [signal.default_int_handler, signal.SIG_IGN], ids=["in front", "in the background"]
    )
    def test_a_wish_to_end_reaches_the_engine(
        self, tmp_path: Path, request: pytest.FixtureRequest, number: signal.Signals, before: Any
    ) -> None:
        request.addfinalizer(partial(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, before)))
        timer = threading.Timer(0.5, os.kill, (os.getpid(), number))
        timer.start()
        began = time.monotonic()
        assert follow(engine("interrupted", seconds=60), tmp_path, lambda _: None) == INTERRUPTED
        assert time.monotonic() - began < 10
        assert "KeyboardInterrupt" in (tmp_path / LOG).read_text()

    def test_handlers_are_put_back(self, tmp_path: Path) -> None:
        before = signal.getsignal(signal.SIGINT)
        follow(engine("dry"), tmp_path, lambda _: None)
        assert signal.getsignal(signal.SIGINT) is before

    def test_the_deploy_of_the_working_directory_comes_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert str(PACKAGED_DEPLOY) in pyinfra_command(Path("i.py"), (), dry=False)
        assert PACKAGED_DEPLOY.is_file()
        (tmp_path / "deploy.py").touch()
        assert pyinfra_command(Path("i.py"), ("a",), dry=True)[4:] == [
            *("i.py", "deploy.py", "-y", "--limit", "a", "--dry")
        ]
        assert pyinfra_command(Path("i.py"), (), dry=False, more=FULL)[4:] == ["i.py", "deploy.py", "-y", *FULL]


def entry(step: str) -> LedgerEntry:
    common = {"at": "2026-01-01T00:00:00Z", "run": "r", "node": "n", "machine_id": "m", "boot_id": "b", "plan": "p"}
    return LedgerEntry.model_validate({**common, "step": step})


def test_a_retry_is_noted_for_the_plan_that_was_last_tried(tmp_path: Path) -> None:
    ledger = Ledger("n", tmp_path)
    ledger.add(entry("stop"))
    note_retry(ledger, "later")
    [_, noted] = ledger.entries("m")
    assert (noted.step, noted.plan, noted.run) == ("retry", "p", "later")


def test_a_retry_is_not_noted_for_a_node_that_nothing_was_done_to(tmp_path: Path) -> None:
    note_retry(Ledger("n", tmp_path), "later")
    assert Ledger("n", tmp_path).entries() == ()


def test_a_retry_does_not_hide_a_reboot_that_is_waited_for(tmp_path: Path) -> None:
    ledger = Ledger("n", tmp_path)
    ledger.add(entry("reboot"))
    note_retry(ledger, "later")
    assert ledger.is_rebooting()


def test_a_run_that_changes_nothing_leaves_nothing_to_check(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "provision", "apply", "inventory.py", "--dry", "--full"]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == Exit.WRONG_INPUT
    assert "give one of them" in done.stderr
    assert list(tmp_path.iterdir()) == []
