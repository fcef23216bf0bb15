"""What Ansible is told, what it leaves for its next task, and what its tags choose. Ansible itself is not needed."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from samples import OLD_RELEASE, RELEASE, converged, plan
from samples import gate as a_gate

from provision.cli.apply import last_words
from provision.cli.engine import INTERRUPTED, ansible_code, ansible_command
from provision.engines.ansible import run
from provision.engines.ansible import stage as stages
from provision.engines.ansible.declared import STATE, chosen_roles, connection, declared
from provision.engines.ansible.items import items
from provision.engines.ansible.kept import Kept, asked, kept
from provision.engines.ansible.resource import Outcome
from provision.engines.ansible.role_files import tasks
from provision.engines.ansible.stage import BOOTS, advance, finish, foresee
from provision.engines.ansible.watch import watched
from provision.engines.ansible.work import ActionLink, Answer, Task, Work
from provision.engines.events import Events, read
from provision.engines.link import Lost
from provision.engines.node import Refused
from provision.inventory import WrongInventory, read_hosts
from provision.ledger import AtWork, NodeLocks
from provision.model import BootEntry, Derived, Entry, File, Gate, GateState, Plan, Snapshot, Trial
from provision.planning import order, rooms
from provision.steps import Due, next_step

CHECKOUT = Path(__file__).parents[2]
FOUND = rooms()
LEAST = {"provision_os": "debian13", "provision_arch": "x86_64", "provision_gpu": "H100"}


def as_it_is(value: Any) -> Any:
    return value


def file(role: str, name: str) -> Entry:
    return Entry(role=role, resource=File(name=name, path=f"/etc/{name}", content=""))


def derived(role: str, name: str, *inputs: str) -> Entry:
    return Entry(role=role, resource=Derived(name=name, inputs=inputs, command="true"))


def gate(role: str, name: str) -> Entry:
    return Entry(role=role, resource=Gate(name=name, test="true", expect="so", remedy="none"))


def due(*entries: Entry) -> tuple[Due, ...]:
    return tuple(Due(entry=entry, why="differs") for entry in entries)


BOOT = (
    gate("preflight", "room"),
    file("kernel", "k-file"),
    file("daemon", "d-file"),
    derived("initrd", "k-initrd", "k-file"),
    gate("kernel", "k-gate"),
    derived("daemon", "d-restart", "d-file"),
    gate("other", "o-gate"),
)
PLAN = Plan(boots=(BOOT, (file("late", "l-file"),)))


@pytest.mark.parametrize(
    ("roles", "names"),
    [
        (None, ["room", "k-file", "d-file", "k-initrd", "k-gate", "d-restart", "o-gate"]),
        ({"daemon"}, ["room", "d-file", "k-gate", "d-restart"]),
        ({"kernel"}, ["room", "k-file", "k-initrd", "k-gate"]),
        ({"late"}, []),
        (set(), []),
    ],
)
def test_tags_choose_a_roles_items_what_derives_from_them_and_every_gate_before(
    roles: set[str] | None, names: list[str]
) -> None:
    chosen = asked(due(*BOOT), None if roles is None else frozenset(roles))
    assert [one.entry.name for one in chosen] == names


def test_a_boot_is_looped_over_in_plan_order_and_tells_what_is_not_applicable() -> None:
    found = Kept(run="r", plan="p", step="stretch", limits={"k-file": "boot"})
    assert [item["title"] for item in items(PLAN, 0, frozenset({"kernel"}), found)] == [
        "preflight | room",
        "kernel | k-file (not applicable: boot)",
        "initrd | k-initrd",
        "kernel | k-gate",
    ]
    assert items(PLAN, 2, None, found) == []


def test_what_is_due_again_of_an_earlier_boot_stands_before_a_boots_own() -> None:
    found = Kept(run="r", plan="p", step="stretch", now=due(BOOT[1]))
    assert [item["name"] for item in items(PLAN, 1, None, found)] == ["k-file", "l-file"]


def test_the_collection_has_tasks_for_every_boot_that_a_plan_can_have() -> None:
    site = yaml.safe_load((CHECKOUT / "playbooks/site.yml").read_text())[0]["tasks"]
    (role,) = tasks(FOUND["preflight"])
    for listed in (site, role["block"]):
        assert [task["provision.core.step"] for task in listed if "provision.core.step" in task] == [
            *({"boot": boot} for boot in range(BOOTS)),
            {"last": True},
        ]
        loops = [task["loop"] for task in listed if "loop" in task]
        assert loops == [f"{{{{ query('provision.core.plan', boot={boot}) }}}}" for boot in range(BOOTS)]
    assert max(order().rest, *order().boots.values()) + 1 <= BOOTS


@pytest.mark.parametrize("stage", [lambda work: advance(work, 0), lambda work: foresee(work, 0), finish])
def test_a_plan_of_more_boots_is_refused_before_anything_else(stage: Callable[[Any], object]) -> None:
    boots = tuple((file("kernel", f"file{number}"),) for number in range(BOOTS + 1))
    work = SimpleNamespace(begin=lambda: None, plan=Plan(boots=boots), node=SimpleNamespace(name="n1"))
    with pytest.raises(Refused, match=rf"n1: its plan has {BOOTS + 1} boots.* provision apply --engine pyinfra"):
        stage(work)


class TestTrial:
    """What a task does that meets a kernel on trial: the node's readings are given, what is carried out is noted."""

    RUNNING = a_gate("running-kernel", needs=("boot",), boot_scoped=True, after="kernel")
    DEFAULT = BootEntry(name="default-kernel", release=RELEASE, needs=("boot",), after="kernel")
    LATER = File(name="later", path="/etc/later", content="x", after="kernel")
    PLAN = plan([], [RUNNING, DEFAULT, LATER])

    def reading(self, boot_id: str, *, runs: str, default: str, later: bool) -> Snapshot:
        done = converged(self.PLAN, boot_id=boot_id, kernel=runs)
        tried = Trial(release=RELEASE, boot_id="boot-0", changed=False) if boot_id != "boot-0" else None
        update = {"default_kernel": default, "trial": tried, "files": done.files if later else {}}
        gates = {"running-kernel": GateState(holds=runs == RELEASE)}
        return done.model_copy(update={**update, "gates": gates})

    def advanced(
        self, monkeypatch: pytest.MonkeyPatch, *readings: Snapshot, boot: int = 1
    ) -> tuple[stages.Stage, list[str]]:
        found, done = iter(readings), list[str]()
        node = SimpleNamespace(
            name="n1",
            read=lambda: next(found),
            next=lambda snapshot: next_step(self.PLAN, snapshot, ()),
            reboot=lambda _snapshot, step: done.append(f"reboot into {step.trial}"),
            tell_drift=lambda _snapshot, _step: None,
            close=lambda _snapshot, _step: None,
        )
        monkeypatch.setattr(
            stages, "carry_out", lambda _work, one: done.append(one.entry.name) or Outcome(changed=True)
        )
        work = SimpleNamespace(
            begin=lambda: None, kept=lambda: None, plan=self.PLAN, node=node, roles=None, run="run-1"
        )
        return advance(work, boot), done  # type: ignore[arg-type]

    @pytest.mark.parametrize("later", [True, False], ids=["nothing else is due", "the rest of its boot is due"])
    def test_it_is_confirmed_in_the_action_that_waited_for_its_boot(
        self, monkeypatch: pytest.MonkeyPatch, later: bool
    ) -> None:
        """In a task behind that one it would wait for the slowest host of the play, while its time runs out."""
        stage, done = self.advanced(
            monkeypatch,
            self.reading("boot-0", runs=OLD_RELEASE, default=OLD_RELEASE, later=later),
            self.reading("boot-1", runs=RELEASE, default=OLD_RELEASE, later=later),
            self.reading("boot-1", runs=RELEASE, default=RELEASE, later=later),
        )
        assert done == [f"reboot into {RELEASE}", "default-kernel"]
        assert stage.changed
        assert [one.entry.name for one in stage.kept.now] == ([] if later else ["later"])

    def test_one_that_an_earlier_run_left_is_confirmed_by_the_first_task(self, monkeypatch: pytest.MonkeyPatch) -> None:
        readings = [self.reading("boot-1", runs=RELEASE, default=of, later=True) for of in (OLD_RELEASE, RELEASE)]
        stage, done = self.advanced(monkeypatch, *readings, boot=0)
        assert (done, stage.kept.step) == (["default-kernel"], "done")

    def test_a_kernel_that_was_booted_by_hand_is_left_to_its_own_task(self, monkeypatch: pytest.MonkeyPatch) -> None:
        by_hand = self.reading("boot-0", runs=RELEASE, default=OLD_RELEASE, later=True)
        stage, done = self.advanced(monkeypatch, by_hand)
        assert (done, [one.entry.name for one in stage.kept.now]) == ([], ["default-kernel"])


def test_what_a_task_left_counts_in_its_own_run_alone() -> None:
    left = Kept(run="today", plan="p", step="done")
    facts = {STATE: left.model_dump(mode="json")}
    assert kept(facts, "today") == left
    assert kept(facts, "tomorrow") is None
    assert kept({}, "today") is None
    assert kept({STATE: {"run": "today"}}, "today") is None


@pytest.mark.parametrize(
    ("step", "of", "boot", "enough"),
    [
        ("done", 0, 5, True),
        ("stretch", 0, 0, True),
        ("stretch", 1, 0, True),
        ("stretch", 0, 1, False),
        ("reboot", 0, 0, False),
    ],
)
def test_a_node_is_read_again_once_something_may_have_been_done(step: Any, of: int, boot: int, enough: bool) -> None:
    assert Kept(run="r", plan="p", step=step, boot=of).is_enough_for(boot) is enough


@pytest.mark.parametrize(
    ("run_tags", "skipped", "chosen"),
    [
        (["all"], [], None),
        (["preflight"], [], {"preflight"}),
        (["all"], ["preflight"], set(FOUND) - {"preflight"}),
        (["no-role"], [], set()),
    ],
)
def test_run_tags_and_skip_tags_choose_roles(run_tags: list[str], skipped: list[str], chosen: set[str] | None) -> None:
    variables = {"ansible_run_tags": run_tags, "ansible_skip_tags": skipped}
    assert chosen_roles(FOUND, variables) == chosen
    assert chosen_roles(FOUND, {**variables, "provision_role": "preflight"}) is None


def test_a_playbooks_variables_declare_a_node_as_an_inventorys_keys_do() -> None:
    variables = {**LEAST, "preflight_boot_mib": 10, "provision_role": "preflight", "unrelated": "x", "os": "not ours"}
    spec = declared("n1", variables, FOUND, as_it_is)
    assert (spec.os, spec.gpu, spec.roles) == ("debian13", "H100", ("preflight",))
    assert spec.variables == {"preflight": {"boot_mib": 10}}


def test_a_roles_defaults_do_not_change_what_a_fleet_declares() -> None:
    fleet = {
        "provision": declared("n1", {**LEAST, "doca_ofed_firmware": True}, FOUND, as_it_is).model_dump(mode="json")
    }
    by_default = {"doca_ofed_firmware": False, "doca_ofed_key_fingerprints": [], "doca_ofed_peer_memory": True}
    assert declared("n1", {**fleet, **by_default}, FOUND, as_it_is).variables["doca_ofed"]["firmware"] is True
    assert declared("n1", {**fleet, "doca_ofed_profile": "inbox"}, FOUND, as_it_is).variables["doca_ofed"] == {
        "firmware": True,
        "profile": "inbox",
    }


def test_variables_change_what_a_fleet_declares() -> None:
    fleet = {"provision": declared("n1", LEAST, FOUND, as_it_is).model_dump(mode="json")}
    assert declared("n1", {**fleet, "provision_reboots": "staged"}, FOUND, as_it_is).reboots == "staged"


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({**LEAST, "provision_drivr": "580"}, "'drivr' is not a key, did you mean 'driver'?"),
        ({**LEAST, "preflight_boot_mb": 10}, "'preflight_boot_mb' is not a key, did you mean 'preflight_boot_mib'?"),
        ({**LEAST, "preflight_boot_mib": "plenty"}, "preflight_boot_mib='plenty': a whole number"),
        ({**LEAST, "provision_gpu": "H1000"}, "did you mean H100"),
        ({"provision_arch": "x86_64"}, "os is missing"),
        ({}, "nothing is declared of it"),
    ],
)
def test_a_wrong_or_misspelt_variable_is_refused_in_an_inventorys_words(variables: dict[str, Any], told: str) -> None:
    with pytest.raises(WrongInventory) as refused:
        declared("n1", variables, FOUND, as_it_is)
    assert told in str(refused.value)


def test_an_inventory_file_tells_ansible_how_to_reach_its_hosts(tmp_path: Path) -> None:
    path = tmp_path / "fleet.py"
    path.write_text(
        "from provision import fleet\n"
        "one = fleet(['a', ('b', {'ssh_hostname': '10.0.0.2', 'ssh_port': 2222})], os='debian13', arch='x86_64',\n"
        "            gpu='H100', sudo=True, ssh_user='u', ssh_key='k y', ssh_config_file='c f')\n"
    )
    hosts = read_hosts(path)
    assert hosts["a"].groups == ("one",)
    told = connection(hosts["b"])
    assert told.pop("provision")["gpu"] == "H100"
    assert told == {
        "ansible_host": "10.0.0.2",
        "ansible_port": 2222,
        "ansible_user": "u",
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(tmp_path / "k y"),
        "ansible_ssh_common_args": f"-o StrictHostKeyChecking=accept-new -F '{tmp_path}/c f'",
    }


def process(script: str, folder: Path) -> subprocess.Popen[bytes]:
    """A playbook's process, whose tasks are processes that it forks."""
    return subprocess.Popen(
        [sys.executable, "-c", f"{FORK}\n{script}"],
        env={"PROVISION_STATE": str(folder), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


FORK = """
import multiprocessing, pathlib, sys, time
from provision.engines.ansible import run

def task(does):
    child = multiprocessing.get_context('fork').Process(target=does)
    child.start()
    return child
"""


def test_a_nodes_lock_lasts_as_long_as_the_process_that_started_the_task(tmp_path: Path) -> None:
    script = "task(lambda: run.hold('n1')).join()\nprint('held', flush=True)\nsys.stdin.read()\n"
    with process(script, tmp_path) as playbook:
        assert playbook.stdout is not None
        assert playbook.stdout.readline() == b"held\n"
        with pytest.raises(AtWork), NodeLocks(["n1"], tmp_path, wait=0):
            pass
        playbook.kill()
        playbook.wait()
        with NodeLocks(["n1"], tmp_path, wait=5):
            pass


ORPHAN = """
folder = pathlib.Path('{folder}')

def does():
    run.leave_with_playbook()
    (folder / 'began').touch()
    while not (folder / 'killed').exists():
        time.sleep(0.01)
    run.hold('n1')
    (folder / 'left').touch()
    run.leave_with_playbook()
    (folder / 'went-on').touch()

task(does).join()
"""


def test_a_task_whose_playbook_was_killed_ends_and_holds_nothing(tmp_path: Path) -> None:
    with process(ORPHAN.replace("{folder}", str(tmp_path)), tmp_path) as playbook:
        until(tmp_path / "began")
        playbook.kill()
        playbook.wait()
        (tmp_path / "killed").touch()
        until(tmp_path / "left")
        assert playbook.stdout is not None
        assert playbook.stdout.read() == b"", "its end is closed with the task's process"
    assert not (tmp_path / "went-on").exists()
    with NodeLocks(["n1"], tmp_path, wait=5):
        pass


def until(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.01)


def link(said: Iterator[str], shown: list[str]) -> ActionLink:
    def nothing() -> None: ...

    return ActionLink(lambda program: Answer(0, "", ""), nothing, lambda command: next(said), shown.append)


def test_what_a_long_command_is_at_is_told_while_it_runs(tmp_path: Path) -> None:
    line = "@progress\tn1\tbuild\t{}\t7\tcompiling \n"
    said = itertools.chain(["", line.format(1).replace("build", "another")], map(line.format, itertools.count(2)))
    shown: list[str] = []
    with watched(link(said, shown), Events(tmp_path), "n1", "build", every=0.01):
        while len(shown) < 2:
            time.sleep(0.01)
    assert shown[:2] == ["    [n1] build: 2 s, compiling", "    [n1] build: 3 s, compiling"]
    first = next(read(tmp_path))
    del first["at"]
    assert first == {
        "event": "progress",
        "node": "n1",
        "resource": "build",
        "seconds": "2",
        "lines": "7",
        "line": "compiling",
    }
    told = len(list(read(tmp_path)))
    time.sleep(0.05)
    assert len(list(read(tmp_path))) <= told + 1, "and no more once it has ended"


def test_a_node_that_goes_away_is_told_of_unless_it_was_never_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_RUN", str(tmp_path))
    spec = declared("n1", LEAST, FOUND, as_it_is)
    work = Work(link(iter(()), []), Task(host="n1", spec=spec, rooms=FOUND, roles=None, facts={}))
    away = Refused("n1: the node could not be read: timed out")
    away.__cause__ = Lost("timed out")
    work.events.write("drift", "n2", boots=[])
    work.refused(away)
    assert [event["node"] for event in read(tmp_path)] == ["n2"]
    work.events.write("drift", "n1", boots=[])
    work.refused(away)
    assert [event["event"] for event in read(tmp_path)] == ["drift", "drift", "refused"]


def test_all_tasks_of_a_playbook_share_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path))
    monkeypatch.delenv("PROVISION_RUN", raising=False)
    assert run.folder() == run.folder()
    monkeypatch.setenv("PROVISION_RUN", str(tmp_path / "given"))
    assert run.folder() == tmp_path / "given"


@pytest.mark.parametrize(("ansible", "ours"), [(0, 0), (1, 1), (2, 1), (4, 1), (250, 1), (INTERRUPTED, INTERRUPTED)])
def test_ansibles_exit_codes_become_ours(ansible: int, ours: int) -> None:
    assert ansible_code(ansible) == ours


def test_the_working_directorys_site_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inventory = Path("inventory.py")
    assert ansible_command(inventory, (), dry=False)[-3:] == ["-i", "inventory.py", "provision.core.site"]
    (tmp_path / "site.yml").write_text("---\n")
    assert ansible_command(inventory, ("a", "b"), dry=True)[-4:] == ["site.yml", "--limit", "a,b", "--check"]


def test_what_ansible_said_of_a_node_that_it_could_not_reach_is_kept() -> None:
    told = {"changed": False, "msg": "Failed to connect to the host via ssh:\n  timed out", "unreachable": True}
    log = f"TASK [Read]\nfatal: [n1]: UNREACHABLE! => {json.dumps(told)}\n"
    assert last_words(log, ["n1", "n2"]) == {"n1": "Failed to connect to the host via ssh: timed out", "n2": ""}
