"""`provision probe`: from a machine, from this one, from a file; and `provision plan` from what it wrote."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from provision.cli.exits import Exit
from provision.cli.main import app
from provision.cli.probe import NotRead, read
from provision.model import Snapshot
from provision.probe import full_probe_program, parse

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data"
ONE = DATA / "probe-h200-1gpu.txt"
NOBODY = DATA / "probe-h200-1gpu-nobody.txt"

FLEET = 'from provision import fleet\nn = fleet({hosts}, os="{os}", arch="x86_64", gpu="{gpu}")\n'


@pytest.fixture(autouse=True)
def _nothing_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))


def run(*arguments: object) -> tuple[int, str, str]:
    said = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return said.exit_code, said.stdout, said.stderr


def test_what_is_printed_is_the_program_and_its_answer_can_be_fed_back(tmp_path: Path) -> None:
    code, text, _ = run("probe", "--print")
    assert (code, text) == (Exit.DONE, full_probe_program())
    answer = tmp_path / "answer.txt"
    answer.write_bytes(subprocess.run(["sh"], input=text.encode(), capture_output=True, check=True).stdout)
    code, shown, _ = run("probe", "--parse", answer)
    assert code == Exit.DONE
    assert Snapshot.model_validate_json(shown).node == "answer.txt"


def test_this_machine(tmp_path: Path) -> None:
    out = tmp_path / "here.json"
    code, shown, _ = run("probe", "--local", "-o", out)
    assert (code, shown) == (Exit.DONE, "")
    snapshot = Snapshot.model_validate_json(out.read_text())
    assert snapshot.node == "localhost"
    assert snapshot.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_what_is_hidden_is_told_and_is_no_failure() -> None:
    code, shown, told = run("probe", "--parse", NOBODY)
    assert code == Exit.DONE
    assert (
        told.splitlines() == [f"hidden: {what}: {why}" for what, why in parse(NOBODY.read_text()).hidden.items()][::-1]
    )
    assert Snapshot.model_validate_json(shown).gpu.gpus


@pytest.mark.parametrize(
    "arguments", [[], ["--local", "host"], ["--print", "--local"], ["--parse", "x", "host"], ["--", "-oProxyCommand=x"]]
)
def test_wrong_input_touches_no_machine(arguments: list[str]) -> None:
    code, shown, told = run("probe", *arguments)
    assert (code, shown) == (Exit.WRONG_INPUT, "")
    assert told


def test_a_file_that_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("os\tdebian\n")
    code, _, told = run("probe", "--parse", tmp_path / "x")
    assert code == Exit.UNKNOWN
    assert "cut short" in told
    assert run("probe", "--parse", tmp_path / "none")[0] == Exit.WRONG_INPUT


SSH = """#!{python}
import subprocess, sys
open({log!r}, "a").write(repr(sys.argv[1:]) + "\\n")
command = sys.argv[sys.argv.index("--") + 2:]
sys.exit(subprocess.run(command).returncode)
"""


@pytest.mark.parametrize("sudo", [False, True])
def test_a_host_costs_one_connection_by_the_ordinary_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sudo: bool
) -> None:
    for name, text in (
        ("ssh", SSH.format(python=sys.executable, log=str(tmp_path / "log"))),
        ("sudo", '#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    code, shown, _ = run("probe", "gpu1", "--ssh-config", "cfg", *(["--sudo"] if sudo else []))
    assert code == Exit.DONE
    assert Snapshot.model_validate_json(shown).node == "gpu1"
    (call,) = (tmp_path / "log").read_text().splitlines()
    assert "'BatchMode=yes'" in call
    assert "'-F', 'cfg'" in call
    assert call.endswith(f"'--', 'gpu1', {repr(['sudo', '-n', 'sh', '-s'] if sudo else ['sh', '-s'])[1:]}")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("echo no way in >&2; exit 255", "no way in"),
        ("exit 3", "exit code 3"),
        ("exec sleep 30", "no whole answer after 1 s"),
        ("exec cat /dev/zero", "without end"),
    ],
)
def test_a_machine_that_cannot_be_read_is_told_in_a_sentence(program: str, words: str) -> None:
    began = time.monotonic()
    with pytest.raises(NotRead, match=words):
        read(["sh", "-c", program], "gpu1", seconds=1)
    assert time.monotonic() - began < 10


class TestPlanFromASnapshot:
    @pytest.fixture
    def snapshot(self, tmp_path: Path) -> Path:
        path = tmp_path / "n.json"
        path.write_text(parse(ONE.read_text(), "n").model_dump_json())
        return path

    def plan(
        self, folder: Path, snapshot: Path, hosts: str = '["n"]', os: str = "ubuntu24.04", gpu: str = "H200"
    ) -> tuple[int, str, str]:
        inventory = folder / "fleet.py"
        inventory.write_text(FLEET.format(hosts=hosts, os=os, gpu=gpu))
        return run("plan", inventory, "--snapshot", snapshot)

    def test_limits_of_the_machine_are_those_of_the_snapshot(self, tmp_path: Path, snapshot: Path) -> None:
        code, shown, _ = self.plan(tmp_path, snapshot)
        assert code == Exit.DONE
        assert "from the catalog alone" in shown

    @pytest.mark.parametrize(
        ("declared", "words"),
        [
            ({"hosts": '["n", "m"]'}, "add --limit NODE"),
            ({"os": "debian13"}, "declared os debian13, the node runs ubuntu24.04"),
            ({"gpu": "H100"}, "H200"),
        ],
    )
    def test_a_snapshot_that_contradicts_is_wrong_input(
        self, tmp_path: Path, snapshot: Path, declared: dict[str, str], words: str
    ) -> None:
        code, _, told = self.plan(tmp_path, snapshot, **declared)
        assert code == Exit.WRONG_INPUT
        assert words in told

    def test_a_file_that_is_no_snapshot(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_text("{}")
        code, _, told = self.plan(tmp_path, tmp_path / "x")
        assert code == Exit.WRONG_INPUT
        assert "not a snapshot" in told
