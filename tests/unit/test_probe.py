"""The probe: run for real on this machine, under every shell that is here; and its answer, read without trust."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import SETTINGS, gate, plan

from provision.model import (
    Derived,
    Directory,
    File,
    FileState,
    Fragment,
    Group,
    Manual,
    Module,
    Package,
    Packages,
    Plan,
    Resource,
    Setting,
    Snapshot,
    Sysctl,
    SysctlSetting,
    Unit,
    User,
)
from provision.model.places import RUN, STATE
from provision.platforms.settings import files_of
from provision.platforms.units import unit_of
from provision.probe import BOOT_ID, Unreadable, fingerprint, parse, probe_program, program
from provision.probe.parse import FIELDS
from provision.probe.program import AT_ONCE, FUNCTIONS, questions
from provision.steps import difference

SHELLS = [
    pytest.param(words, id=words[-1] if len(words) == 1 else "busybox")
    for words in (["dash"], ["bash"], ["/bin/busybox", "sh"])
    if shutil.which(words[0])
]
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can become nobody")
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Here:
    """This machine, with the folders that a node keeps moved to a temporary one."""

    def __init__(self, folder: Path) -> None:
        self.state, self.run = folder / "state", folder / "run"
        (self.state / "derived").mkdir(parents=True)

    def read(self, text: str, shell: Sequence[str] = ("sh",), become: Sequence[str] = ()) -> str:
        moved = text.replace(STATE, str(self.state)).replace(RUN, str(self.run))
        done = subprocess.run(
            [*become, *shell, "-s"], input=moved.encode(), capture_output=True, timeout=30, check=False
        )
        return done.stdout.decode()  # strict: paramiko is strict too

    def snapshot(
        self, wanted: Plan | None = None, shell: Sequence[str] = ("sh",), become: Sequence[str] = ()
    ) -> Snapshot:
        return parse(self.read(probe_program(wanted), shell, become), "here")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Open to other users, which a folder of pytest's own is not."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@pytest.fixture
def wanted(tmp_path: Path) -> Plan:
    for name, mode in (("open", 0o644), ("secret", 0o600)):
        (tmp_path / name).write_text("one\n")
        (tmp_path / name).chmod(mode)
    (tmp_path / "folder").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("open")
    os.mkfifo(tmp_path / "pipe")
    files = [
        File(name=name, path=str(tmp_path / name), content="one\n")
        for name in ("open", "secret", "link", "pipe", "absent")
    ]
    return plan(
        [
            *files,
            Directory(name="folder", path=str(tmp_path / "folder")),
            Packages(name="packages", packages=(Package(name="dpkg"), Package(name="there-is-no-such-package"))),
            Unit(name="unit", unit="there-is-no-such-unit.service"),
            Derived(name="made", inputs=("open", "folder", "packages"), command=":", outputs=(str(tmp_path / "open"),)),
            gate("holds", test="echo evidence; true"),
            gate("fails", test="echo first; echo second; false"),
            gate("fails-in-the-middle", test="echo before; false; echo after"),
            gate("unset", test='echo "$there_is_no_such_variable"'),
            gate("exits", test="exit 0; false"),
            gate("asked-only-before-a-change", precondition=True),
        ]
    )


@pytest.mark.parametrize("shell", SHELLS)
class TestForReal:
    def test_a_first_reading_is_this_machine(self, here: Here, shell: list[str]) -> None:
        snapshot = here.snapshot(shell=shell)
        assert snapshot.node == "here"
        assert snapshot.kernel == os.uname().release
        assert snapshot.arch == os.uname().machine
        assert snapshot.page_size == os.sysconf("SC_PAGE_SIZE")
        assert snapshot.boot_id == BOOT.read_text().strip()
        assert snapshot.root == AS_ROOT
        assert snapshot.offers is None
        assert snapshot.reboot_due == ""
        assert snapshot.ledger == ()

    def test_files_are_read_as_they_are(self, here: Here, wanted: Plan, shell: list[str], tmp_path: Path) -> None:
        files = {Path(path).name: state for path, state in here.snapshot(wanted, shell).files.items()}
        assert {name: state.type for name, state in files.items() if name != "secret"} == {
            "open": "file", "link": "symlink", "pipe": "other", "folder": "directory",
        }  # fmt: skip
        assert files["link"].target == "open"
        assert files["open"].mode == "644"
        assert files["folder"].mode == "755"
        assert files["open"].owner == tmp_path.owner()
        assert files["open"].sha256 == subprocess.check_output(["sha256sum", tmp_path / "open"], text=True).split()[0]

    def test_packages_and_units_are_those_of_this_machine(self, here: Here, wanted: Plan, shell: list[str]) -> None:
        snapshot = here.snapshot(wanted, shell)
        if shutil.which("dpkg-query"):
            assert list(snapshot.packages) == ["dpkg"]
            assert snapshot.packages["dpkg"].installed
        unit = snapshot.units.get("there-is-no-such-unit.service")
        assert unit is None or unit.active != "active"

    def test_a_gate_is_judged_as_it_is_when_it_is_carried_out(self, here: Here, wanted: Plan, shell: list[str]) -> None:
        gates = here.snapshot(wanted, shell).gates
        assert {name: state.holds for name, state in gates.items()} == {
            "holds": True, "fails": False, "fails-in-the-middle": False, "unset": False, "exits": True,
        }  # fmt: skip
        assert (gates["holds"].evidence, gates["fails"].evidence) == ("evidence", "second")
        assert gates["fails-in-the-middle"].evidence == "before"
        assert "there_is_no_such_variable" in gates["unset"].evidence

    def test_stamps_marker_and_ledger_come_back(self, here: Here, shell: list[str]) -> None:
        (here.state / "derived" / "initrd").write_text("0123-4567\n")
        (here.state / "reboot-due").write_text("some-boot initrd modules\n")
        (here.state / "ledger").write_text("".join(f"line {n}\n" for n in range(20)))
        snapshot = here.snapshot(shell=shell)
        assert snapshot.stamps == {"initrd": "0123-4567"}
        assert (snapshot.reboot_due, snapshot.reboot_for) == ("some-boot", ("initrd", "modules"))
        assert snapshot.ledger == tuple(f"line {n}" for n in range(12, 20))

    @needs_root
    def test_nobody_reads_the_same_and_says_what_is_hidden(self, here: Here, wanted: Plan, shell: list[str]) -> None:
        by_root, by_nobody = here.snapshot(wanted, shell), here.snapshot(wanted, shell, NOBODY)
        secret = next(path for path in by_root.files if path.endswith("/secret"))
        assert by_root.hidden == {}
        assert by_nobody.hidden == {
            f"file {secret}": "not readable for this user",
            "lock": "without root a change may be under way while this is read",
        }
        assert (by_root.root, by_nobody.root) == (True, False)
        visible = {path: state for path, state in by_root.files.items() if path != secret}
        assert by_nobody.files == visible
        assert by_nobody.model_copy(update={"hidden": {}, "root": True, "files": by_root.files}) == by_root

    @needs_root
    def test_what_lies_in_a_closed_folder_is_hidden_not_missing(
        self, here: Here, tmp_path: Path, shell: list[str]
    ) -> None:
        (tmp_path / "closed" / "deep").mkdir(parents=True)
        (tmp_path / "closed").chmod(0o700)
        paths = [f"{tmp_path}/{name}" for name in ("closed/absent", "closed/deep/er/absent", "open/absent")]
        wanted = plan([File(name=f"f{n}", path=path, content="") for n, path in enumerate(paths)])
        hidden = here.snapshot(wanted, shell, NOBODY).hidden
        assert [path for path in paths if f"file {path}" in hidden] == paths[:2]
        assert here.snapshot(wanted, shell).hidden == {}

    def test_the_smallest_question_names_this_boot(self, here: Here, shell: list[str]) -> None:
        assert f"boot_id\t{BOOT.read_text().strip()}\n" in here.read(program(BOOT_ID), shell)

    def test_a_first_reading_with_offers_says_what_can_be_installed(self, here: Here, shell: list[str]) -> None:
        offers = parse(here.read(probe_program(globs=["there-is-no-such-package*"]), shell)).offers
        assert offers == {}

    def test_the_default_kernel_is_what_the_platform_prints_last(self, here: Here, shell: list[str]) -> None:
        text = probe_program(default_kernel="echo noise; echo 1.2-artificial; echo trouble >&2")
        assert parse(here.read(text, shell)).default_kernel == "1.2-artificial"

    @needs_root
    def test_it_waits_for_a_change_and_tells_so(self, here: Here, shell: list[str]) -> None:
        here.run.mkdir()
        (here.run / "doing").write_text("module-build\n")
        with subprocess.Popen(["flock", here.run / "lock", "sleep", "0.5"]):
            while subprocess.run(["flock", "-n", here.run / "lock", "true"], check=False).returncode == 0:
                pass
            text = here.read(probe_program(), shell)
        assert text.splitlines()[0] == "@busy\tmodule-build"
        assert parse(text).root


HOSTILE = {
    "tab": "a\tb",
    "newline": "a\nb",
    "end of the answer": "x\nEND\n",
    "carriage return": "a\r\nEND\r",
    "a line of ours": "x\nroot\t0\npage_size\t65536",
    "escape sequence": "\x1b[2J\x1b]0;owned\x07",
    "command substitution": "$(touch {touched})`touch {touched}`",
    "quote": "'; touch {touched}; '\"; touch {touched}",
    "option": "-n --help",
    "format": "%s%n%d\\n\\0",
    "very long": "x" * 100_000,
    "many lines": "y\n" * 10_000,
    "other letters": "é\u2028\U0001f4a5",
    "half a letter at the cut": "é" * 400,
    "nothing": "",
}


@pytest.mark.parametrize("shell", SHELLS)
class TestHostileValues:
    @pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
    def test_a_value_stays_one_field_and_never_runs(
        self, here: Here, tmp_path: Path, shell: list[str], value: str
    ) -> None:
        touched = tmp_path / "touched"
        value = value.replace("{touched}", str(touched))
        (here.state / "ledger").write_text(value)
        (here.state / "reboot-due").write_text(value + "\n")
        (here.state / "derived" / "initrd").write_text(value + "\n")
        (tmp_path / "value").write_text(value)
        snapshot = here.snapshot(plan([gate("shown", test=f"cat {tmp_path}/value")]), shell)
        assert not touched.exists()
        assert snapshot.page_size == os.sysconf("SC_PAGE_SIZE")
        assert snapshot.root == AS_ROOT
        assert list(snapshot.stamps) == ["initrd"]
        assert len(snapshot.ledger) <= 8
        shown = (snapshot.gates["shown"].evidence, *snapshot.ledger)
        assert all(text.isascii() and text.isprintable() for text in shown)

    def test_bytes_that_are_no_text_do_not_end_the_answer(self, here: Here, tmp_path: Path, shell: list[str]) -> None:
        (tmp_path / "value").write_bytes(bytes(range(1, 256)))
        (here.state / "ledger").write_bytes(b"\xff\xfe caf\xe9\n")
        (tmp_path / "link").symlink_to(os.fsdecode(b"caf\xe9"))
        wanted = plan(
            [gate("shown", test=f"cat {tmp_path}/value"), File(name="l", path=f"{tmp_path}/link", content="")]
        )
        snapshot = here.snapshot(wanted, shell)
        assert snapshot.ledger == ("?? caf?",)
        assert snapshot.files[f"{tmp_path}/link"].target == "caf?"

    @pytest.mark.parametrize("name", ["a b", "$(touch x)", "a'b", 'a"b', "-n", "é", "*", "a\\b", "a;b", "#"], ids=ascii)
    def test_a_path_is_never_read_by_the_shell(self, here: Here, tmp_path: Path, shell: list[str], name: str) -> None:
        path = str(tmp_path / name)
        Path(path).write_text("x")
        assert list(here.snapshot(plan([File(name="f", path=path, content="x")]), shell).files) == [path]


NAMES = [
    "a b",
    "$(touch x)",
    "a'b",
    "-n",
    "é",
    "*",
    "a\\b",
    " before",
    "behind ",
    "~",
    "\x7f",
    *map(str, range(AT_ONCE)),
]

ODD = """\
mkdir folder closed closed/in; mkfifo pipe; chmod 700 closed; echo x >secret; chmod 600 secret
ln -s folder to-folder; ln -s nothing to-nothing; ln -s 0 to-file; ln -s closed/in to-closed
"""

SYSTEMCTL = """\
#!/bin/sh
verb=$1; shift
for unit; do
  case $verb$unit in
  is-enableda.service) echo enabled ;; is-activea.service) echo active ;;
  is-enabledb.timer) echo alias ;; is-activeb.timer) echo failed ;;
  is-enabled*) {absent} ;; is-active*) echo inactive ;;
  esac
done
"""


@pytest.mark.parametrize("shell", SHELLS)
class TestManyAtOnce:
    """One program about many gives what one program about each gives."""

    def answers(self, here: Here, commands: Sequence[str], shell: list[str], become: Sequence[str] = ()) -> list[str]:
        text = program("\n".join([FUNCTIONS, *commands])).replace("PATH=", f"PATH={here.state}:")
        return sorted(here.read(text, shell, become).splitlines())

    def shim(self, here: Here, name: str, text: str) -> None:
        (here.state / name).write_text(text)
        (here.state / name).chmod(0o755)

    @pytest.mark.parametrize("become", [(), pytest.param(NOBODY, marks=needs_root)], ids=["root", "nobody"])
    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_files_and_folders_of_every_sort(
        self, here: Here, tmp_path: Path, shell: list[str], kind: str, become: Sequence[str]
    ) -> None:
        subprocess.run(["sh", "-euc", ODD], cwd=tmp_path, check=True)
        for name in NAMES:
            (tmp_path / name).write_text(f"content of {name}")
        absent = [tmp_path / name for name in ("absent", "closed/absent", "closed/in")]
        paths = [quote(str(path)) for path in [*tmp_path.iterdir(), *absent]]
        each = self.answers(here, [f"{kind} {path}" for path in paths], shell, become)
        assert self.answers(here, [f"{kind}s {' '.join(paths)}"], shell, become) == each
        assert len(each) > len(NAMES)

    @pytest.mark.parametrize("gone", ["0", "1", "2"])
    @pytest.mark.parametrize("tool", ["stat", "sha256sum"])
    def test_a_file_that_vanishes_meanwhile(
        self, here: Here, tmp_path: Path, shell: list[str], tool: str, gone: str
    ) -> None:
        paths = [tmp_path / name for name in "012"]
        for path in paths:
            path.write_text(path.name)
        asked = [f"file {path}" for path in paths if path.name != gone]
        self.shim(here, tool, f'#!/bin/sh\nrm -f {tmp_path}/{gone}\nexec /usr/bin/{tool} "$@"\n')
        assert self.answers(here, [f"files {' '.join(map(str, paths))}"], shell) == self.answers(here, asked, shell)

    @pytest.mark.parametrize("absent", ["echo not-found", ":", "exit 1"])
    def test_units(self, here: Here, shell: list[str], absent: str) -> None:
        """The states of units that are not there, as systemd 257 tells them, and as 252 does not."""
        self.shim(here, "systemctl", SYSTEMCTL.replace("{absent}", absent))
        units = ["a.service", "absent.service", "b.timer"]
        each = self.answers(here, [f"unit {unit}" for unit in units], shell)
        assert self.answers(here, [f"units {' '.join(units)}"], shell) == each
        assert each[0] == "unit\ta.service\tenabled\tactive"
        assert each[2] == "unit\tb.timer\talias\tfailed"


NEED_RELOAD = """\
#!/bin/sh
shift 4; sep=
for unit; do
  case $unit in new.service | b.timer) answer=yes ;; broken.service) continue ;; *) answer=no ;; esac
  printf "$sep%s\\n" $answer; sep='\\n'
done
"""


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("units", "found"),
    [
        (["a.service", "new.service", "b.timer"], ["b.timer", "new.service"]),
        (["new.service"], ["new.service"]),
        (["a.service"], []),
        (["new.service", "broken.service", "b.timer"], ["b.timer", "new.service"]),
    ],
)
def test_units_whose_files_systemd_has_not_read(
    here: Here, shell: list[str], units: list[str], found: list[str]
) -> None:
    (here.state / "systemctl").write_text(NEED_RELOAD)
    (here.state / "systemctl").chmod(0o755)
    text = program("\n".join([FUNCTIONS, f"unread {' '.join(units)}"])).replace("PATH=", f"PATH={here.state}:")
    assert sorted(here.read(text, shell).splitlines()) == [f"unread\t{unit}" for unit in found]


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/etc/systemd/system/a.service", "a.service"),
        ("/usr/lib/systemd/system/a@.service", "a@.service"),
        ("/etc/systemd/system/a-b.timer.d/x.conf", "a-b.timer"),
        ("/etc/systemd/system/service.d/x.conf", ""),
        ("/etc/systemd/system/a.service.d/README", ""),
        ("/etc/systemd/system/a.service.wants/b.service", ""),
        ("/etc/systemd/network/a.service", ""),
        ("/etc/a.service", ""),
    ],
)
def test_the_unit_that_a_file_belongs_to(path: str, unit: str) -> None:
    assert unit_of(path) == unit
    asked = [unit] if unit and "@" not in unit else []
    assert [line for line in questions(plan([File(name="f", path=path, content="")])) if line.startswith("unread")] == [
        f"unread {name}" for name in asked
    ]


def of_this_machine(folder: Path) -> list[Resource]:
    """Settings that are as this machine has them, whatever machine it is."""
    module = next(path.name for path in sorted(Path("/sys/module").iterdir()))
    version = Path("/proc/sys/kernel/osrelease").read_text().strip()
    ranges = " ".join(Path("/proc/sys/net/ipv4/tcp_rmem").read_text().split())
    group, user = grp.getgrgid(0).gr_name, pwd.getpwuid(0)
    (folder / "defaults").write_text('# x\nA=1\nexport A="it\'s 2"\n')
    values = [
        SysctlSetting(key="kernel.osrelease", value=version),
        SysctlSetting(key="net.ipv4.tcp_rmem", value=ranges),
    ]
    setting = Setting(key=("A",), value="it's 2")
    return [
        Sysctl(name="values", settings=tuple(values)),
        Module(name="there", module=module, loaded=True),
        Module(name="not-there", module="no-such-module", loaded=False),
        Group(name="first-group", group=group),
        User(name="first-user", user=user.pw_name, groups=(group,), shell=user.pw_shell),
        Fragment(name="defaults", path=str(folder / "defaults"), format="shell", settings=(setting,)),
        Manual(name="by-hand", title="it is done", instruction="do it", test="echo done"),
    ]


@pytest.mark.parametrize("shell", SHELLS)
class TestSettings:
    def test_what_is_as_wanted_is_read_so(self, here: Here, tmp_path: Path, shell: list[str]) -> None:
        resources = of_this_machine(tmp_path)
        limits = {resource.name: resource.model_copy(update={"needs": ()}) for resource in resources}
        wanted = plan(list(limits.values()))
        snapshot = here.snapshot(wanted, shell)
        assert snapshot.gates["by-hand"].evidence == "done"
        for resource in limits.values():
            on_disk = {file.path: state(file) for file in files_of(resource)}
            told = snapshot.model_copy(update={"files": {**snapshot.files, **on_disk}})
            assert difference(wanted, resource, told) == ""

    def test_what_is_not_there_is_told_to_be_missing(self, here: Here, shell: list[str]) -> None:
        snapshot = here.snapshot(plan(SETTINGS), shell)
        assert {r.name for r in SETTINGS if not difference(plan(SETTINGS), r, snapshot)} == {"enrolled"}

    @needs_root
    def test_what_may_not_be_read_is_told_to_be_hidden(self, here: Here, tmp_path: Path, shell: list[str]) -> None:
        (tmp_path / "secret").write_text("A=1\n")
        (tmp_path / "secret").chmod(0o600)
        setting = Setting(key=("A",), value="1")
        secret = Fragment(name="secret", path=str(tmp_path / "secret"), format="shell", settings=(setting,))
        told = here.snapshot(plan([secret]), shell, NOBODY).hidden
        assert told["fragment secret"] == "not readable for this user"


def state(file: File) -> FileState:
    digest = hashlib.sha256(file.content.encode()).hexdigest()
    return FileState(type="file", mode=file.mode, owner="root", sha256=digest)


@pytest.mark.parametrize("shell", SHELLS)
class TestFingerprint:
    """Made by a program under `set -eu`, checked by the probe without it: they must agree, whatever is there."""

    def both(self, here: Here, wanted: Plan, shell: list[str]) -> tuple[str, str]:
        last = wanted.entries[-1].resource
        assert isinstance(last, Derived)
        made = here.read(program(f"set -eu\n\n\nmade=$({fingerprint(wanted, last)})\necho $made"), shell).strip()
        return made, here.snapshot(wanted, shell).prints[last.name]

    @pytest.mark.parametrize("path", ["open", "folder", "absent", "link-to-nothing"])
    def test_made_and_checked_agree(self, here: Here, tmp_path: Path, shell: list[str], path: str) -> None:
        (tmp_path / "open").write_text("x")
        (tmp_path / "folder").mkdir()
        (tmp_path / "link-to-nothing").symlink_to("nothing")
        inputs = (str(tmp_path / path), "/etc/passwd")
        wanted = plan([Derived(name="d", inputs=inputs, command=":")])
        made, checked = self.both(here, wanted, shell)
        assert made == checked
        assert len(made) == 16

    def test_an_input_behind_a_missing_one_is_told_of(self, here: Here, tmp_path: Path, shell: list[str]) -> None:
        wanted = plan([Derived(name="d", inputs=(f"{tmp_path}/a-absent", f"{tmp_path}/b"), command=":")])
        (tmp_path / "b").write_text("one")
        before = self.both(here, wanted, shell)
        (tmp_path / "b").write_text("two")
        after = self.both(here, wanted, shell)
        assert before[0] == before[1] != after[0] == after[1]

    @pytest.mark.parametrize("names", [("dpkg",), ("dpkg", "bash"), ("there-is-none", "dpkg"), ("there-is-none",)])
    def test_what_several_derive_from_is_the_same_for_each(
        self, here: Here, shell: list[str], names: tuple[str, ...]
    ) -> None:
        packages = Packages(name="packages", packages=tuple(Package(name=name) for name in names))
        derived = [
            Derived(name=f"d{n}", inputs=("packages", "/etc/passwd", "/there/is/none")[: n + 1], command=":")
            for n in range(3)
        ]
        told = here.snapshot(plan([packages, *derived]), shell).prints
        for one in derived:
            assert self.both(here, plan([packages, one]), shell) == (told[one.name], told[one.name])
        assert len(set(told.values())) == 3

    def test_it_tells_of_content_mode_package_and_upstream_stamp(
        self, here: Here, tmp_path: Path, shell: list[str]
    ) -> None:
        path = tmp_path / "f"
        path.write_text("one")
        wanted = plan(
            [
                File(name="file", path=str(path), content="one"),
                Packages(name="packages", packages=(Package(name="dpkg"),)),
                Derived(name="up", inputs=(), command=":"),
                Derived(name="d", inputs=("file", "packages", "up"), command=":"),
            ]
        )
        seen = [self.both(here, wanted, shell)]
        for change in (
            lambda: path.write_text("two"),
            lambda: path.chmod(0o600),
            lambda: (here.state / "derived" / "up").write_text("stamp\n"),
        ):
            change()
            seen.append(self.both(here, wanted, shell))
        assert all(made == checked for made, checked in seen)
        assert len(set(seen)) == 4

    def test_of_what_waits_for_a_reboot_it_tells_of_content_and_not_of_modes(
        self, here: Here, tmp_path: Path, shell: list[str]
    ) -> None:
        path = tmp_path / "f"
        path.write_text("one")
        wanted = plan(
            [
                File(name="file", path=str(path), content="one"),
                Derived(name="d", inputs=("file", str(path)), command=":", boot_scoped=True),
            ]
        )
        before = self.both(here, wanted, shell)
        path.chmod(0o600)
        assert self.both(here, wanted, shell) == before
        path.write_text("two")
        assert self.both(here, wanted, shell) != before


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What this machine answers."""
    here = Here(tmp_path_factory.mktemp("answer"))
    (here.state / "ledger").write_text("a line\n")
    return here.read(probe_program(plan([gate("holds"), File(name="f", path="/etc/passwd", content="")])))


class TestParse:
    def test_cut_short_at_any_line_or_within_it_is_unreadable(self, answer: str) -> None:
        assert parse(answer).page_size
        lines = answer.splitlines(keepends=True)
        for number in range(len(lines)):
            head = "".join(lines[:number])
            for cut in (head, head.rstrip("\n"), head + lines[number][: len(lines[number]) // 2]):
                with pytest.raises(Unreadable, match=f"cut short after {len(cut.splitlines())} lines"):
                    parse(cut)

    def test_a_cut_line_shows_the_end_of_what_came(self) -> None:
        with pytest.raises(Unreadable, match="its end: 'os\\\\tdebi'"):
            parse("os\tdebi")

    def test_a_lost_line_is_unreadable(self, answer: str) -> None:
        for key in ("os", "arch", "kernel", "page_size", "boot_id", "machine_id", "root"):
            rest = "".join(line for line in answer.splitlines(keepends=True) if not line.startswith(f"{key}\t"))
            with pytest.raises(Unreadable, match=f"0 lines '{key}'"):
                parse(rest)

    def test_a_line_told_twice_is_unreadable(self, answer: str) -> None:
        with pytest.raises(Unreadable, match="2 lines 'root'"):
            parse("root\t0\n" + answer)

    @pytest.mark.parametrize(
        "line", ["unheard-of\tx", "os", "os\ta\tb", "file\t/a", "bash: line 3: oops", "gate\tg\tyes"]
    )
    def test_a_line_that_is_none_of_the_probes_is_told(self, answer: str, line: str) -> None:
        with pytest.raises(Unreadable, match="not a line of the probe"):
            parse(f"{line}\n{answer}")

    @pytest.mark.parametrize(
        ("line", "where"),
        [
            ("limit\tgravity", "limits"),
            ("file\t/a\tsocket\t644\troot\t\t", "type"),
        ],
    )
    def test_a_value_that_cannot_be_is_told_with_its_place(self, answer: str, line: str, where: str) -> None:
        with pytest.raises(Unreadable, match=f"n1 answered .* for .*{where}"):
            parse(f"{line}\n{answer}", "n1")

    def test_a_page_size_that_is_no_number_is_told(self, answer: str) -> None:
        wrong = "".join(
            "page_size\thuge\n" if x.startswith("page_size") else x for x in answer.splitlines(keepends=True)
        )
        with pytest.raises(Unreadable, match="n1 answered 'huge' for page_size"):
            parse(wrong, "n1")

    def test_progress_and_empty_lines_are_passed_over(self, answer: str) -> None:
        assert parse(f"@busy\tinitrd\n\n{answer}\n\n") == parse(answer)

    def test_a_snapshot_survives_json(self, answer: str) -> None:
        snapshot = parse(answer, "n1")
        assert Snapshot.model_validate_json(snapshot.model_dump_json()) == snapshot

    @given(st.text())
    @example("")
    @example("END")
    @example("os\t\x85END")
    def test_any_text_is_a_snapshot_or_unreadable(self, text: str) -> None:
        self.never_anything_else(text)

    @given(
        st.lists(st.tuples(st.sampled_from([*FIELDS, "@progress", "other"]), st.lists(st.text(max_size=5), max_size=7)))
    )
    def test_any_lines_are_a_snapshot_or_unreadable(self, rows: list[tuple[str, list[str]]]) -> None:
        self.never_anything_else("\n".join("\t".join([key, *fields]) for key, fields in rows) + "\nEND\n")

    @given(st.data())
    def test_any_damage_to_an_answer_is_a_snapshot_or_unreadable(self, answer: str, data: st.DataObject) -> None:
        lines = answer.splitlines()
        for _ in range(data.draw(st.integers(1, 3))):
            number = data.draw(st.integers(0, len(lines) - 1))
            key = lines[number].split("\t")[0]
            fields = st.lists(st.text(st.characters(exclude_characters="\t\n"), max_size=8),
                              min_size=FIELDS.get(key, 1), max_size=FIELDS.get(key, 1))  # fmt: skip
            lines[number] = "\t".join([key, *data.draw(fields)])
        self.never_anything_else("\n".join(lines))

    def never_anything_else(self, text: str) -> None:
        try:
            snapshot = parse(text)
        except Unreadable as error:
            assert str(error)
        else:
            assert isinstance(snapshot, Snapshot)
