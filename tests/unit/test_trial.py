"""The reboot into a new kernel: when it is ordered, when it is confirmed, and when it is never tried again unasked."""

from __future__ import annotations

from typing import Any

import pytest
from samples import OLD_RELEASE, RELEASE, converged, gate, noted, plan

from provision.model import BootEntry, File, Gate, GateState, KernelArgument, LedgerEntry, Plan, Snapshot, Trial
from provision.platforms import boot, trial_boot
from provision.steps import Done, Reboot, Step, Stop, Stretch, next_step

SETTINGS = File(name="settings", path="/etc/x.conf", content="one\n")
RUNNING = gate("running-kernel", needs=("boot",), boot_scoped=True, after="kernel", remedy="look at the console")
PAGES = gate("page-size", needs=("boot",), boot_scoped=True, after="kernel", remedy="look at the console")
DEFAULT = BootEntry(name="default-kernel", release=RELEASE, needs=("boot",), after="kernel")
LATER = File(name="later", path="/etc/later", content="x", after="kernel")
PLAN = plan([SETTINGS], [RUNNING, PAGES, DEFAULT, LATER])
OTHER = plan([SETTINGS], [RUNNING, DEFAULT])

BEFORE, NOW = "boot-0", "boot-1"
TRIED = Trial(release=RELEASE, boot_id=BEFORE, changed=False)
ORDERED = noted(PLAN, "reboot", BEFORE)
CAME_BACK = (ORDERED, noted(PLAN, "booted", NOW))


def node(
    *, runs: str = OLD_RELEASE, default: str = OLD_RELEASE, unmet: tuple[Gate, ...] = (), **fields: Any
) -> Snapshot:
    """A node on which the first boot of the plan is carried out."""
    snapshot = converged(PLAN, boot_id=NOW, kernel=runs)
    gates = {name: GateState(holds=name not in {one.name for one in unmet}) for name in snapshot.gates}
    files = {path: state for path, state in snapshot.files.items() if path != LATER.path}
    update = {"gates": gates, "files": files, "default_kernel": default, **fields}
    return snapshot.model_copy(update=update)


def on_old(**fields: Any) -> Snapshot:
    return node(unmet=(RUNNING, PAGES), **fields)


def told(step: Step) -> str:
    match step:
        case Reboot(trial=trial):
            return f"reboot into {trial}"
        case Stretch(due=due):
            return f"carry out {', '.join(one.entry.name for one in due)}"
        case Stop():
            return "stop"
        case Done():
            return "done"


TRY, STOP = f"reboot into {RELEASE}", "stop"
RETRY = noted(PLAN, "retry", NOW)
CHANGED = TRIED.model_copy(update={"changed": True})
OF_ANOTHER = TRIED.model_copy(update={"release": "9.9.9"})
UNDER_WAY = TRIED.model_copy(update={"boot_id": NOW})

BRANCHES: dict[str, tuple[Snapshot, tuple[LedgerEntry, ...], str]] = {
    "never tried": (on_old(), (), TRY),
    "never tried, changes wait for a reboot": (on_old(reboot_due=NOW), (), TRY),
    "ordered in this boot, which has not ended": (on_old(trial=UNDER_WAY), (noted(PLAN, "reboot", NOW),), TRY),
    "came back on the old kernel": (on_old(trial=TRIED), CAME_BACK, STOP),
    "came back, and this run was not there to see it": (on_old(trial=TRIED), (ORDERED,), STOP),
    "came back, ordered by another controller": (on_old(trial=TRIED), (), STOP),
    "came back, and something else now waits for a reboot": (on_old(trial=TRIED, reboot_due=NOW), CAME_BACK, STOP),
    "came back, stopped, run again": (on_old(trial=TRIED), (*CAME_BACK, noted(PLAN, "stop", NOW)), STOP),
    "the kernel's files are others now": (on_old(trial=CHANGED), CAME_BACK, TRY),
    "the plan is another one now": (on_old(trial=TRIED), (noted(OTHER, "reboot", BEFORE), noted(OTHER, "stop")), TRY),
    "a person asked again": (on_old(trial=TRIED), (*CAME_BACK, noted(PLAN, "stop", NOW), RETRY), TRY),
    "a person asked again, for another controller's trial": (on_old(trial=TRIED), (noted(PLAN, "stop", NOW), RETRY), TRY),
    "asked again, tried again, came back again": (
        on_old(trial=TRIED.model_copy(update={"boot_id": "boot-0b"})),
        (*CAME_BACK, RETRY, noted(PLAN, "reboot", "boot-0b"), noted(PLAN, "booted", NOW)),
        STOP,
    ),
    "another kernel was tried": (on_old(trial=OF_ANOTHER), (), TRY),
    "no record on the node, the ledger saw the boot": (on_old(), CAME_BACK, STOP),
    "the new kernel runs and passes its gates": (node(runs=RELEASE, trial=TRIED), CAME_BACK, "carry out default-kernel"),
    "it passes, and changes wait for a reboot": (
        node(runs=RELEASE, trial=TRIED, reboot_due=NOW), CAME_BACK, "carry out default-kernel"),
    "it passes, and something earlier is due": (
        node(runs=RELEASE, trial=TRIED, files={}), CAME_BACK, "carry out default-kernel"),
    "the new kernel runs, with other pages": (node(runs=RELEASE, trial=TRIED, unmet=(PAGES,)), CAME_BACK, STOP),
    "the new kernel was booted by hand": (node(runs=RELEASE), (), "carry out default-kernel, later"),
    "it is the default": (node(runs=RELEASE, default=RELEASE, trial=TRIED), CAME_BACK, "carry out later"),
    "it is the default, and the old one runs": (on_old(default=RELEASE, trial=TRIED), (), "reboot into None"),
    "too many reboots": (
        on_old(trial=CHANGED),
        tuple(noted(PLAN, "reboot", f"boot-{n}") for n in "abc"),
        STOP,
    ),
    "too many reboots, and a person asked again": (
        on_old(trial=CHANGED),
        (*(noted(PLAN, "reboot", f"boot-{n}") for n in "abc"), RETRY),
        TRY,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("snapshot", "ledger", "step"), BRANCHES.values(), ids=BRANCHES)
def test_what_is_done_about_a_new_kernel(snapshot: Snapshot, ledger: tuple[LedgerEntry, ...], step: str) -> None:
    assert told(next_step(PLAN, snapshot, ledger)) == step


def test_a_container_has_no_kernel_to_try() -> None:
    held = converged(PLAN, limits=frozenset({"boot"}), kernel=OLD_RELEASE).model_copy(update={"gates": {}})
    assert isinstance(next_step(PLAN, held, ()), Done)


def test_a_stop_names_both_kernels_and_the_ways_out() -> None:
    step = next_step(PLAN, on_old(trial=TRIED), CAME_BACK)
    assert isinstance(step, Stop)
    for part in (f"kernel {RELEASE} was booted on trial", f"came back on {OLD_RELEASE}", "--retry", "journalctl"):
        assert part in step.reason


def test_a_kernel_that_runs_but_fails_a_gate_is_told_with_that_gate() -> None:
    step = next_step(PLAN, node(runs=RELEASE, trial=TRIED, unmet=(PAGES,)), CAME_BACK)
    assert isinstance(step, Stop)
    assert "not so: page-size is so" in step.reason


WORD = KernelArgument(name="a", value="1", source="somebody")
COMMAND_LINE = gate("command-line", needs=("boot",), boot_scoped=True, after="kernel", remedy="look at the menu")
WITH = DEFAULT.model_copy(update={"arguments": (WORD,)})
WORDS = plan([SETTINGS], [RUNNING, COMMAND_LINE, WITH, LATER])
NO_WORDS = plan([SETTINGS], [RUNNING, COMMAND_LINE, DEFAULT, LATER])

ORDERED_WORDS = noted(WORDS, "reboot", BEFORE)
FELL_BACK = (ORDERED_WORDS, noted(WORDS, "booted", NOW))
TRY_WORDS, TRY_NONE, PROMOTE = (
    f"reboot into {RELEASE} with a=1",
    f"reboot into {RELEASE} with nothing",
    "carry out default-kernel",
)


def argued(wanted: Plan, *, drop_in: bool, unmet: tuple[Gate, ...] = (), **fields: Any) -> Snapshot:
    """A node on which the kernel runs and is the default; `drop_in`: with words of ours, those of the plan if it has any."""
    snapshot = converged(wanted, boot_id=NOW, kernel=RELEASE)
    gates = {name: GateState(holds=name not in {one.name for one in unmet}) for name in snapshot.gates}
    files = {path: state for path, state in snapshot.files.items() if path not in (boot.ARGUMENTS, LATER.path)}
    if drop_in:
        files[boot.ARGUMENTS] = converged(WORDS).files[boot.ARGUMENTS]
    return snapshot.model_copy(update={"gates": gates, "files": files, **fields})


LACKS = (COMMAND_LINE,)
ARGUMENTS: dict[str, tuple[Plan, Snapshot, tuple[LedgerEntry, ...], str]] = {
    "never tried": (WORDS, argued(WORDS, drop_in=False, unmet=LACKS), (), TRY_WORDS),
    "never tried, the menu waits for a reboot": (
        WORDS, argued(WORDS, drop_in=False, unmet=LACKS, reboot_due=NOW), (), TRY_WORDS),
    "other words of an earlier plan were found good": (
        WORDS, argued(WORDS, drop_in=False, unmet=LACKS, trial=CHANGED), (), TRY_WORDS),
    "ordered in this boot, which has not ended": (
        WORDS, argued(WORDS, drop_in=False, unmet=LACKS, trial=UNDER_WAY), (noted(WORDS, "reboot", NOW),), TRY_WORDS),
    "on trial, and there": (WORDS, argued(WORDS, drop_in=False, trial=TRIED), FELL_BACK, PROMOTE),
    "on trial, and there, ordered by another controller": (WORDS, argued(WORDS, drop_in=False, trial=TRIED), (), PROMOTE),
    "came back without them": (WORDS, argued(WORDS, drop_in=False, unmet=LACKS, trial=TRIED), FELL_BACK, STOP),
    "came back without them, ordered by another controller": (
        WORDS, argued(WORDS, drop_in=False, unmet=LACKS, trial=TRIED), (), STOP),
    "came back without them, something else waits for a reboot": (
        WORDS, argued(WORDS, drop_in=False, unmet=LACKS, trial=TRIED, reboot_due=NOW), FELL_BACK, STOP),
    "came back, the same kernel has other words now": (
        WORDS, argued(WORDS, drop_in=False, unmet=LACKS, trial=CHANGED), FELL_BACK, TRY_WORDS),
    "came back, a person asked again": (
        WORDS, argued(WORDS, drop_in=False, unmet=LACKS, trial=TRIED), (*FELL_BACK, noted(WORDS, "retry", NOW)), TRY_WORDS),
    "the power went while they became the default": (
        WORDS, argued(WORDS, drop_in=False, unmet=LACKS, trial=CHANGED), FELL_BACK, TRY_WORDS),
    "they are the default": (WORDS, argued(WORDS, drop_in=True, trial=CHANGED), FELL_BACK, "carry out later"),
    "they are the default, and an entry without them runs": (
        WORDS, argued(WORDS, drop_in=True, unmet=LACKS, trial=CHANGED), (), "reboot into None"),
    "the running kernel has them from somebody else": (
        WORDS, argued(WORDS, drop_in=False), (), "carry out default-kernel, later"),
    "none any more, the default has some": (
        NO_WORDS, argued(NO_WORDS, drop_in=True, unmet=LACKS, trial=CHANGED), (), TRY_NONE),
    "none any more, on trial without": (NO_WORDS, argued(NO_WORDS, drop_in=True, trial=TRIED), (), PROMOTE),
    "none any more, came back with them": (
        NO_WORDS, argued(NO_WORDS, drop_in=True, unmet=LACKS, trial=TRIED), (), STOP),
    "none declared, none there": (NO_WORDS, argued(NO_WORDS, drop_in=False), (), "carry out later"),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "snapshot", "ledger", "step"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_what_is_done_about_other_arguments_for_the_kernel_that_is_the_default(
    wanted: Plan, snapshot: Snapshot, ledger: tuple[LedgerEntry, ...], step: str
) -> None:
    next_ = next_step(wanted, snapshot, ledger)
    words = f" with {' '.join(next_.words) or 'nothing'}" if isinstance(next_, Reboot) and next_.trial else ""
    assert f"{told(next_)}{words}" == step


@pytest.mark.parametrize(
    ("cmdline", "outcome"),
    [
        ("ro quiet", "came back with the arguments that it had before: not so: command-line is so"),
        (
            f"ro a=1 {trial_boot.word(('a=1',))}",
            "but not so: command-line is so; unless that is mended the node resets",
        ),
    ],
    ids=["fell back", "still on trial"],
)
def test_a_stop_tells_arguments_that_fell_back_from_those_that_run_and_fail_a_gate(cmdline: str, outcome: str) -> None:
    step = next_step(WORDS, argued(WORDS, drop_in=False, unmet=LACKS, trial=TRIED, cmdline=cmdline), FELL_BACK)
    assert isinstance(step, Stop)
    assert f"kernel {RELEASE} was booted on trial with a=1, " in step.reason
    assert outcome in step.reason
