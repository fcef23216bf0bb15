"""An archive unpacked into a folder: by the very program that a node runs, from real servers and real tar files."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from samples import plan, wholly

from provision.engines.render import Sender, apply_program
from provision.model import Archive, Derived, Plan
from provision.model.places import RUN, STATE
from provision.platforms.archives import STAMP
from provision.probe import parse, probe_program
from provision.probe.remote import PATH
from provision.steps import desired, drift

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
SENDER = Sender(controller="controller-1", run="run-1", node="n1")
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root is given what an archive says of owners")
FETCHERS = [tool for tool in ("curl", "wget") if shutil.which(tool)]


def tar(members: Mapping[str, str | tarfile.TarInfo], compression: str = "gz") -> bytes:
    """An archive of these names: a text is a file, anything else is taken as it is."""
    buffer = io.BytesIO()
    mode = "w" if compression in {"", "zst"} else f"w:{compression}"
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, member in members.items():
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid, info.gid = len(member.encode()), 0o4777, 4321, 4321
            archive.addfile(info, io.BytesIO(member.encode()))
    if compression != "zst":
        return buffer.getvalue()
    return subprocess.run(["zstd", "-q"], input=buffer.getvalue(), capture_output=True, check=True).stdout


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


ONE = tar({"tool-1/bin/tool": "one", "tool-1/gone": "x"})
TWO = tar({"tool-2/bin/tool": "two"})


class Node:
    """This machine with a node's folders moved to a temporary one; `tools` is its PATH where that is not this one's."""

    def __init__(self, folder: Path, shell: str) -> None:
        self.folder, self.shell, self.tools = folder, shell, PATH
        self.to = folder / "opt" / "some tool"
        self.source = folder / "source"

    def send(self, text: str) -> subprocess.CompletedProcess[str]:
        moved = text.replace(STATE, f"{self.folder}/state").replace(RUN, f"{self.folder}/run").replace(PATH, self.tools)
        return subprocess.run([self.shell, "-s"], input=moved, capture_output=True, text=True, timeout=60, check=False)

    def wants(self, content: bytes, **fields: object) -> Plan:
        """A plan for an archive of this content, which lies here."""
        self.source.write_bytes(content)
        given = {"url": f"file://{self.source}", "sha256": hashlib.sha256(content).hexdigest(), "strip": 1, **fields}
        return plan([Archive.model_validate({"name": "tool", "to": str(self.to), **given})])

    def apply(self, wanted: Plan) -> subprocess.CompletedProcess[str]:
        return self.send(apply_program(wanted, wholly(wanted, "tool"), SENDER))

    def applied(self, wanted: Plan) -> None:
        done = self.apply(wanted)
        assert done.returncode == 0, done.stderr

    def due(self, wanted: Plan) -> list[str]:
        return [one.why for boot in drift(wanted, parse(self.send(probe_program(wanted)).stdout)) for one in boot]

    def holds(self) -> dict[str, str]:
        """What lies in the folder; and nothing lies beside it."""
        assert {path.name for path in self.to.parent.iterdir()} <= {self.to.name}
        found = {str(path.relative_to(self.to)): path for path in self.to.rglob("*") if not path.is_dir()}
        return {name: path.read_text() for name, path in found.items() if name != STAMP}

    def equip(self, *without: str, shims: Mapping[str, str] | None = None) -> None:
        """A PATH with some programs replaced and others absent."""
        tools = self.folder / "tools"
        shutil.rmtree(tools, ignore_errors=True)
        tools.mkdir()
        if without:
            places = [Path(place) for place in reversed(PATH.split(":"))]
            for program in (program for place in places if place.is_dir() for program in place.iterdir()):
                if program.name not in without:
                    (tools / program.name).unlink(missing_ok=True)
                    (tools / program.name).symlink_to(program)
        for name, text in (shims or {}).items():
            (tools / name).write_text(f"#!/bin/sh\n{text}\n")
            (tools / name).chmod(0o755)
        self.tools = str(tools) if without else f"{tools}:{PATH}"


@pytest.fixture(params=SHELLS)
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    memory = "/dev/shm"
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Node(Path(name), request.param)


class TestUnpacked:
    def test_it_is_there_whole_and_nothing_else_is(self, node: Node) -> None:
        wanted = node.wants(ONE)
        assert node.due(wanted) == [f"{node.to} is not there, or did not come from an archive"]
        node.applied(wanted)
        assert node.holds() == {"bin/tool": "one", "gone": "x"}
        assert node.due(wanted) == []

    def test_another_archive_takes_its_place_whole(self, node: Node) -> None:
        node.applied(node.wants(ONE))
        (node.to / "by hand").write_text("x")
        wanted = node.wants(TWO)
        assert node.due(wanted) == [f"{node.to} came from another archive than the one declared"]
        node.applied(wanted)
        assert node.holds() == {"bin/tool": "two"}
        assert node.due(wanted) == []

    def test_so_does_the_same_one_without_other_folders(self, node: Node) -> None:
        node.applied(node.wants(ONE))
        assert node.due(node.wants(ONE, strip=0)) != []

    def test_one_that_vanished_is_due(self, node: Node) -> None:
        wanted = node.wants(ONE)
        node.applied(wanted)
        shutil.rmtree(node.to)
        assert node.due(wanted) != []
        node.applied(wanted)
        assert node.due(wanted) == []

    def test_the_same_from_elsewhere_is_the_same(self, node: Node) -> None:
        node.applied(node.wants(ONE))
        elsewhere = node.wants(ONE, url="https://example.org/tool.tar.gz")
        assert node.due(elsewhere) == []
        made = Derived(name="made", inputs=("tool",), command=":")
        plans = [plan([one.by_name["tool"].resource, made]) for one in (elsewhere, node.wants(ONE), node.wants(TWO))]
        first, same, other = (desired(one, made) for one in plans)
        assert first == same != other

    @pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz", "zst"])
    def test_tar_knows_how_it_is_compressed(self, node: Node, compression: str) -> None:
        if compression == "zst" and shutil.which("zstd") is None:
            pytest.skip("no zstd on this machine")
        node.applied(node.wants(tar({"a/b": compression}, compression)))
        assert node.holds() == {"b": compression}

    @needs_root
    def test_it_is_root_s_without_special_rights(self, node: Node) -> None:
        node.applied(node.wants(ONE))
        for path in (node.to, *node.to.rglob("*")):
            assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o7022) == (0, 0, 0), path
        assert (node.to / "bin/tool").stat().st_mode & 0o111 == 0o111


@pytest.fixture
def server(node: Node) -> Iterator[str]:
    """A web server on this machine, of the folder in which the archive lies."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    here = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(node.folder)))
    threading.Thread(target=here.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{here.server_port}"
    here.shutdown()
    here.server_close()


class TestFetched:
    @pytest.mark.parametrize("tool", FETCHERS)
    def test_with_whichever_tool_there_is(self, node: Node, server: str, tool: str) -> None:
        node.equip(*({"curl", "wget"} - {tool}))
        node.applied(node.wants(ONE, url=f"{server}/source"))
        assert node.holds()["bin/tool"] == "one"

    @pytest.mark.parametrize("tool", FETCHERS)
    def test_what_is_not_there_is_told_with_its_address(self, node: Node, server: str, tool: str) -> None:
        node.equip(*({"curl", "wget"} - {tool}))
        refused = node.apply(node.wants(ONE, url=f"{server}/nowhere"))
        assert refused.returncode == 1
        assert f"{server}/nowhere cannot be fetched, and {node.to} is as it was: " in refused.stderr
        assert "404" in refused.stderr

    def test_without_any_tool_it_says_what_to_declare(self, node: Node) -> None:
        node.equip("curl", "wget")
        refused = node.apply(node.wants(ONE, url="https://example.org/x"))
        assert "neither curl nor wget on this node: declare the package of one" in refused.stderr

    def test_a_redirection_is_followed_and_judged_by_its_digest(self, node: Node, server: str) -> None:
        (node.folder / "folder").mkdir()
        refused = node.apply(node.wants(ONE, url=f"{server}/folder"))
        assert "has sha256" in refused.stderr


REFUSED: dict[str, tuple[bytes, dict[str, object], str]] = {
    "another digest": (ONE, {"sha256": "0" * 64}, f"has sha256 {hashlib.sha256(ONE).hexdigest()}, declared is {'0' * 64}"),
    "not there": (ONE, {"url": "file:///there/is/none"}, "file:///there/is/none cannot be fetched"),
    "no archive": (b"<html>", {}, "cannot be unpacked"),
    "cut short": (ONE[: len(ONE) // 2], {}, "cannot be unpacked"),
    "too many folders": (ONE, {"strip": 9}, "holds nothing behind 9 leading folder(s)"),
    "a name of ours": (tar({f"a/{STAMP}": "x"}), {}, f"holds a {STAMP}, which is our own name"),
    "a link by a name of ours": (tar({"x": link(f"a/{STAMP}", "/etc/passwd")}), {}, "our own name"),
    "a way out": (tar({"a/../../../../escaped": "x"}), {"strip": 0}, "cannot be unpacked"),
}  # fmt: skip


class TestRefused:
    @pytest.mark.parametrize(("content", "fields", "words"), REFUSED.values(), ids=REFUSED)
    @pytest.mark.parametrize("before", [None, TWO], ids=["on nothing", "on an older one"])
    def test_what_is_wrong_is_told_and_what_was_there_stays(
        self, node: Node, before: bytes | None, content: bytes, fields: dict[str, object], words: str
    ) -> None:
        if before is not None:
            node.applied(node.wants(before))
        refused = node.apply(node.wants(content, **fields))
        assert refused.returncode == 1
        assert words in refused.stderr
        assert node.holds() == ({"bin/tool": "two"} if before else {})

    def test_one_paragraph_tells_of_a_wrong_digest_whence_and_what_now(self, node: Node) -> None:
        told = node.apply(node.wants(ONE, sha256="f" * 64)).stderr
        for words in (
            f"file://{node.source}",
            "Nothing was unpacked",
            str(node.to),
            "the declaration is of another one",
        ):
            assert words in told

    @pytest.mark.parametrize(
        ("made", "words"),
        [
            ("mkdir -p '{to}'; echo x >'{to}/precious'", "holds what did not come from an archive of ours"),
            ("ln -s elsewhere '{to}'", "is a link, and a folder belongs there"),
            ("echo precious >'{to}'", "is not a folder"),
        ],
    )
    def test_what_is_not_ours_is_never_replaced(self, node: Node, made: str, words: str) -> None:
        node.to.parent.mkdir(parents=True)
        subprocess.run(["sh", "-euc", made.format(to=node.to)], check=True)
        before = subprocess.check_output(["find", node.to.parent, "-ls"])
        refused = node.apply(node.wants(ONE))
        assert refused.returncode == 1
        assert words in refused.stderr
        assert subprocess.check_output(["find", node.to.parent, "-ls"]) == before

    def test_an_empty_folder_is_nobody_s(self, node: Node) -> None:
        node.to.mkdir(parents=True)
        node.applied(node.wants(ONE))
        assert node.holds()["bin/tool"] == "one"


class TestHostile:
    def test_a_name_from_the_root_stays_in_the_folder(self, node: Node) -> None:
        victim = node.folder / "victim"
        node.applied(node.wants(tar({str(victim): "x"}), strip=0))
        assert not victim.exists()
        assert node.holds() == {str(victim).lstrip("/"): "x"}

    @pytest.mark.parametrize("target", ["{folder}", "../../.."])
    def test_nothing_is_written_through_a_link_that_leads_outside(self, node: Node, target: str) -> None:
        target = target.format(folder=node.folder)
        refused = node.apply(node.wants(tar({"l": link("a/out", target), "a/out/escaped": "x"})))
        assert refused.returncode == 1
        assert not list(node.folder.rglob("escaped"))


CALLS = [
    ("mkdir", 1),
    ("cp", 1),
    ("sha256sum", 1),
    ("tar", 1),
    ("sync", 1),
    ("mv", 1),
    ("sync", 2),
    ("rm", 1),
    ("rm", 2),
]
CASES = [(None, *call) for call in CALLS] + [(ONE, *call) for call in [*CALLS, ("mv", 2)]]


class TestKilled:
    """A program of the change dies with its shell, before or after it has done its part; then a rerun."""

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize(("before", "tool", "time"), CASES, ids=[f"{c[1]}-{c[2]}-{bool(c[0])}" for c in CASES])
    @pytest.mark.parametrize("node", SHELLS[:1], indirect=True)
    def test_anywhere_it_converges_and_what_lies_there_is_never_half(
        self, node: Node, before: bytes | None, tool: str, time: int, when: str
    ) -> None:
        if before is not None:
            node.applied(node.wants(before))
        wanted = node.wants(TWO)
        real = shutil.which(tool, path=PATH)
        count = node.folder / "count"
        # Only where it is called for the archive; the lock, the ledger and the log are called before and behind.
        text = f"""case "{tool} $*" in *"/opt"* | sha256sum*) ;; *) exec {real} "$@" ;; esac
echo x >>'{count}'
[ "$(wc -l <'{count}')" = {time} ] || exec {real} "$@"
[ {when} = before ] || {real} "$@"
kill -9 $PPID"""
        node.equip(shims={tool: text})
        assert node.apply(wanted).returncode == 137
        node.tools = PATH
        if node.to.exists():
            read = {str(p.relative_to(node.to)): p.read_text() for p in node.to.rglob("*") if p.is_file()}
            read.pop(STAMP)
            assert read in ({"bin/tool": "one", "gone": "x"}, {"bin/tool": "two"})
        node.applied(wanted)
        assert node.due(wanted) == []
        assert node.holds() == {"bin/tool": "two"}

    def test_a_rerun_that_cannot_fetch_brings_back_what_was_there(self, node: Node) -> None:
        node.applied(node.wants(ONE))
        (node.to.parent / f".{node.to.name}.provision").mkdir()
        node.to.rename(node.to.parent / f".{node.to.name}.provision" / "old")
        assert node.apply(node.wants(TWO, url="file:///there/is/none")).returncode == 1
        assert node.holds()["bin/tool"] == "one"
