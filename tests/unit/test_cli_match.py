"""`provision match`: CUDA and drivers beside each other. What is expected is computed from the catalog's rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from samples import machine
from typer.testing import CliRunner

from provision.catalog import driver_key, find_gpus, load
from provision.catalog.lookup import fact
from provision.cli.main import app
from provision.model import PciDevice, Snapshot
from provision.model.machine import GpuState
from provision.stack.compatibility import standing
from provision.stack.match import ORDER, drivers, gpus_on, known_releases, toolkits

CATALOG = load()
DATA = Path(__file__).parent / "data"
H200 = DATA / "probe-h200-1gpu.json"
BRANCHES = sorted(CATALOG.branch, key=int)
MINORS = sorted({row.minor for row in CATALOG.cuda_toolkits}, key=driver_key)
DATA_CENTRE = find_gpus(CATALOG.gpus, "GH200")
DESK = tuple(gpu.model_copy(update={"data_centre": False, "name": "desk"}) for gpu in DATA_CENTRE[:1])


def invoked(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["match", *arguments])


def printed(*arguments: str) -> Any:
    said = invoked(*arguments, "--json")
    assert said.exit_code == 0, said.stderr
    return json.loads(said.stdout)


def forward() -> tuple[str, str]:
    """A branch and a minor that runs on it by forward compatibility."""
    return next(
        (branch, match.cuda) for branch in BRANCHES for match in toolkits(CATALOG, branch) if match.how == "forward"
    )


# The contract


@pytest.mark.parametrize("arguments", [("--driver", BRANCHES[-1]), ("--driver", CATALOG.branch[BRANCHES[-1]].newest)])
def test_toolkits_of_a_driver_as_data(arguments: Sequence[str]) -> None:
    data = printed(*arguments)
    assert (data["schema"], data["driver"]) == (1, arguments[1])
    assert data["version"] == CATALOG.branch[BRANCHES[-1]].newest
    assert [one["cuda"] for one in data["toolkits"]] == MINORS[::-1]
    for one in data["toolkits"]:
        assert one["how"] in ORDER
        assert one["why"]
        assert all(fact(CATALOG, ref) for ref in one["why"])


@pytest.mark.parametrize("cuda", [MINORS[-1], CATALOG.cuda_toolkits[0].id])
def test_drivers_of_a_cuda_release_as_data(cuda: str) -> None:
    data = printed("--cuda", cuda)
    assert (data["schema"], data["cuda"]) == (1, cuda)
    told = [one["driver"] for one in data["drivers"]]
    assert told == sorted(told, key=driver_key, reverse=True)
    assert {branch.newest for branch in CATALOG.driver_branches} <= set(told)
    for one in data["drivers"]:
        assert one["how"] in ORDER
        assert all(fact(CATALOG, ref) for ref in one["why"])


# What is told


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_minor_is_told_by_its_best_release(branch: str) -> None:
    for match in toolkits(CATALOG, branch):
        rows = [row for row in CATALOG.cuda_toolkits if row.minor == match.cuda]
        hows = {row.id: standing(CATALOG, row, branch).how for row in rows if row.id in match.releases}
        assert match.releases == hows
        assert match.how == hows[match.release] == min(hows.values(), key=ORDER.index)
        assert match.text
        assert {row.id for row in rows if not row.preview} <= match.releases.keys()


@pytest.mark.parametrize("cuda", MINORS)
def test_a_release_on_a_driver_stands_the_same_from_both_sides(cuda: str) -> None:
    for driver in drivers(CATALOG, cuda):
        if driver.branch in CATALOG.branch:
            [match] = [one for one in toolkits(CATALOG, driver.driver) if one.cuda == cuda]
            assert (match.how, match.why, match.release) == (driver.how, driver.why, driver.release)


@pytest.mark.parametrize("cuda", MINORS)
def test_what_runs_natively_runs_natively_on_every_newer_driver(cuda: str) -> None:
    hows = [match.how for match in reversed(drivers(CATALOG, cuda))]
    assert "native" not in hows or set(hows[hows.index("native") :]) == {"native"}


@pytest.mark.parametrize("cuda", MINORS)
def test_the_toolkits_own_driver_is_told_as_where_native_begins(cuda: str) -> None:
    own = [row.driver for row in known_releases(CATALOG, cuda) if row.driver is not None]
    if own:
        first = min(own, key=driver_key)
        told = printed("--cuda", cuda)
        assert told["least"]["native"] == first
        assert [one["how"] for one in told["drivers"] if one["driver"] == first] == ["native"]


def test_the_host_compilers_are_those_of_the_release() -> None:
    rows = {row.id: row for row in CATALOG.host_compilers}
    for one in printed("--driver", BRANCHES[-1])["toolkits"]:
        told = one["host_compilers"]
        if told is not None:
            row = rows[told["fact"].partition("/")[2]]
            assert row.id in (one["release"], one["cuda"])
            assert (told["gcc"], told["clang"]) == (
                {"least": row.gcc_least, "most": row.gcc},
                {"least": row.clang_least, "most": row.clang},
            )
    assert any(one["host_compilers"] for one in printed("--driver", BRANCHES[-1])["toolkits"])


# The GPU


def test_a_data_centre_gpu_may_use_forward_compatibility_and_another_may_not() -> None:
    branch, cuda = forward()
    [with_it] = [one for one in toolkits(CATALOG, branch, DATA_CENTRE) if one.cuda == cuda]
    [without] = [one for one in toolkits(CATALOG, branch, DESK) if one.cuda == cuda]
    assert (with_it.how, without.how) == ("forward", "no")
    assert without.text.endswith("desk is none")
    assert CATALOG.ref(DESK[0]) in without.why


def test_a_gpu_changes_nothing_but_forward_compatibility() -> None:
    for branch in BRANCHES:
        for bare, gated in zip(toolkits(CATALOG, branch), toolkits(CATALOG, branch, DESK), strict=True):
            assert gated.how == ("no" if bare.how == "forward" else bare.how)


def test_a_compiler_that_does_not_know_the_gpu_is_told() -> None:
    data = printed("--driver", BRANCHES[-1], "--gpu", "GH200")
    row = next(row for row in CATALOG.capabilities if row.id == DATA_CENTRE[0].compute_capability)
    for one in data["toolkits"]:
        assert one["compiles"] == (driver_key(one["cuda"]) >= driver_key(row.first_cuda))
    assert "its compiler does not know this GPU" in invoked("--driver", BRANCHES[-1], "--gpu", "GH200").stdout


def test_a_driver_that_no_longer_drives_the_gpu_is_warned_of() -> None:
    gpu = next(gpu for gpu in CATALOG.gpus if gpu.last_branch is not None)
    later = next(branch for branch in BRANCHES if int(branch) > int(gpu.last_branch or 0))
    assert (
        f"the last driver branch for {gpu.name} is {gpu.last_branch}"
        in printed("--driver", later, "--gpu", gpu.name)["warnings"]
    )


def test_a_branch_past_its_end_is_warned_of() -> None:
    ended = next(branch for branch in CATALOG.driver_branches if branch.ended(CATALOG.as_of))
    assert any("end of life" in text for text in printed("--driver", ended.id)["warnings"])
    assert "warning: " in invoked("--driver", ended.id).stdout


# A machine


def test_a_snapshot_tells_driver_and_gpu() -> None:
    snapshot = Snapshot.model_validate_json(H200.read_bytes())
    data = printed("--snapshot", str(H200))
    assert data["driver"] == snapshot.gpu.kernel_driver
    assert data["gpus"] == ["H200"] == [gpu.name for gpu in gpus_on(CATALOG, snapshot)]


def test_this_machine_is_read_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.cli.probe.read", lambda *_: (DATA / "probe-h200-1gpu.txt").read_text())
    assert printed("--local") == printed("--snapshot", str(H200))


def test_other_devices_on_the_bus_are_no_gpus() -> None:
    gpu = DATA_CENTRE[0].id.split(":")[1]
    bus = [("10de", gpu, "030200"), ("10de", gpu, "068000"), ("8086", gpu, "030200")]
    devices = tuple(
        PciDevice(address=f"0000:00:0{n}.0", vendor=vendor, device=device, pci_class=base)
        for n, (vendor, device, base) in enumerate(bus)
    )
    assert gpus_on(CATALOG, machine(pci=devices[1:])) == ()
    assert gpus_on(CATALOG, machine(pci=devices)) == DATA_CENTRE[:1]


def test_a_machine_without_a_driver_is_unknown_not_wrong(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    seen = machine(node="gpu1", gpu=GpuState(error="nvidia-smi is not there"))
    path.write_text(seen.model_dump_json())
    said = invoked("--snapshot", str(path))
    assert said.exit_code == 4
    assert said.stderr == "gpu1 shows no NVIDIA driver: nvidia-smi is not there; name one with --driver\n"


# For people


def test_the_table_has_a_line_for_each_minor_and_says_how() -> None:
    said = invoked("--driver", BRANCHES[-1]).stdout.splitlines()
    assert said[0].startswith(f"Driver {BRANCHES[-1]} (")
    first = [line.split()[0] for line in said if line]
    assert [word for word in first if word in MINORS] == MINORS[::-1]


def test_the_table_of_drivers_has_a_line_for_each() -> None:
    found = drivers(CATALOG, MINORS[-1])
    said = invoked("--cuda", MINORS[-1]).stdout.splitlines()
    told = [tuple(line.split()[:2]) for line in said]
    assert [(match.driver, match.how) for match in found] == [pair for pair in told if pair[1:] and pair[1] in ORDER]


def test_a_narrow_terminal_is_not_overrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in (("--driver", BRANCHES[-1], "--gpu", "GH200"), ("--cuda", MINORS[-1])):
        assert max(map(len, invoked(*arguments).stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param((), ["--driver", "--cuda", "--snapshot", "--local"], id="nothing"),
        pytest.param(("--driver", "1", "--cuda", "1"), ["name one of"], id="two questions"),
        pytest.param(("--driver", "abc"), ["'abc' is not a driver version", BRANCHES[-1]], id="no version"),
        pytest.param(("--driver", f"{CATALOG.branch[BRANCHES[-1]].newest}-0ubuntu1"),
                     ["did you mean", CATALOG.branch[BRANCHES[-1]].newest], id="a package's version"),
        pytest.param(("--driver", str(int(BRANCHES[-1]) + 1)), ["no driver branch", BRANCHES[-1]], id="no such branch"),
        pytest.param(("--cuda", "99.9"), ["the catalog knows no CUDA 99.9"], id="no such CUDA"),
        pytest.param(("--cuda", MINORS[-1].partition(".")[0]), ["did you mean", MINORS[-1]], id="a major"),
        pytest.param(("--cuda", f"{MINORS[-1]}x"), ["did you mean", MINORS[-1]], id="misspelt CUDA"),
        pytest.param(("--driver", BRANCHES[-1], "--gpu", "GH20"), ["'GH20'", "GH200"], id="misspelt GPU"),
        pytest.param(("--snapshot", "nowhere.json"), ["nowhere.json", "No such file"], id="no such file"),
        pytest.param(("--snapshot", __file__), ["it is not a snapshot"], id="no snapshot"),
    ],
)  # fmt: skip
def test_wrong_words_are_one_paragraph_and_exit_code_2(arguments: Sequence[str], words: Sequence[str]) -> None:
    said = invoked(*arguments)
    assert said.exit_code == 2
    assert said.stdout == ""
    assert len(said.stderr.splitlines()) == 1
    for word in words:
        assert word in said.stderr
