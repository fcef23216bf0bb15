"""The full probe: run for real, on machines that are made up or hostile; whatever answers spoils its own section only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import gate, plan

from provision.model import File, Snapshot, Unit, UnitState
from provision.model.machine import DkmsModule, Pin, Repository
from provision.model.places import RUN, STATE
from provision.probe import Unreadable, full_probe_program, parse, probe_program
from provision.probe.full import SECTIONS
from provision.probe.parse_sections import PARSERS
from provision.probe.remote import PATH

DATA = Path(__file__).parent / "data"
SHELLS = [
    pytest.param(words, id=words[-1] if len(words) == 1 else "busybox")
    for words in (["dash"], ["bash"], ["/bin/busybox", "sh"])
    if shutil.which(words[0])
]
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
NAMES = {section.name for section in SECTIONS}


class Machine:
    """This machine, with folders of ours in the place of some of its own, and with tools of ours before its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tools = folder / "bin"
        self.tools.mkdir()
        self.replaced = {STATE: str(folder / "state"), RUN: str(folder / "run")}

    def put(self, path: str, content: str | bytes = "") -> Path:
        """A file as if it lay at `path`; its top folder is replaced by ours."""
        own = self.folder / path.lstrip("/")
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_bytes(content if isinstance(content, bytes) else content.encode())
        return own

    def tool(self, name: str, text: str) -> None:
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def instead(self, *paths: str) -> None:
        """From now on the probe looks into our folders instead."""
        self.replaced |= {path: f"{self.folder}{path}" for path in paths}

    def answer(self, text: str, shell: Sequence[str] = ("sh",), become: Sequence[str] = ()) -> str:
        text = text.replace(f"PATH={PATH}", f"PATH={self.tools}:{PATH}").replace(" sh -c ", f" {' '.join(shell)} -c ")
        for path, own in self.replaced.items():
            text = text.replace(path, own)
        done = subprocess.run([*become, *shell, "-s"], input=text.encode(), capture_output=True, timeout=60, check=True)
        assert done.stderr == b""
        return done.stdout.decode("ascii")

    def read(self, shell: Sequence[str] = ("sh",), become: Sequence[str] = ()) -> Snapshot:
        return parse(self.answer(full_probe_program(), shell, become))


@pytest.fixture
def machine() -> Iterator[Machine]:
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Machine(Path(name))


@pytest.mark.parametrize("shell", SHELLS)
class TestForReal:
    def test_every_section_answers(self, machine: Machine, shell: list[str]) -> None:
        snapshot = machine.read(shell)
        assert NAMES - snapshot.sections <= snapshot.hidden.keys() & {"kernel_log"}
        assert snapshot.os_release["ID"] in snapshot.os
        assert snapshot.memory.cpus == os.cpu_count()
        assert snapshot.memory.total_kib > 1000
        assert int(snapshot.sysctls["vm.max_map_count"]) == int(Path("/proc/sys/vm/max_map_count").read_text())
        assert snapshot.tainted == int(Path("/proc/sys/kernel/tainted").read_text())
        if shutil.which("dpkg-query"):
            assert snapshot.packages["dpkg"].installed

    @needs_root
    def test_it_leaves_no_trace(self, machine: Machine, shell: list[str]) -> None:
        before = sorted(machine.folder.rglob("*"))
        machine.read(shell)
        machine.read(shell, NOBODY)
        assert sorted(machine.folder.rglob("*")) == before

    @needs_root
    def test_nobody_reads_it_too_and_says_what_is_hidden(self, machine: Machine, shell: list[str]) -> None:
        snapshot = machine.read(shell, NOBODY)
        assert not snapshot.root
        assert "lock" in snapshot.hidden
        assert not [what for what, why in snapshot.hidden.items() if why.startswith("unreadable")]

    def test_what_a_plan_asks_stands_beside_the_sections(self, machine: Machine, shell: list[str]) -> None:
        path = machine.put("/f", "x")
        wanted = plan(
            [gate("holds"), File(name="f", path=str(path), content="x"), Unit(name="u", unit="no-such.service")]
        )
        snapshot = parse(machine.answer(full_probe_program(wanted), shell))
        assert snapshot.gates["holds"].holds
        assert str(path) in snapshot.files
        assert "units" in snapshot.sections

    @needs_root
    def test_it_tells_of_a_change_under_way_and_does_not_wait(self, machine: Machine, shell: list[str]) -> None:
        lock = machine.put("/run/lock")
        machine.put("/run/doing", "module-build\n")
        began = time.monotonic()
        machine.read(shell)
        unhindered = time.monotonic() - began
        with subprocess.Popen(["flock", lock, "sleep", "60"]) as change:
            while subprocess.run(["flock", "-n", lock, "true"], check=False).returncode == 0:
                pass
            began = time.monotonic()
            hidden = machine.read(shell).hidden
            took = time.monotonic() - began
            change.kill()
        assert hidden["lock"] == "a change is under way: module-build"
        assert took < unhindered + 4

    def test_packages_are_answered_where_dpkg_is_silent(self, machine: Machine, shell: list[str]) -> None:
        machine.tool("dpkg-query", "exit 1")
        assert machine.read(shell).packages == {}


def test_a_converged_node_is_asked_for_none_of_it() -> None:
    assert "nvidia-smi" not in probe_program(plan([gate("holds")]))
    assert len(probe_program()) < len(full_probe_program()) / 4


def test_every_section_has_a_parser_and_a_bound() -> None:
    assert PARSERS.keys() == NAMES
    assert all(0 < section.seconds <= 12 and 0 < section.size <= 1 << 21 for section in SECTIONS)


HOSTILE_TOOLS: dict[str, tuple[str, str]] = {
    "endless": ("exec yes", "gpu"),
    "endless without a newline": ("exec tr '\\0' x </dev/zero", "gpu"),
    "binary": ("head -c 200000 /dev/urandom", "gpu"),
    "XML that ends in the middle": (r"printf '<?xml version=\"1.0\" ?>\n<nvidia_smi_log>\n<gpu id=\"a'", "gpu"),
    "hanging": ("exec sleep 100", "gpu"),
    "hanging and deaf": ("trap '' TERM; while :; do sleep 100; done", "gpu"),
    "leaving a child behind": ("setsid sleep 20 & exit 0", "gpu"),
    "lines of ours": (r"printf 'root\t0\nend\tgpu\nEND\n'", "gpu"),
    "a command": ("echo '$(touch {touched})`touch {touched}`; touch {touched}'", "gpu"),
}


@pytest.mark.parametrize("shell", SHELLS[:1])
@pytest.mark.parametrize(("tool", "section"), HOSTILE_TOOLS.values(), ids=HOSTILE_TOOLS)
def test_a_hostile_tool_spoils_its_own_section_and_is_never_obeyed(
    machine: Machine, shell: list[str], tool: str, section: str
) -> None:
    touched = machine.folder / "touched"
    machine.instead("/proc/driver/nvidia")
    machine.tool("nvidia-smi", tool.replace("{touched}", str(touched)))
    text = full_probe_program().replace("timeout -k 1 10 nvidia-smi", "timeout -k 1 1 nvidia-smi")
    text = text.replace("section gpu 12 ", "section gpu 2 ")
    began = time.monotonic()
    snapshot = parse(machine.answer(text, shell))
    assert time.monotonic() - began < 15
    assert snapshot.hidden.get(section, "").startswith("unreadable") or snapshot.gpu.error
    assert snapshot.gpu.gpus == ()
    assert snapshot.sections >= NAMES - {section, "kernel_log"}
    assert not touched.exists()


def test_a_tool_that_hangs_elsewhere_costs_its_section(machine: Machine) -> None:
    for name in ("dpkg-query", "systemctl"):
        machine.tool(name, "exec sleep 100")
    text = re.sub(r"(section (?:packages|units|system)) \d+", r"\1 1", full_probe_program())
    text = text.replace('say state "$(systemctl', 'say state "$(: systemctl')
    hidden = parse(machine.answer(text)).hidden
    assert {name: hidden[name] for name in ("packages", "units", "system")} == dict.fromkeys(
        ("packages", "units", "system"), "unreadable: it took longer than it may, and was ended"
    )


def test_without_timeout_every_section_says_that_it_did_not_start(machine: Machine) -> None:
    text = full_probe_program().replace("timeout", "no-such-timeout")
    snapshot = parse(machine.answer(text))
    assert snapshot.sections == frozenset()
    assert {snapshot.hidden[name] for name in NAMES} == {"unreadable: its program did not start (exit code 127)"}


def test_a_driver_that_does_not_answer_says_so_in_its_own_words(machine: Machine) -> None:
    machine.tool("nvidia-smi", "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    gpu = machine.read().gpu
    assert gpu.error == "Failed to initialize NVML: Driver/library version mismatch"
    assert gpu.source != "nvidia-smi"


def test_a_pipe_in_the_place_of_a_file_is_not_opened(machine: Machine) -> None:
    machine.put("/etc/apt/sources.list.d/x")
    os.mkfifo(machine.folder / "etc/apt/sources.list.d/a.list")
    machine.instead("/etc/apt")
    assert "repositories" in machine.read().sections


def test_repositories_and_pins_without_their_secrets(machine: Machine) -> None:
    machine.put(
        "/etc/apt/sources.list",
        "# deb http://old.example/ a b\n"
        "deb [arch=amd64 signed-by=/k.gpg] https://me:s3cret@example.org/debian stable main non-free # why\n"
        "deb-src https://example.org/debian?token=s3cret stable main\n"
        "nonsense\n",
    )
    machine.put(
        "/etc/apt/sources.list.d/vendor.sources",
        "Types: deb\nURIs: https://tok:s3cret@a.example/ https://b.example/\nSuites: /\nEnabled: no\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQIN\n\n# a remark\n\nTypes: deb deb-src\nSuites: x y\n",
    )
    machine.put(
        "/etc/apt/preferences.d/pin",
        "Explanation: why\nPackage: nvidia-* libnvidia-*\nPin: version 1.2-*\nPin-Priority: 1001\n\nPackage: broken\n",
    )
    machine.put(
        "/etc/yum.repos.d/vendor.repo",
        "[vendor]\nname=x\nbaseurl=https://u:s3cret@c.example/rhel\nenabled=0\npassword=s3cret\nusername=me\n"
        "[second]\nmetalink=https://d.example/?key=s3cret\n",
    )
    machine.instead("/etc/apt", "/etc/yum.repos.d")
    answer = machine.answer(full_probe_program())
    assert "s3cret" not in answer
    snapshot = parse(answer)
    short = [r.model_copy(update={"file": Path(r.file).name}) for r in snapshot.repositories]
    assert short == [
        Repository(file="sources.list", kind="deb", uris=("https://***@example.org/debian",), suites=("stable",),
                   components=("main", "non-free"), signed_by="/k.gpg"),
        Repository(file="sources.list", kind="deb-src", uris=("https://example.org/debian?***",), suites=("stable",),
                   components=("main",)),
        Repository(file="vendor.sources", kind="deb", uris=("https://***@a.example/", "https://b.example/"), suites=("/",),
                   signed_by="a key within the file", enabled=False),
        Repository(file="vendor.sources", kind="deb deb-src", suites=("x", "y")),
        Repository(file="vendor.repo", kind="rpm", uris=("https://***@c.example/rhel",), suites=("vendor",), enabled=False),
        Repository(file="vendor.repo", kind="rpm", uris=("https://d.example/?***",), suites=("second",)),
    ]  # fmt: skip
    assert [pin.model_copy(update={"file": ""}) for pin in snapshot.pins] == [
        Pin(file="", packages="nvidia-* libnvidia-*", pin="version 1.2-*", priority=1001)
    ]


def test_dkms_is_told_from_its_tree(machine: Machine) -> None:
    tree = machine.folder / "var/lib/dkms"
    for name, version in (("nvidia", "1"), ("nvidia", "2"), ("gdrdrv", "3"), ("broken", "4")):
        (tree / name / version).mkdir(parents=True)
        (tree / name / version / "source").symlink_to(f"/usr/src/{name}-{version}")
    (tree / "nvidia/2/6.1-a/x86_64/module").mkdir(parents=True)
    (tree / "nvidia/2/6.2-a/x86_64/module").mkdir(parents=True)
    (tree / "nvidia/kernel-6.2-a-x86_64").symlink_to("2/6.2-a/x86_64")
    (tree / "broken/4/build").mkdir()
    machine.instead("/var/lib/dkms")
    assert machine.read().dkms == (
        DkmsModule(name="broken", version="4", state="unfinished"),
        DkmsModule(name="gdrdrv", version="3", state="added"),
        DkmsModule(name="nvidia", version="1", state="added"),
        DkmsModule(name="nvidia", version="2", kernel="6.1-a", arch="x86_64", state="built"),
        DkmsModule(name="nvidia", version="2", kernel="6.2-a", arch="x86_64", state="installed"),
    )


MODINFO = r"""printf 'filename:       %s\nversion:        1.2.3\nlicense:        Dual MIT/GPL\nvermagic:       6.2-a SMP\n' "$1"
printf 'alias:          pci:v000010DE\nsigner:         DKMS module signing key\n'"""


@pytest.mark.parametrize("has_modinfo", [True, False])
def test_modules_on_disk_are_found_for_every_kernel_with_and_without_modinfo(
    machine: Machine, has_modinfo: bool
) -> None:
    for path in ("6.1-a/updates/dkms/nvidia.ko.xz", "6.2-a/updates/dkms/nvidia-uvm.ko", "6.2-a/updates/dkms/nvidia.ko"):
        machine.put(f"/lib/modules/{path}")
    machine.instead("/lib/modules")
    machine.tool("modinfo", MODINFO if has_modinfo else "exit 127")
    found = machine.read().module_files
    assert [(one.kernel, one.name) for one in found] == [
        ("6.1-a", "nvidia"),
        ("6.2-a", "nvidia-uvm"),
        ("6.2-a", "nvidia"),
    ]
    main = found[-1]
    told = (main.version, main.vermagic, main.licence, main.signer)
    assert told == (("1.2.3", "6.2-a SMP", "Dual MIT/GPL", "DKMS module signing key") if has_modinfo else ("",) * 4)
    assert found[1].version == ""


GRUB = r"""
menuentry 'Debian GNU/Linux, with Linux 6.2-a' --class debian $menuentry_id_option 'gnulinux-6.2-a' {
	linux	/boot/vmlinuz-6.2-a root=/dev/sda ro
}
submenu 'Advanced' {
	menuentry 'Debian, with Linux 6.1-a' {
		linux	/boot/vmlinuz-6.1-a root=/dev/sda ro
	}
}
menuentry 'UEFI Firmware Settings' {
	fwsetup
}
"""


@needs_root
@pytest.mark.parametrize("shell", SHELLS)
def test_boot_menu_and_links_that_point_nowhere(machine: Machine, shell: list[str]) -> None:
    menu = machine.put("/boot/grub/grub.cfg", GRUB)
    machine.put("/boot/loader/entries/a.conf", "title Fedora Linux\nversion 6.3-b\nlinux /vmlinuz-6.3-b\n")
    (machine.folder / "boot/initrd.img").symlink_to("initrd.img-gone")
    menu.chmod(0o600)
    machine.instead("/boot/")
    snapshot = machine.read(shell)
    assert [(entry.title, entry.release) for entry in snapshot.boot_entries] == [
        ("Debian GNU/Linux, with Linux 6.2-a", "6.2-a"),
        ("Debian, with Linux 6.1-a", "6.1-a"),
        ("UEFI Firmware Settings", ""),
        ("Fedora Linux", "6.3-b"),
    ]
    assert list(snapshot.dangling.values()) == ["initrd.img-gone"]
    hidden = machine.read(shell, NOBODY).hidden
    assert "not readable" in hidden["boot_entries"]


SHOWN = r"""case $1 in show) ;; list-units) echo 'bad.service loaded failed failed x'; exit ;; *) exit ;; esac
cat <<'EOF'
Id=nvidia-persistenced.service
LoadState=loaded
UnitFileState=enabled
ActiveState=active
SubState=running
Result=success
NRestarts=2
NeedDaemonReload=no
ExecMainStartTimestampMonotonic=1000000
MainPID=1
FragmentPath={fragment}
DropInPaths=

Id=there-is-none.service
LoadState=not-found
UnitFileState=
ActiveState=inactive

Id=old.service
LoadState=loaded
UnitFileState=enabled
ActiveState=active
NeedDaemonReload=yes
MainPID=0
EOF"""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_process_older_than_its_unit_file_is_outdated(machine: Machine, shell: list[str]) -> None:
    fragment = machine.put("/unit", "[Service]\n")
    machine.tool("systemctl", SHOWN.replace("{fragment}", str(fragment)))
    snapshot = machine.read(shell)
    assert snapshot.failed_units == ("bad.service",)
    assert snapshot.units.keys() == {"nvidia-persistenced.service", "old.service"}
    unit = snapshot.units["nvidia-persistenced.service"]
    assert (unit.restarts, unit.changed_file, unit.reload_needed) == (2, str(fragment), False)
    booted = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    assert unit.started is not None
    assert abs(unit.started - booted - 1) < 3
    assert unit.outdated
    assert snapshot.units["old.service"].outdated


def test_a_process_newer_than_its_files_is_not_outdated() -> None:
    assert not UnitState(enabled="enabled", active="active", started=20, changed=10).outdated
    assert not UnitState(enabled="enabled", active="inactive", changed=10).outdated
    assert UnitState(enabled="enabled", active="active", started=20, changed=10, replaced=True).outdated


LOG = "".join(
    f"[{n}.1] NVRM: Xid (PCI:0000:06:00): 79, pid=1, name=x\\n[{n}.2] nvidia: noise {n}\\n[{n}.3] usb: other\\n"
    for n in range(60)
)


def test_the_last_xids_of_this_boot(machine: Machine) -> None:
    machine.tool("dmesg", f"printf '{LOG}'")
    snapshot = machine.read()
    assert len(snapshot.xids) == len(snapshot.driver_log) == 50
    assert snapshot.xids[-1] == "[59.1] NVRM: Xid (PCI:0000:06:00): 79, pid=1, name=x"
    assert not [line for line in snapshot.driver_log if "usb" in line]


def test_a_kernel_log_that_nobody_may_read_is_hidden(machine: Machine) -> None:
    for tool in ("dmesg", "journalctl"):
        machine.tool(tool, "exit 1")
    snapshot = machine.read()
    assert "not readable" in snapshot.hidden["kernel_log"]
    assert "kernel_log" not in snapshot.sections


def test_container_engines_cdi_and_cuda(machine: Machine) -> None:
    machine.tool("podman", "echo podman version 1.2.3")
    machine.put(
        "/etc/cdi/nvidia.yaml",
        '---\ncdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: "0"\n- name: all\n'
        "containerEdits:\n  mounts:\n  - hostPath: /usr/lib/libcuda.so.1.2.3\n",
    )
    machine.put("/usr/local/cuda-9.9/version.json", '{\n "cuda" : {\n "name" : "CUDA SDK",\n "version" : "9.9.1"\n },\n'
                '"cuda_cudart" : {"version" : "9.9.2"}}')  # fmt: skip
    machine.put("/usr/local/cuda-9.8/include/cuda.h", "/* x */\n#define CUDA_VERSION 9080\n")
    (machine.folder / "usr/local/cuda").symlink_to("cuda-9.9")
    machine.instead("/usr/local/cuda", "/etc/cdi")
    snapshot = machine.read()
    assert snapshot.runtimes["podman"] == "podman version 1.2.3"
    (spec,) = snapshot.cdi
    assert (spec.kind, spec.driver, spec.devices) == ("nvidia.com/gpu", "1.2.3", 2)
    assert [(Path(one.path).name, one.version) for one in snapshot.cuda] == [
        ("cuda", "9.9.1"), ("cuda-9.8", "9.8"), ("cuda-9.9", "9.9.1"),
    ]  # fmt: skip
    assert snapshot.cuda[0].target.endswith("/cuda-9.9")


def test_rdma_ports(machine: Machine) -> None:
    port = "/sys/class/infiniband/mlx5_0/ports/1"
    for name, text in (("state", "4: ACTIVE"), ("phys_state", "5: LinkUp"), ("rate", "400 Gb/sec (4X NDR)"),
                       ("link_layer", "InfiniBand")):  # fmt: skip
        machine.put(f"{port}/{name}", f"{text}\n")
    machine.put("/sys/class/infiniband/mlx5_0/fw_ver", "1.2.3\n")
    machine.instead("/sys/class/infiniband")
    (found,) = machine.read().infiniband
    assert (found.device, found.port, found.state, found.physical) == ("mlx5_0", 1, "ACTIVE", "LinkUp")
    assert (found.rate, found.link_layer, found.firmware) == ("400 Gb/sec (4X NDR)", "InfiniBand", "1.2.3")


def test_secure_boot_is_read_from_the_firmwares_variable(machine: Machine) -> None:
    name = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    machine.instead("/sys/firmware/efi")
    for value, word in ((b"\x06\0\0\0\x01", "enabled"), (b"\x06\0\0\0\0", "disabled")):
        machine.put(f"/sys/firmware/efi/efivars/{name}", value)
        assert machine.read().firmware.secure_boot == word


def test_libcuda_is_told_once_for_each_path_and_the_loaders_choice_first(machine: Machine) -> None:
    first, second = machine.put("/a/libcuda.so.1"), machine.put("/b/libcuda.so.1")
    machine.tool("ldconfig", f"printf '2 libs\\n\\tlibcuda.so.1 (libc6,x86-64) => {first}\\n"
                             f"\\tlibcuda.so.1 (libc6,x86-64) => {second}\\n'")  # fmt: skip
    libraries = [library for library in machine.read().libraries if library.path in {str(first), str(second)}]
    assert [library.loader for library in libraries] == [True, False]


def lines_of(machine: str) -> list[str]:
    return (DATA / f"probe-h200-{machine}.txt").read_text().splitlines()


class TestParse:
    """A real answer, damaged."""

    def test_cut_short_anywhere_is_unreadable(self) -> None:
        lines = lines_of("1gpu")
        for number in range(0, len(lines), 7):
            with pytest.raises(Unreadable, match="cut short"):
                parse("\n".join(lines[:number]))

    def test_a_section_without_an_end_is_unreadable(self) -> None:
        with pytest.raises(Unreadable, match="no end of its section 'gpu'"):
            parse("\n".join(line for line in lines_of("1gpu") if line != "end\tgpu"))

    def test_a_section_that_nobody_knows_is_unreadable(self) -> None:
        with pytest.raises(Unreadable, match="not a line of the probe"):
            parse("\n".join(["section\tweather", "end\tweather", *lines_of("1gpu")]))

    @pytest.mark.parametrize("section", sorted(NAMES))
    def test_a_strange_line_is_an_error_about_that_section(self, section: str) -> None:
        lines = lines_of("1gpu")
        lines.insert(lines.index(f"section\t{section}") + 1, "bash: line 3: oops")
        snapshot = parse("\n".join(lines))
        assert snapshot.hidden == {section: "unreadable: not a line of it: 'bash: line 3: oops'"}
        assert snapshot.sections == NAMES - {section}

    @given(st.data())
    @settings(deadline=None)
    def test_any_damage_is_a_snapshot_or_unreadable(self, data: st.DataObject) -> None:
        lines = lines_of("1gpu")
        for _ in range(data.draw(st.integers(1, 5))):
            number = data.draw(st.integers(0, len(lines) - 1))
            key, *fields = lines[number].split("\t")
            count = len(fields)
            text = st.text(st.characters(exclude_characters="\t\n"), max_size=30)
            match data.draw(st.sampled_from(["fields", "line", "drop", "double", "swap"])):
                case "fields":
                    lines[number] = "\t".join([key, *data.draw(st.lists(text, min_size=count, max_size=count))])
                case "line":
                    lines[number] = data.draw(st.text(max_size=30))
                case "drop" if len(lines) > 1:
                    del lines[number]
                case "double":
                    lines.insert(number, lines[number])
                case _:
                    other = data.draw(st.integers(0, len(lines) - 1))
                    lines[number], lines[other] = lines[other], lines[number]
        self.never_anything_else("\n".join(lines))

    @given(
        st.dictionaries(
            st.sampled_from(sorted(NAMES)), st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=11))
        )
    )
    @settings(deadline=None)
    def test_any_section_is_a_snapshot_or_unreadable(self, sections: dict[str, list[list[str]]]) -> None:
        lines = lines_of("1gpu")
        base = lines[: lines.index("section\tsystem")]
        body = []
        for name, rows in sections.items():
            body += [f"section\t{name}", *("\t".join(row) for row in rows), "code\t0", f"end\t{name}"]
        self.never_anything_else("\n".join([*base, *body, "END"]))

    def never_anything_else(self, text: str) -> None:
        try:
            snapshot = parse(text)
        except Unreadable as error:
            assert str(error)
        else:
            assert Snapshot.model_validate_json(snapshot.model_dump_json()) == snapshot


KEYS = {
    "os_release": 1, "tainted": 1, "failed_unit": 1, "firmware": 2, "lockdown": 1, "menu": 2, "dangling": 2, "device": 8,
    "module": 4, "module_file": 7, "dkms": 5, "package": 3, "source": 2, "pin": 2, "unit": 11, "sysctl": 2, "cpus": 1,
    "memory": 1, "node": 4, "hugepages": 3, "kernel_driver": 1, "information": 3, "parameter": 2, "xml": 1, "code": 1,
    "port": 10, "runtime": 2, "cdi": 4, "cuda": 4, "library": 4, "xid": 1, "driver_log": 1, "hidden": 2,
}  # fmt: skip


@given(st.sampled_from(sorted(PARSERS)), st.data())
@settings(deadline=None)
def test_rows_of_the_right_shape_and_any_content_never_break_a_parser(name: str, data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.sampled_from(sorted(KEYS)), max_size=5))
    content = st.text(max_size=12) | st.from_regex(r"[A-Za-z-]+: ?[-0-9.]{0,40}", fullmatch=True) | st.just("9" * 5000)
    lines = [[key, *(data.draw(content) for _ in range(KEYS[key]))] for key in keys]
    parser: Callable[[Sequence[Sequence[str]]], dict[str, object]] = PARSERS[name]
    try:
        fields = parser(lines)
    except ValueError:
        return
    base = parse((DATA / "probe-h200-1gpu.txt").read_text()).model_dump()
    fields.pop("hidden", None)
    assert Snapshot.model_validate({**base, **fields})
