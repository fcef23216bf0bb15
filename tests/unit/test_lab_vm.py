"""What is decided before a virtual machine runs: its arguments, its identity, and who answers on its channel."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from provision.lab import LabError
from provision.lab.identity import File, script
from provision.lab.mirror import Mirror
from provision.lab.vm import foreign, image, supervisor, tools
from provision.lab.vm.machine import Machine, Wiring, architecture, argv, firmware, machine_of
from provision.lab.vm.qmp import Agent, Qmp
from provision.model.spec import Arch

ARCHITECTURES: tuple[Arch, ...] = ("x86_64", "aarch64")
SECURE = machine_of("x86_64", "secure")
MACHINES = (*(Machine(arch=arch) for arch in ARCHITECTURES), SECURE)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.kind)
def test_a_run_is_wired_without_changing_the_machine(machine: Machine) -> None:
    plain = argv(machine, Wiring())
    wired = argv(machine, Wiring(forward="10.233.7.11:22", cache="unsafe", incoming=True))
    assert plain[0] == f"qemu-system-{machine.arch}"
    assert [word for word in plain if "cache=" in word] == [
        "if=none,id=disk,format=qcow2,cache=writeback,discard=unmap,file=/here/machine/disk.qcow2"
    ]
    assert "-incoming" not in plain
    assert not any("hostfwd" in word for word in plain)
    assert "user,id=net,hostfwd=tcp:10.233.7.11:22-:22" in wired
    assert wired[-2:] == ("-incoming", "defer")
    # A saved state fits only a machine with the same devices in the same order.
    assert devices(plain) == devices(wired)


def devices(words: tuple[str, ...]) -> list[str]:
    return [after for word, after in itertools.pairwise(words) if word == "-device"]


def test_another_architecture_is_refused_in_words() -> None:
    with pytest.raises(LabError, match="'riscv64' is no architecture of a lab machine: x86_64 or aarch64"):
        architecture("riscv64")
    with pytest.raises(LabError, match="'bios' is no firmware of a lab machine: plain or secure"):
        firmware("bios")
    with pytest.raises(LabError, match="machines with Secure Boot for x86_64, not for aarch64"):
        machine_of("aarch64", "secure")


def test_secure_firmware_keeps_its_variables_from_the_guest_and_starts_what_is_signed() -> None:
    words = argv(SECURE, Wiring())
    assert any(word.startswith("q35,smm=on") for word in words)
    assert "driver=cfi.pflash01,property=secure,value=on" in words
    assert any(word.endswith("OVMF_CODE_4M.secboot.fd") for word in words)
    program = image.disk_program(SECURE.board)
    copied = [line.split()[3:] for line in program.splitlines() if line.startswith("mcopy")]
    assert ["root/usr/lib/shim/shimx64.efi.signed", "::/EFI/BOOT/BOOTX64.EFI"] in copied
    assert all(".signed" in file or place.endswith("grub.cfg") for file, place in copied)
    assert "grub-mkimage" not in program, "what is made here is signed by nobody"
    packages = image.recipe(SECURE).packages
    assert {f"{package}-signed" for package in ("shim", "grub-efi-amd64")} <= {*packages}


def test_a_recipe_is_named_by_everything_that_goes_into_it() -> None:
    one = Mirror(archive="http://a.example.org/debian")
    other = one.model_copy(update={"archive": "http://b.example.org/debian"})
    digests = {image.recipe_digest(machine, mirror) for machine in MACHINES for mirror in (one, other)}
    assert len(digests) == 6
    assert "Suites: trixie-backports\n" in tools.recipe(one).sources
    assert tools.recipe(Mirror()).sources == "", "without a named archive nobody knows where backports are"


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.kind)
def test_programs_that_make_a_disk_are_posix_sh(machine: Machine) -> None:
    for text in (image.disk_program(machine.board), image.PREPARE, image.recipe(machine).customize):
        done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_interpreter_is_registered_under_our_name_and_from_the_tools_root(tmp_path: Path) -> None:
    rules = tmp_path / "usr/share/qemu/binfmt.d"
    rules.mkdir(parents=True)
    # qemu-user of trixie-backports, read 2026-11-21.
    magic = r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    (rules / "qemu-aarch64.conf").write_text(f":qemu-aarch64:M::{magic}:{mask}:/usr/bin/qemu-aarch64:OPF\n")
    assert foreign.rule(tmp_path, "ours", "aarch64") == (f":ours:M::{magic}:{mask}:{tmp_path}/usr/bin/qemu-aarch64:OPF")
    with pytest.raises(LabError, match="no emulation of sparc programs"):
        foreign.rule(tmp_path, "ours", "sparc")
    deep = tmp_path / ("d" * foreign.INTERPRETER_MAX)
    deep.mkdir()
    (deep / "usr").symlink_to(tmp_path / "usr")
    with pytest.raises(LabError, match="takes no interpreter by the path"):
        foreign.rule(deep, "ours", "aarch64")


def test_an_identity_is_written_as_it_is_by_sh(tmp_path: Path) -> None:
    text = "it's $HOME `here`\n\\n %s\n"
    (tmp_path / "stranger").write_text("untouched")
    (tmp_path / "file").symlink_to(tmp_path / "stranger")
    program = script([File(path=f"{tmp_path}/file".lstrip("/"), text=text, mode=0o640)])
    written = program.replace("rm -f /etc/ssh/ssh_host_*\n", "").replace("-o 0 -g 0 ", "")
    subprocess.run(["sh", "-c", written], check=True)
    assert (tmp_path / "file").read_text() == text
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "stranger").read_text() == "untouched"


def answer(path: Path, replies: list[list[bytes]]) -> None:
    """A server that says `replies[n]` to the n-th line it gets; `%d` becomes the number that was asked for."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(1)

    def serve() -> None:
        connection, _ = server.accept()
        with server, connection, connection.makefile("rb") as lines:
            for number, line in enumerate(lines):
                asked = json.loads(line)["arguments"].get("id", 0)
                for reply in replies[number] if number < len(replies) else []:
                    connection.sendall(reply.replace(b"%d", b"%d" % asked))

    threading.Thread(target=serve, daemon=True).start()


def test_the_agents_earlier_answers_are_not_taken_for_ours(tmp_path: Path) -> None:
    stale = b'\xff{"return": 1}\n{"return": {"pid": 9}}\n'
    mine = b'\xff{"return": %d}\n'
    done = b'{"return": {"exited": true, "exitcode": 3, "out-data": "b3V0", "err-data": "ZXJy"}}\n'
    answer(tmp_path / "agent", [[], [stale, mine], [b'{"return": {"pid": 7}}\n'], [done]])
    with Agent(tmp_path, 10) as agent:
        result = agent.run("exit 3")
    assert (result.code, result.output) == (3, "outerr")


def test_a_channel_tells_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="QEMU does not listen at"):
        Qmp(tmp_path, 0.1)
    answer(tmp_path / "agent", [])
    with pytest.raises(LabError, match="did not answer within 1 s"):
        Agent(tmp_path, 1)


def test_the_console_is_plain_lines_with_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    supervisor.write(b"\x1b[2J\x1b[01;01HGRUB\x1b[=3h loading\r")
    supervisor.write(b"\r")
    stamp, text = capsys.readouterr().out.split(" ", 1)
    assert text == "GRUB loading\n"
    assert stamp.endswith("+00:00")


def test_a_reset_is_told_with_its_reason_and_counts_as_a_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    supervisor.tell({"event": "RESET", "data": {"guest": True, "reason": "guest-reset"}})
    supervisor.tell({"event": "RTC_CHANGE", "data": {"offset": 0}})
    lines = (tmp_path / "boots.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["reset guest=True reason=guest-reset", "boot"]
