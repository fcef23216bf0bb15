"""The programs that change a node: harmless ones run for real in a temporary folder, the shells read the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from samples import RELEASE, SETTINGS, VERSION, gate, plan, wholly

from provision.engines import render
from provision.engines.render import Sender, apply_program, reboot_program
from provision.model import BootEntry, Derived, Directory, File, Package, Packages, Plan, Resource, Unit
from provision.model.places import RUN, STATE
from provision.probe import parse, probe_program, program
from provision.steps import Due, Reach, desired, drift

SHELLS = [pytest.param([shell], id=shell) for shell in ("dash", "bash") if shutil.which(shell)]
"""What `sh` is on the distributions that are provisioned."""
SENDER = Sender(controller="controller-1", run="run-1", node="n1")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="what is ours belongs to root")

PACKAGES = Packages(name="packages", packages=(Package(name="a", version=f"{VERSION}-*"), Package(name="b")), hold=True)
MORE = Packages(name="more", packages=(Package(name="c"),), boot_scoped=True)
EVERYTHING = plan(
    [
        File(name="file", path="/etc/some where/it's $(here)", content="'\"$(id)\n", boot_scoped=True),
        Directory(name="directory", path="/etc/a 'b'"),
        PACKAGES,
        MORE,
        Unit(name="unit", unit="a@b.service"),
        Unit(name="no-unit", unit="c.service", enabled=False, running=False),
        BootEntry(name="boot-entry", release=RELEASE),
        Derived(
            name="derived", inputs=("file", "packages", "unit", "boot-entry", "/etc/x y"), command="echo 'it''s made'",
            outputs=("/some/out put",), log="/var/log/a b/*/make.log", undo="echo undone",
        ),
        Derived(name="next", inputs=("derived",), command=":"),
        gate("gate", test="true # it's", expect="it's so", remedy='say "no"'),
        *SETTINGS,
    ]
)  # fmt: skip


@pytest.mark.parametrize("shell", SHELLS)
class TestSyntax:
    @pytest.mark.parametrize("name", EVERYTHING.by_name)
    def test_every_kind_is_a_program_that_the_shell_accepts(self, shell: list[str], name: str) -> None:
        self.accepts(shell, apply_program(EVERYTHING, wholly(EVERYTHING, name), SENDER))

    def test_so_is_a_transaction_of_several(self, shell: list[str]) -> None:
        together = [wholly(EVERYTHING, name) for name in ("packages", "more")]
        self.accepts(shell, apply_program(EVERYTHING, together[0], SENDER, together))

    @pytest.mark.parametrize("reads", ["/etc/systemd/system/x.service", "/etc/systemd/system/x.service.d/y.conf", ""])
    def test_systemd_reads_a_file_of_a_unit_in_the_program_that_writes_it(self, shell: list[str], reads: str) -> None:
        wanted = plan([File(name="f", path=reads or "/etc/x.conf", content="")])
        text = apply_program(wanted, wholly(wanted, "f"), SENDER)
        self.accepts(shell, text)
        written, _, after = text.rpartition("\nmv -fT ")
        assert "daemon-reload" not in written
        assert ("\nsystemctl daemon-reload\n" in after) == bool(reads)

    @pytest.mark.parametrize("trial", [None, RELEASE])
    def test_so_is_a_reboot(self, shell: list[str], trial: str | None) -> None:
        self.accepts(shell, reboot_program(SENDER, "it's $(due)", trial))

    def accepts(self, shell: list[str], text: str) -> None:
        done = subprocess.run([*shell, "-n"], input=text, capture_output=True, text=True, timeout=10, check=False)
        assert (done.returncode, done.stderr) == (0, "")


class Node:
    """A temporary folder as a node: what a node keeps is moved there, and only root may give files to root."""

    def __init__(self, folder: Path, shell: Sequence[str]) -> None:
        self.folder, self.shell = folder, shell
        self.state, self.run_folder = folder / "state", folder / "run"
        self.files = folder / "files"
        self.files.mkdir()

    def moved(self, text: str) -> str:
        text = text.replace(STATE, str(self.state)).replace(RUN, str(self.run_folder))
        return text if os.geteuid() == 0 else text.replace("chown root:root", 'chown "$(id -u):$(id -g)"')

    def run(self, text: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*self.shell, "-s"], input=text, capture_output=True, text=True, timeout=30, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    def apply(
        self, wanted: Plan, name: str, check: bool = True, due: Due | None = None
    ) -> subprocess.CompletedProcess[str]:
        resource = wanted.by_name[name].resource
        assert not isinstance(resource, (Packages, Unit, BootEntry)), "these would change this very machine"
        return self.run(self.moved(apply_program(wanted, due or wholly(wanted, name), SENDER)), check)

    def path(self, name: str) -> str:
        return str(self.files / name)

    def stamps(self) -> dict[str, str]:
        return {path.name: path.read_text().strip() for path in (self.state / "derived").glob("[!.]*")}

    def ledger(self) -> list[list[str]]:
        return [line.split(" ")[1:] for line in (self.state / "ledger").read_text().splitlines()]

    def due(self, wanted: Plan) -> list[str]:
        """What the probe finds due here, for real."""
        answer = self.run(self.moved(probe_program(wanted))).stdout
        return [d.entry.name for boot in drift(wanted, parse(answer)) for d in boot]


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that can be: the programs sync whatever they write, which takes a disk long."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


@pytest.fixture(params=SHELLS)
def node(request: pytest.FixtureRequest, folder: Path) -> Node:
    return Node(folder, request.param)


HOSTILE = {
    "nothing": "", "no last newline": "one", "quotes": "'\"\\'\n", "substitution": "$(touch {x})`touch {x}`${HOME}\n",
    "end of a document": "EOF\n__EOF__\n}\nmain\n", "control characters": "\x1b[2J\x07\x00\r\n", "options": "-n -e\n",
    "letters": "é\u2028\U0001f4a5\n", "percent": "%s%n\\n\\c\n", "large": "x" * 300_000,
}  # fmt: skip


class TestFile:
    def wanted(self, node: Node, name: str = "f", content: str = "one\n", mode: str = "0640", **fields: bool) -> Plan:
        return plan([File(name="file", path=node.path(name), content=content, mode=mode, **fields)])

    @pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
    def test_the_content_is_written_to_the_byte(self, node: Node, content: str) -> None:
        content = content.replace("{x}", node.path("touched"))
        node.apply(self.wanted(node, content=content), "file")
        assert Path(node.path("f")).read_bytes() == content.encode()
        assert [path.name for path in node.files.iterdir()] == ["f"]

    @pytest.mark.parametrize(
        "name",
        ["a b", "it's", '"', "$(touch x)", "`id`", "-n", "é", "*", "a\\b", "#", ";", "deep/er/f", ".hidden", "%s", "~"],
    )
    def test_the_path_is_a_path_whatever_it_looks_like(self, node: Node, name: str) -> None:
        node.apply(self.wanted(node, name), "file")
        assert Path(node.path(name)).read_text() == "one\n"
        assert [str(path.relative_to(node.files)) for path in node.files.rglob("*") if path.is_file()] == [name]

    @pytest.mark.parametrize("mode", ["600", "0644", "755", "4755"])
    def test_the_mode_is_as_declared(self, node: Node, mode: str) -> None:
        node.apply(self.wanted(node, mode=mode), "file")
        assert Path(node.path("f")).stat().st_mode & 0o7777 == int(mode, 8)

    @needs_root
    def test_the_probe_finds_nothing_due_afterwards(self, node: Node) -> None:
        wanted = self.wanted(node)
        assert node.due(wanted) == ["file"]
        node.apply(wanted, "file")
        assert node.due(wanted) == []
        Path(node.path("f")).write_text("by hand\n")
        assert node.due(wanted) == ["file"]
        node.apply(wanted, "file")
        assert node.due(wanted) == []

    def test_a_reader_sees_the_old_content_or_the_new_never_a_part(self, node: Node) -> None:
        contents = ["a" * 200_000, "b" * 200_000]
        path = Path(node.path("f"))
        path.write_text(contents[0])
        seen: set[str] = set()
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                seen.add(path.read_text())

        reader = threading.Thread(target=watch)
        reader.start()
        for number in range(1, 5):
            node.apply(self.wanted(node, content=contents[number % 2]), "file")
        over.set()
        reader.join()
        assert seen <= set(contents)

    def test_a_full_disk_leaves_the_old_content(self, node: Node) -> None:
        Path(node.path("f")).write_text("old\n")
        wanted = self.wanted(node, content="x" * 100_000)
        text = node.moved(apply_program(wanted, wholly(wanted, "file"), SENDER))
        done = node.run(f"ulimit -f 16\n{text}", check=False)
        assert done.returncode != 0
        assert Path(node.path("f")).read_text() == "old\n"
        assert [line[2:] for line in node.ledger()] == [["begin", "file"], ["failed", "file"]]

    def test_what_an_interrupted_run_left_behind_is_no_obstacle(self, node: Node) -> None:
        (node.files / ".f.provision").write_text("half")
        (node.files / ".f.provision").chmod(0o400)
        node.apply(self.wanted(node), "file")
        assert Path(node.path("f")).read_text() == "one\n"

    def test_a_secret_is_readable_for_others_at_no_moment(self, node: Node) -> None:
        wanted = self.wanted(node, mode="600")
        text = node.moved(apply_program(wanted, wholly(wanted, "file"), SENDER))
        assert text.count("\nchown ") == 1
        node.run(text.replace("\nchown ", "\nfalse "), check=False)
        (begun,) = node.files.iterdir()
        assert begun.stat().st_mode & 0o777 == 0o600

    def test_a_link_is_replaced_and_what_it_names_is_left_alone(self, node: Node) -> None:
        other = node.folder / "other"
        other.write_text("mine\n")
        Path(node.path("f")).symlink_to(other)
        node.apply(self.wanted(node), "file")
        assert not Path(node.path("f")).is_symlink()
        assert other.read_text() == "mine\n"

    def test_a_folder_in_its_place_is_an_error_and_stays(self, node: Node) -> None:
        Path(node.path("f")).mkdir()
        done = node.apply(self.wanted(node), "file", check=False)
        assert done.returncode != 0
        assert "f" in done.stderr
        assert Path(node.path("f")).is_dir()


class TestDirectory:
    @needs_root
    def test_it_is_made_with_its_mode_and_found_clean(self, node: Node) -> None:
        wanted = plan([Directory(name="d", path=node.path("a b/c"), mode="0700")])
        node.apply(wanted, "d")
        assert node.due(wanted) == []
        Path(node.path("a b/c")).chmod(0o755)
        assert node.due(wanted) == ["d"]


class TestWhatIsWrittenAroundAChange:
    def wanted(self, node: Node, **fields: bool) -> Plan:
        return plan(
            [
                File(name="file", path=node.path("f"), content="one\n", **fields),
                Derived(name="made", inputs=("file",), command=f"cat {node.path('f')} >{node.path('out')}",
                        outputs=(node.path("out"),)),
                Derived(name="far", inputs=("made",), command=":"),
            ]
        )  # fmt: skip

    def test_begin_and_end_stand_in_the_nodes_ledger(self, node: Node) -> None:
        node.apply(self.wanted(node), "file")
        assert node.ledger() == [["run-1", BOOT_ID[:8], "begin", "file"], ["run-1", BOOT_ID[:8], "ok", "file"]]
        assert not (node.run_folder / "doing").exists()
        assert (node.run_folder / "lease").read_text().split(" ")[:2] == ["controller-1", "run-1"]

    def test_a_boot_scoped_change_leaves_the_marker_of_this_boot(self, node: Node) -> None:
        node.apply(self.wanted(node, boot_scoped=True), "file")
        assert (node.state / "reboot-due").read_text() == f"{BOOT_ID} file\n"

    def test_so_does_what_derives_from_it(self, node: Node) -> None:
        wanted = self.wanted(node, boot_scoped=True)
        Path(node.path("f")).write_text("one\n")
        node.apply(wanted, "made")
        assert (node.state / "reboot-due").read_text() == f"{BOOT_ID} made\n"

    @pytest.mark.parametrize(
        ("reach", "marked", "stamps"),
        [("kernel", True, ["far"]), ("daemons", False, ["far"]), ("nothing", False, ["far", "made"])],
    )
    def test_a_change_marks_and_makes_due_again_as_far_as_it_reaches(
        self, node: Node, reach: Reach, marked: bool, stamps: list[str]
    ) -> None:
        wanted = self.wanted(node)
        for name in ("file", "made", "far"):
            node.apply(wanted, name)
        node.apply(wanted, "file", due=Due(entry=wanted.by_name["file"], why="differs", reach=reach))
        assert (node.state / "reboot-due").exists() == marked
        assert sorted(node.stamps()) == stamps

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (f"{BOOT_ID} made\n", f"{BOOT_ID} made file"),
            (f"{BOOT_ID} made file far\n", f"{BOOT_ID} made file far"),
            (f"{BOOT_ID} file-of-old\n", f"{BOOT_ID} file-of-old file"),
            ("an-earlier-boot made\n", f"{BOOT_ID} file"),
            ("", f"{BOOT_ID} file"),
        ],
    )
    def test_the_marker_names_everything_that_was_changed_in_this_boot(
        self, node: Node, before: str, after: str
    ) -> None:
        node.state.mkdir()
        (node.state / "reboot-due").write_text(before)
        node.apply(self.wanted(node, boot_scoped=True), "file")
        assert (node.state / "reboot-due").read_text() == f"{after}\n"

    def test_any_other_change_leaves_none(self, node: Node) -> None:
        node.apply(self.wanted(node), "file")
        assert not (node.state / "reboot-due").exists()

    def test_the_marker_is_there_before_the_change(self, node: Node) -> None:
        wanted = plan(
            [Derived(name="d", inputs=(), command=f"cp {node.state}/reboot-due {node.path('seen')}", boot_scoped=True)]
        )
        node.apply(wanted, "d")
        assert Path(node.path("seen")).read_text() == f"{BOOT_ID} d\n"

    def test_a_change_takes_the_stamps_of_what_derives_from_it_even_when_it_fails(self, node: Node) -> None:
        wanted = self.wanted(node)
        for name in ("file", "made", "far"):
            node.apply(wanted, name)
        assert sorted(node.stamps()) == ["far", "made"]
        Path(node.path("f")).unlink()
        Path(node.path("f")).mkdir()
        assert node.apply(wanted, "file", check=False).returncode != 0
        assert sorted(node.stamps()) == ["far"]

    @needs_root
    def test_a_whole_plan_leaves_nothing_due_and_a_hand_is_noticed(self, node: Node) -> None:
        wanted = self.wanted(node)
        assert node.due(wanted) == ["file", "made", "far"]
        for name in ("file", "made", "far"):
            node.apply(wanted, name)
        assert node.due(wanted) == []
        Path(node.path("f")).chmod(0o600)
        assert node.due(wanted) == ["file", "made", "far"]
        Path(node.path("f")).chmod(0o644)
        assert node.due(wanted) == []
        Path(node.path("out")).unlink()
        assert node.due(wanted) == ["made", "far"]


class TestDerived:
    def derived(self, command: str, **fields: object) -> Plan:
        return plan([Derived.model_validate({"name": "d", "inputs": ("/proc/version",), "command": command, **fields})])

    def test_it_is_stamped_with_what_it_was_made_of(self, node: Node) -> None:
        wanted = self.derived(":")
        resource = wanted.by_name["d"].resource
        assert isinstance(resource, Derived)
        node.apply(wanted, "d")
        made_of, _, made_from = node.stamps()["d"].partition("-")
        assert made_of == desired(wanted, resource)
        assert len(made_from) == 16
        assert node.due(wanted) == []

    def test_inputs_that_are_missing_are_told_of_alike_when_made_and_when_checked(self, node: Node) -> None:
        wanted = self.derived(":", inputs=(node.path("absent"), "/proc/version"))
        node.apply(wanted, "d")
        assert node.due(wanted) == []

    def test_there_is_no_stamp_while_the_command_runs(self, node: Node) -> None:
        wanted = self.derived(f"ls -A {node.state}/derived >{node.path('seen')}")
        node.apply(wanted, "d")
        node.apply(wanted, "d")
        assert Path(node.path("seen")).read_text() == ""

    @pytest.mark.parametrize(
        "command", ["false", "false; true", "exit 3", "echo $unset_variable", "true | false", "(exit 1); true"]
    )
    def test_a_command_that_fails_anywhere_leaves_no_stamp(self, node: Node, command: str) -> None:
        wanted = self.derived(":")
        node.apply(wanted, "d")
        done = node.apply(self.derived(command), "d", check=False)
        assert done.returncode not in {0, 75}
        assert node.stamps() == {}
        assert node.ledger()[-1][2:] == ["failed", "d"]

    def test_an_output_that_was_not_made_is_a_failure(self, node: Node) -> None:
        done = node.apply(self.derived(":", outputs=(node.path("it's out"),)), "d", check=False)
        assert done.returncode == 1
        assert done.stderr == f"{node.path(chr(105) + chr(116) + chr(39) + 's out')} was not made\n"
        assert node.stamps() == {}

    def test_what_failed_is_undone_and_keeps_its_exit_code(self, node: Node) -> None:
        done = node.apply(self.derived("echo begun; exit 7", undo="echo taken back"), "d", check=False)
        assert (done.returncode, done.stderr) == (7, "begun\ntaken back\n")

    def test_what_was_made_is_not_undone(self, node: Node) -> None:
        assert node.apply(self.derived(":", undo=f"touch {node.path('undone')}"), "d").stderr == ""
        assert not Path(node.path("undone")).exists()

    @pytest.mark.parametrize("undo", ["false", "echo half; false; echo whole", "exit 4", "echo $unset_variable"])
    def test_an_undo_that_fails_anywhere_is_told(self, node: Node, undo: str) -> None:
        done = node.apply(self.derived("exit 7", undo=undo), "d", check=False)
        assert done.returncode == 7
        assert "whole" not in done.stderr
        assert done.stderr.endswith("what was begun could not be taken back\n")

    def test_the_end_of_the_log_is_shown_in_letters_that_travel(self, node: Node) -> None:
        done = node.apply(self.derived(r"seq 100; printf 'caf\351 \033[31m\303\n'; exit 1"), "d", check=False)
        lines = done.stderr.splitlines()
        assert lines[-1] == "caf? ?[31m?"
        assert (len(lines), lines[0]) == (render.TAIL, "77")

    def test_a_command_cannot_eat_the_rest_of_the_program(self, node: Node) -> None:
        wanted = self.derived(f"cat >{node.path('eaten')}")
        node.run(node.moved(apply_program(wanted, wholly(wanted, "d"), SENDER)) + "echo what comes next\n")
        assert Path(node.path("eaten")).read_text() == ""
        assert list(node.stamps()) == ["d"]

    def test_progress_is_told_while_it_works_and_nobody_has_to_listen(self, node: Node) -> None:
        logs, neighbour = node.files / "a b", node.files / "neighbour"
        logs.mkdir()
        neighbour.mkdir()
        command = f"printf 'one\\ntwo\\tx\\033[2J\\303' >{str(logs / 'x.log')!r}; sleep 1; echo done"
        wanted = self.derived(command, log=f"{logs}/*.log")
        program = apply_program(wanted, wholly(wanted, "d"), SENDER)
        assert program.count("while sleep 2 ") == 1
        program = program.replace("while sleep 2 ", "while sleep 0.1 ")
        deaf = subprocess.Popen([*node.shell, "-s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert deaf.stdin is not None
        assert deaf.stdout is not None
        deaf.stdout.close()
        deaf.stdin.write(node.moved(program))
        deaf.stdin.close()
        other = Node(neighbour, node.shell)
        told = [line for line in other.run(other.moved(program)).stdout.splitlines() if line.startswith("@progress")]
        assert deaf.wait(10) == 0
        # On a busy machine the first word may come before the command's own first.
        mark, name, resource, seconds, lines, line = told[-1].split("\t")
        assert (mark, name, resource, lines, line) == ("@progress", "n1", "d", "1", "two x[2J")
        assert seconds.isdigit()
        assert list(node.stamps()) == ["d"]

    @pytest.mark.parametrize(
        ("log", "told"),
        [
            ("  CC [M]  nvidia/nv.o\n", "  CC [M]  nvidia/nv.o"),
            ("  LD [M]  nvidia.ko\nld -r -m elf_x86_64 -z noexecstack -o nvidia.o @nvidia.mod\n", "  LD [M]  nvidia.ko"),
            ("  CC [M]  a.o\nset -e;  echo '  LD [M]  a.ko'; ld -r a.o\n", "  CC [M]  a.o"),
            ("  CC [M]  a.o\n{ echo a; } > .a.cmd\n\n", "  CC [M]  a.o"),
            ("  CC [M]  a.o\n./scripts/mod/modpost -m -o Module.symvers -T order\n", "  CC [M]  a.o"),
            ("Setting up libc-bin (2.36-9+deb12u4) ...\n", "Setting up libc-bin (2.36-9+deb12u4) ..."),
            ("Get:1 http://archive.example/debian bookworm/main amd64 a amd64 1.2 [3,000 B]\n",
             "Get:1 http://archive.example/debian bookworm/main amd64 a amd64 1.2 [3,000 B]"),
            ("gcc-12 -c -o a.o a.c\n", ""),
            ("", ""),
        ],
    )  # fmt: skip
    def test_progress_is_what_a_build_says_of_itself_and_no_command(self, node: Node, log: str, told: str) -> None:
        done = subprocess.run(["awk", render.TOLD], input=log, capture_output=True, text=True, check=True)
        assert done.stdout.rstrip("\n") == told

    def test_what_it_made_is_on_the_disk_before_its_stamp_is(self, node: Node) -> None:
        made = node.path("made")
        wanted = plan([Derived(name="d", inputs=(), command=f"echo made >{made}", outputs=(made,))])
        text = node.moved(apply_program(wanted, wholly(wanted, "d"), SENDER))
        told = node.folder / "synced"
        node.run(f'sync() {{ printf "%s\\n" "$*" >>{told}; }}\n{text}')
        synced = told.read_text().splitlines()
        stamp = next(number for number, path in enumerate(synced) if "/derived/" in path)
        assert f"{made} {node.files}" in synced[:stamp]


class TestGate:
    def test_one_that_holds_lets_the_run_go_on(self, node: Node) -> None:
        assert node.apply(plan([gate("g", test="true")]), "g").stderr == ""

    @pytest.mark.parametrize("test", ["echo evidence; false", "echo evidence; false; true", "echo evidence; exit 5"])
    def test_one_that_does_not_tells_evidence_expectation_and_remedy(self, node: Node, test: str) -> None:
        done = node.apply(plan([gate("g", test=test, expect="it's so", remedy="Do $this")]), "g", check=False)
        assert (done.returncode, done.stderr) == (1, "evidence\nnot so: it's so. Do $this\n")


class TestTwoControllers:
    WANTED = plan([gate("g")])

    def lease(self, node: Node, controller: str, age: int) -> None:
        node.run_folder.mkdir()
        (node.run_folder / "lease").write_text(f"{controller} their-run {int(time.time()) - age}\n")

    def test_another_controllers_run_is_waited_for_and_then_told(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(render, "LEASE_WAIT", 0)
        self.lease(node, "controller-2", age=5)
        done = node.apply(self.WANTED, "g", check=False)
        assert done.returncode == 75
        assert done.stderr.startswith("run their-run of another controller (controller-2) is at work on this node")

    @pytest.mark.parametrize(("controller", "age"), [("controller-2", 31), ("controller-1", 0)])
    def test_one_that_died_or_is_ours_is_not(
        self, node: Node, monkeypatch: pytest.MonkeyPatch, controller: str, age: int
    ) -> None:
        monkeypatch.setattr(render, "LEASE_WAIT", 0)
        self.lease(node, controller, age)
        node.apply(self.WANTED, "g")

    def test_an_empty_lease_is_none(self, node: Node) -> None:
        node.run_folder.mkdir()
        (node.run_folder / "lease").touch()
        node.apply(self.WANTED, "g")


class TestReboot:
    def test_it_is_noted_before_it_is_ordered_and_ordered_once(self, node: Node) -> None:
        ordered = node.path("ordered")
        text = node.moved(reboot_program(SENDER, "it's $(due)", None))
        assert text.count("systemctl reboot") == 1
        node.run(text.replace("systemctl reboot", f"cp {node.state}/ledger {ordered}"))
        deadline = time.monotonic() + 30
        while not Path(ordered).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.05)
        assert Path(ordered).read_text().endswith(f" run-1 {BOOT_ID[:8]} reboot it's $(due)\n")

    def test_a_trial_that_cannot_be_set_up_orders_none(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            render.trial_boot, "order", lambda release, _words: f"echo no menu for {release}\nfalse\necho and on"
        )
        text = node.moved(reboot_program(SENDER, "why", RELEASE))
        assert text.count("systemctl reboot") == 1
        done = node.run(text.replace("systemctl reboot", f"touch {node.path('ordered')}"), check=False)
        time.sleep(0.4)
        assert (done.returncode, done.stderr) == (1, f"no menu for {RELEASE}\n")
        assert not Path(node.path("ordered")).exists()


@pytest.mark.parametrize("shell", SHELLS)
class TestTruncated:
    """A connection that is cut while a program is sent: nothing of it has run."""

    def test_any_beginning_of_a_program_runs_nothing_or_all(self, shell: list[str], folder: Path) -> None:
        first, last = folder / "first", folder / "last"
        text = program(f"touch {first}\ncat <<'EOF' >/dev/null\n}}\nmain\nEOF\ntouch {last}")
        whole = len(text) - len(" </dev/null\n")
        for cut in range(len(text) + 1):
            subprocess.run([*shell, "-s"], input=text[:cut], text=True, capture_output=True, timeout=10, check=False)
            assert first.exists() == last.exists(), text[:cut]
            assert cut >= whole or not first.exists(), text[:cut]
            first.unlink(missing_ok=True)
            last.unlink(missing_ok=True)
        subprocess.run([*shell, "-s"], input=text, text=True, check=True, timeout=10)
        assert last.exists()

    def test_no_beginning_of_a_real_one_touches_the_node(self, shell: list[str], folder: Path) -> None:
        node = Node(folder, shell)
        wanted = plan([File(name="f", path=node.path("f"), content="'}\nmain\n" * 40, boot_scoped=True)])
        text = node.moved(apply_program(wanted, wholly(wanted, "f"), SENDER))
        whole = len(text) - len(" </dev/null\n")
        for cut in [*range(0, whole, whole // 60), *range(whole - 20, whole)]:
            node.run(text[:cut], check=False)
            assert (node.state.exists(), list(node.files.iterdir())) == (False, []), text[:cut][-80:]
        node.run(text)
        assert Path(node.path("f")).exists()


PRINTABLE = st.characters(exclude_categories=["C"], exclude_characters="/")


@given(content=st.text(max_size=40), name=st.text(PRINTABLE, min_size=1, max_size=20))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_declared_is_what_is_there(folder: Path, content: str, name: str) -> None:
    assume(name not in {".", ".."})
    node = Node(Path(mkdtemp(dir=folder)), ["sh"])
    resource: Resource = File(name="f", path=node.path(name), content=content)
    node.apply(plan([resource]), "f")
    assert [path.name for path in node.files.iterdir()] == [name]
    assert Path(node.path(name)).read_bytes() == content.encode()
