"""The report: where the time went, what should be and what was found, and a page that no node can harm."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from samples import SETTINGS, converged, gate, machine, plan

from provision.cli.plan_view import what
from provision.cli.records import Record, evidence
from provision.cli.report import write_report
from provision.model import (
    BootEntry,
    Choice,
    Derived,
    Directory,
    File,
    GateState,
    NodeSpec,
    Package,
    Packages,
    Plan,
    Reason,
    Resource,
    Snapshot,
    Stack,
    Unit,
)
from provision.planning import Planned
from provision.report import Declared, Header, NodeEvidence, page
from provision.report.changes import changes
from provision.report.claims import claims, own_checks
from provision.report.kinds import kind_of, spent_on
from provision.report.timeline import clock, phases, tick, ticks, timeline
from provision.report.view import view
from provision.verify.summary import Check

RUN = Path(__file__).parent / "data" / "run-debian13"
"""A bring-up of a lab node with Debian's real packages, recorded 2026-11-21 and verified from the layer it left."""

HOSTILE = "</pre></td><script>alert(1)</script><img src=x onerror=alert(1)>\"'&<!--"


@pytest.fixture
def recorded() -> NodeEvidence:
    declared = Declared.of(RUN)
    assert declared is not None
    return evidence(Record(RUN), "gpu1", ()).model_copy(update={"planned": declared.nodes["gpu1"]})


def event(kind: str, at: float, **data: Any) -> dict[str, Any]:
    return {"at": 1000.0 + at, "event": kind, "node": "n1", **data}


def operation(name: str, begin: float, end: float, kind: str = "ok", **data: Any) -> list[dict[str, Any]]:
    return [
        event("begin", begin, resource=name, role="some_role", why=f"{name} is missing"),
        event(kind, end, resource=name, seconds=end - begin, **data),
    ]


def named(name: str) -> str:
    return name


def planned(wanted: Plan, *reasons: Reason) -> Planned:
    choice = Choice(component="driver", version="1.2.3", reasons=reasons)
    spec = NodeSpec(os="debian13", arch="x86_64")
    return Planned(spec=spec, stack=Stack(choices={"driver": choice}), plan=wanted)


def rendered(*nodes: NodeEvidence) -> str:
    header = Header(run="run-1", when="now", written="then", version="0")
    return page(header, nodes, what)


class Markup(HTMLParser):
    """Every tag, attribute and visible word of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self._hidden = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._hidden = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        self.words += "" if self._hidden else data


# Timeline


def test_every_second_belongs_to_exactly_one_group(recorded: NodeEvidence) -> None:
    line = view(recorded, what).line
    assert sum(share.seconds for share in line.groups) == pytest.approx(line.seconds)
    assert line.seconds == pytest.approx(recorded.events[-1]["at"] - recorded.events[0]["at"])


def test_the_recorded_minutes_went_into_the_build(recorded: NodeEvidence) -> None:
    groups = {share.name: share.seconds for share in view(recorded, what).line.groups}
    assert next(iter(groups)) == "DKMS build"
    assert groups["DKMS build"] > 300 > groups["packages"] > groups["initrd"] > groups["reboot"] > 1
    assert set(groups) == {"DKMS build", "packages", "initrd", "reboot", "gates", "files", "reading and waiting"}


def test_a_bar_takes_the_seconds_that_the_node_told(recorded: NodeEvidence) -> None:
    told = {e["resource"]: e["seconds"] for e in recorded.events if e["event"] == "ok"}
    bars = {bar.name: bar.seconds for bar in view(recorded, what).line.bars}
    assert bars.keys() == told.keys() | {"reboot"}
    assert all(bars[name] == pytest.approx(seconds, abs=0.05) for name, seconds in told.items())


def test_reboots_separate_boots() -> None:
    events = [
        event("drift", 0, boots=[]),
        *operation("a", 1, 3),
        event("reboot", 4, why="kernel", trial=None),
        event("booted", 9, kernel="k", boot_id="b"),
        *operation("b", 10, 11),
        event("done", 12, plan="p", not_applicable={}),
    ]
    line = timeline(events, named)
    assert [[bar.name for bar in boot] for boot in line.boots] == [["a", "reboot"], ["b"]]
    assert {share.name: share.seconds for share in line.groups} == {
        "reboot": 5, "reading and waiting": 4, "a": 2, "b": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("events", "ending", "seconds", "told"),
    [
        pytest.param(operation("a", 0, 2), "ok", 2, "", id="done"),
        pytest.param(operation("a", 0, 2, "failed", evidence="no room"), "failed", 2, "no room", id="failed"),
        pytest.param(operation("a", 0, 2, "lost", evidence="gone"), "lost", 2, "gone", id="connection lost"),
        pytest.param(operation("a", 0, 2)[:1], "unfinished", 0, "", id="killed at once"),
        pytest.param(
            [*operation("a", 0, 2)[:1], event("progress", 5, resource="a", seconds="5", lines="1", line="x")],
            "unfinished", 5, "", id="killed later",
        ),
        pytest.param(
            [event("reboot", 0, why="w", trial=None), event("refused", 9, reason="no new boot")],
            "failed", 9, "no new boot", id="did not come back",
        ),
    ],
)  # fmt: skip
def test_a_bar_tells_how_it_ended(events: list[dict[str, Any]], ending: str, seconds: float, told: str) -> None:
    (bar,) = timeline(events, named).bars
    assert (bar.ending, bar.seconds, bar.evidence) == (ending, seconds, told)


@pytest.mark.parametrize("events", [[], [event("refused", 0, reason="not reached")]])
def test_nothing_carried_out_is_no_bar(events: list[dict[str, Any]]) -> None:
    assert timeline(events, named).bars == ()


def test_packages_are_told_by_phase(recorded: NodeEvidence) -> None:
    (bar,) = (bar for bar in view(recorded, what).line.bars if bar.name == "kernel-packages")
    assert [phase.name for phase in bar.phases] == ["resolve", "download", "unpack", "configure"]
    assert sum(phase.seconds for phase in bar.phases) == pytest.approx(bar.seconds)


def test_a_log_that_is_not_apts_has_no_phases() -> None:
    assert phases(0, [event("progress", 2, line="CC [M] nv.o")], 4) == ()


def test_a_stand_in_is_told_where_events_speak_of_one() -> None:
    begin, end = operation("a", 0, 2)
    line = "Get:1 file:/srv/stand-ins ./ driver"
    progress = event("progress", 1, resource="a", seconds="1", lines="1", line=line)
    real, other = timeline([*operation("b", 0, 2), begin, progress, end], named).bars
    assert (real.stand_in, other.stand_in) == (False, True)


@pytest.mark.parametrize("seconds", [0, 0.5, 1, 7, 59, 61, 434.2, 3601, 90_000, 10_000_000])
def test_an_axis_has_a_few_round_times_and_none_behind_its_end(seconds: float) -> None:
    found = ticks(seconds)
    assert found[0] == 0
    assert len(found) <= 7
    assert found[-1] <= seconds


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.046, "0.05 s"), (9.9, "9.90 s"), (36.03, "36.0 s"), (375.08, "6 min 15 s"), (3720, "1 h 02 min")],
)
def test_lengths_of_time_are_told_for_people(seconds: float, words: str) -> None:
    assert clock(seconds) == words


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (120, "2 min"), (90, "1:30 min"), (7200, "2 h")])
def test_ticks_are_told_for_people(seconds: int, words: str) -> None:
    assert tick(seconds) == words


UP_TO_USERS = ("repositories", "files", "settings", "files", "files", *["settings"] * 7)
SPENT_ON = (*UP_TO_USERS, "files", "settings", "settings", "gates")


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        (Packages(name="a", packages=()), "packages"),
        (gate("a"), "gates"),
        (File(name="a", path="/a", content=""), "files"),
        (Directory(name="a", path="/a"), "files"),
        (Unit(name="a", unit="a.service"), "services"),
        (BootEntry(name="a", release="1.2"), "boot entry"),
        (Derived(name="a", inputs=(), command=":", log="/var/lib/dkms/x/1/build/make.log"), "DKMS build"),
        (Derived(name="a", inputs=(), command=":", outputs=("/boot/initrd.img-1",)), "initrd"),
        (Derived(name="a", inputs=(), command=":"), "other builds"),
        *zip(SETTINGS, SPENT_ON, strict=True),
    ],
)
def test_time_is_named_by_what_the_plan_says(resource: Resource, kind: str) -> None:
    assert kind_of(resource) == kind


def test_without_a_plan_nothing_is_guessed() -> None:
    assert spent_on(None)("kernel-packages") == "other"


# Changes


def test_packages_of_one_transaction_are_all_told_with_their_reasons(recorded: NodeEvidence) -> None:
    found = {change.name: change for change in view(recorded, what).changes}
    assert found["module-packages"].together == "kernel-packages"
    assert "is not installed" in found["driver-packages"].why
    assert found["module-build"].seconds == pytest.approx(375.08, abs=0.01)


def test_a_gate_changes_nothing() -> None:
    wanted = plan([gate("asked"), File(name="written", path="/a", content="")])
    events = [*operation("asked", 0, 1), *operation("written", 1, 2)]
    assert [one.name for one in changes(timeline(events, named), events, wanted)] == ["written"]


# Claims


def resources() -> Sequence[Resource]:
    return (
        Packages(name="pkgs", packages=(Package(name="driver", version="1.*"),), hold=True),
        File(name="conf", path="/etc/x.conf", content="x"),
        Unit(name="daemon", unit="daemon.service"),
        Derived(name="built", inputs=("pkgs",), command=":", outputs=("/boot/initrd.img-1",)),
        gate("proved"),
        gate("room", precondition=True),
        gate("gpu", needs=("hardware",)),
    )


def test_a_claim_shows_reading_and_verification_apart() -> None:
    wanted = plan(resources())
    after = converged(wanted, limits=frozenset({"hardware"}))
    checks = [
        Check(node="n1", resource="pkgs", outcome="fails", evidence="driver is not held"),
        Check(node="n1", resource="gpu", outcome="not applicable", evidence="not applicable: hardware"),
    ]
    found = {claim.name: claim for claim in claims(planned(wanted), after, checks, what)}
    assert (found["pkgs"].reading, found["pkgs"].verified) == ("as declared", "fails")
    assert found["pkgs"].read == "driver 1.1 (hi)"
    assert found["pkgs"].evidence == "driver is not held"
    assert (found["conf"].reading, found["conf"].verified) == ("as declared", "not verified")
    assert found["built"].stamp == after.stamps["built"]
    assert found["room"].reading == "not asked"
    assert (found["gpu"].reading, found["gpu"].verified, found["gpu"].limit, found["gpu"].evidence) == (
        "not applicable", "not applicable", "hardware", "hardware",
    )  # fmt: skip


def test_of_every_kind_is_told_what_was_read() -> None:
    wanted = plan(SETTINGS)
    there = converged(wanted)
    gates = {"enrolled": GateState(holds=True, evidence="the key")}
    told = claims(planned(wanted), there.model_copy(update={"gates": gates}), (), what)
    assert {claim.name for claim in told if claim.reading != "as declared"} == set()
    assert {claim.name for claim in told if not claim.read} == set()


def test_what_differs_is_told_in_its_claim() -> None:
    wanted = plan([File(name="conf", path="/etc/x.conf", content="x")])
    (claim,) = claims(planned(wanted), machine(), (), what)
    assert (claim.reading, claim.read) == ("differs", "/etc/x.conf is missing")


def test_a_node_that_was_not_read_claims_nothing() -> None:
    found = claims(planned(plan(resources())), None, (), what)
    assert {claim.reading for claim in found} == {"not read"}


def test_roles_own_tests_stand_beside_the_plan(recorded: NodeEvidence) -> None:
    names = {check.resource for check in own_checks(recorded.planned, recorded.checks)}
    assert "reached" in names
    assert recorded.planned is not None
    assert names.isdisjoint(recorded.planned.plan.by_name)
    assert len(names) + len(recorded.planned.plan.entries) == len(recorded.checks)


# What a reader may believe


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (["holds", "not applicable"], "verified"),
        (["holds", "fails", "unknown"], "differs"),
        (["holds", "unknown"], "unknown"),
        (["not applicable", "skipped"], "not verified"),
        ([], "not verified"),
    ],
)
def test_verified_is_only_what_was_asked_and_holds(outcomes: list[Any], verdict: str) -> None:
    checks = tuple(Check(node="n1", resource=f"r{i}", outcome=one) for i, one in enumerate(outcomes))
    assert view(NodeEvidence(node="n1", checks=checks), what).verification == verdict


def test_what_is_not_applicable_is_listed_and_counted_and_never_as_converged(recorded: NodeEvidence) -> None:
    (told,) = (e["not_applicable"] for e in recorded.events if e["event"] == "done")
    shown = view(recorded, what)
    assert {claim.name: claim.limit for claim in shown.not_applicable} == told
    assert shown.readings["not applicable"] == len(told)
    assert {claim.verified for claim in shown.not_applicable} == {"not applicable"}
    assert f"Not applicable: {len(told)}" in Markup(rendered(recorded)).words


def test_another_plan_than_the_declared_one_is_told(recorded: NodeEvidence) -> None:
    assert recorded.planned is not None
    (told, _lab) = view(recorded, what).remarks
    assert recorded.plan_followed in told
    assert recorded.planned.plan.digest in told
    same = recorded.model_copy(update={"plan_followed": recorded.planned.plan.digest})
    assert not any("followed" in remark for remark in view(same, what).remarks)


def test_a_failure_comes_with_evidence_and_remedy() -> None:
    wanted = planned(plan([gate("power")]))
    failed = NodeEvidence(node="n1", bring_up="failed", failed="power", evidence="no power", planned=wanted)
    words = Markup(rendered(failed)).words
    assert "n1: power failed" in words
    assert "no power" in words
    assert "mend power" in words


def test_a_remedy_that_the_evidence_names_is_not_told_twice() -> None:
    wanted = planned(plan([gate("power")]))
    failed = NodeEvidence(node="n1", bring_up="failed", failed="power", evidence="no power. mend power", planned=wanted)
    (trouble,) = view(failed, what).troubles
    assert trouble.remedy == ""


def test_unverified_reasons_are_marked() -> None:
    sure = Reason(text="it is offered", source="the archive", verified=True)
    doubtful = Reason(text="it ought to fit", source="a forum", verified=False)
    known = NodeEvidence(node="n1", planned=planned(plan([gate()]), sure, doubtful))
    words = " ".join(Markup(rendered(known)).words.split())
    assert "it ought to fit unverified" in words
    assert "it is offered unverified" not in words
    assert "1 reason is unverified" in words


def test_nodes_with_the_same_versions_share_their_reasons() -> None:
    wanted = planned(plan([gate()]), Reason(text="it is offered", source="s", verified=True))
    words = Markup(rendered(*(NodeEvidence(node=name, planned=wanted) for name in ("n1", "n2")))).words
    assert "Versions, and why: n1, n2" in words
    assert words.count("it is offered") == 1


def test_a_run_without_a_known_declaration_is_told_as_such(recorded: NodeEvidence) -> None:
    words = Markup(rendered(recorded.model_copy(update={"planned": None}))).words
    assert "What was declared is not known" in words
    assert "module-build" in words


# The page


def test_everything_appears(recorded: NodeEvidence) -> None:
    words = Markup(rendered(recorded)).words
    assert recorded.planned is not None
    for entry in recorded.planned.plan.entries:
        assert entry.name in words
    for choice in recorded.planned.stack.choices.values():
        for reason in choice.reasons:
            assert reason.text in words
            assert reason.source in words
    for check in recorded.checks:
        assert check.evidence.removeprefix("not applicable: ") in words
    assert recorded.after is not None
    for state in recorded.after.gates.values():
        assert state.evidence in words


def test_the_page_needs_nothing_else_and_runs_nothing(recorded: NodeEvidence) -> None:
    text = rendered(recorded)
    found = Markup(text)
    assert set(found.tags).isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base", "form"})
    assert all(value.startswith("#") for name, value in found.attributes if name in {"href", "src"})
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def hostile(snapshot: Snapshot) -> Snapshot:
    gates = {name: state.model_copy(update={"evidence": HOSTILE}) for name, state in snapshot.gates.items()}
    return snapshot.model_copy(
        update={"gates": gates, "kernel": HOSTILE, "hidden": {HOSTILE: HOSTILE}, "stamps": {"built": HOSTILE}}
    )


def test_nothing_that_a_node_says_becomes_markup() -> None:
    wanted = plan(resources())
    known = NodeEvidence(
        node="n1",
        bring_up="failed",
        failed=HOSTILE,
        evidence=HOSTILE,
        events=(
            *operation(HOSTILE, 0, 1, "failed", evidence=HOSTILE),
            *operation("conf", 1, 2, "failed", evidence=HOSTILE),
        ),
        planned=planned(wanted, Reason(text=HOSTILE, source=HOSTILE, verified=False)),
        after=hostile(converged(wanted)),
        checks=tuple(
            Check(node="n1", role=HOSTILE, resource=name, outcome="fails", evidence=HOSTILE)
            for name in ("proved", HOSTILE)
        ),
        verify_run=HOSTILE,
        bring_up_run=HOSTILE,
    )
    harmless = known.model_dump_json().replace(json.dumps(HOSTILE)[1:-1], "harmless")
    attacked, quiet = Markup(rendered(known)), Markup(rendered(NodeEvidence.model_validate_json(harmless)))
    assert attacked.tags == quiet.tags
    assert [name for name, _ in attacked.attributes] == [name for name, _ in quiet.attributes]
    assert attacked.words.count(HOSTILE) >= 10


@pytest.mark.parametrize("evil", ["\x00", "\x1b[31m", "\u202egnp.exe", "\ud800", "\x7f"])
def test_characters_that_cannot_be_seen_are_shown_as_such(evil: str, tmp_path: Path) -> None:
    check = Check.model_construct(node="n1", role="", resource="r", outcome="fails", seconds=0.0, evidence=f"a{evil}b")
    known = NodeEvidence.model_construct(**{**NodeEvidence(node="n1").__dict__, "checks": (check,)})
    text = rendered(known)
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    assert evil[0] not in text
    assert "a\N{REPLACEMENT CHARACTER}" in text


# From a run's folder


def test_a_report_of_a_folder_says_what_the_run_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path))
    declared = Declared.of(RUN)
    assert declared is not None
    words = Markup(write_report(RUN, declared, tmp_path / "page.html").read_text()).words
    for told in ("run-debian13", "2026-11-21T04:27:24Z", "inventories/lab.py", declared.controller, "gpu1"):
        assert told in words


def test_a_declaration_survives_its_folder(tmp_path: Path) -> None:
    declared = Declared.of(RUN)
    assert declared is not None
    declared.keep(tmp_path)
    assert Declared.of(tmp_path) == declared


@pytest.mark.parametrize("content", [None, "", "{", '{"surprise": 1}'])
def test_a_folder_without_a_readable_declaration_has_none(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "declared.json").write_text(content)
    assert Declared.of(tmp_path) is None


def copied(state: Path, name: str, *files: str) -> Record:
    folder = state / "runs" / name
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_bytes((RUN / file).read_bytes())
    return Record(folder)


def test_a_verification_is_shown_with_the_run_that_brought_the_node_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path))
    brought = copied(tmp_path, "run-1", "events.jsonl", "gpu1.before.json", "gpu1.after.json")
    verified = copied(tmp_path, "run-2", "verify.json")
    known = evidence(verified, "gpu1", (brought, verified))
    assert known.bring_up == "not run", "without a reading nobody knows that it is the same machine"
    (tmp_path / "readings").mkdir()
    (tmp_path / "readings/gpu1.json").write_bytes((RUN / "gpu1.before.json").read_bytes())
    known = evidence(verified, "gpu1", (brought, verified))
    assert (known.bring_up, known.bring_up_run, known.verify_run) == ("converged", "run-1", "run-2")
    assert "run-1" in Markup(rendered(known)).words


ACTED = [*operation("a", 1, 2), event("done", 3, plan="p", not_applicable={})]
IDLE = [event("drift", 0, boots=[[]]), event("done", 1, plan="p", not_applicable={})]
FAILED = operation("a", 1, 2, "failed", evidence="no room")
DRY = [event("drift", 0, boots=[[]])]


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        pytest.param([ACTED, IDLE], 0, id="a run that found nothing to do tells less than the one before it"),
        pytest.param([IDLE, IDLE], 1, id="nothing was ever done"),
        pytest.param([ACTED, FAILED], 1, id="what failed since is told"),
        pytest.param([FAILED, IDLE], 1, id="mended by hand after a failure"),
        pytest.param([ACTED, FAILED, IDLE], 0, id="and brought up before it"),
        pytest.param([ACTED, DRY], 0, id="a dry run tells nothing"),
        pytest.param([DRY], None, id="never brought up"),
    ],
)
def test_a_verification_names_the_run_that_made_the_node_what_it_is(
    runs: list[list[dict[str, Any]]], told: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path))
    (tmp_path / "readings").mkdir()
    (tmp_path / "readings/n1.json").write_bytes((RUN / "gpu1.before.json").read_bytes())
    records = []
    for number, events in enumerate(runs):
        record = copied(tmp_path, f"run-{number}", "gpu1.before.json")
        (record.folder / "gpu1.before.json").rename(record.folder / "n1.before.json")
        (record.folder / "events.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in events))
        records.append(record)
    verified = copied(tmp_path, "run-9", "verify.json")
    known = evidence(verified, "n1", (*records, verified))
    assert known.bring_up_run == ("" if told is None else f"run-{told}")


@pytest.mark.parametrize(("name", "shown"), [("run-2", True), ("run-0", False)], ids=["later", "earlier"])
def test_a_bring_up_is_shown_with_a_later_verification_of_its_plan(name: str, shown: bool, tmp_path: Path) -> None:
    brought = copied(tmp_path, "run-1", "events.jsonl")
    verified = copied(tmp_path, name, "verify.json")
    (followed,) = re.findall(r'"plan": "(\w+)"', (RUN / "events.jsonl").read_text())
    file = verified.folder / "verify.json"
    summary = json.loads(file.read_text())
    file.write_text(json.dumps({**summary, "plans": {"gpu1": followed}}))
    known = evidence(brought, "gpu1", (brought, verified))
    assert bool(known.checks) is shown


def test_a_verification_of_another_plan_proves_nothing_about_a_bring_up(tmp_path: Path) -> None:
    brought = copied(tmp_path, "run-1", "events.jsonl")
    known = evidence(brought, "gpu1", (brought, copied(tmp_path, "run-2", "verify.json")))
    assert known.checks == ()
