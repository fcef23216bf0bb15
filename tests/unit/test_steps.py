"""What is due: drift per kind, consequences, gates, and the one state machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import (
    ALTERNATIVES,
    GPU,
    JSON,
    LOADED,
    OLD_RELEASE,
    RELEASE,
    REPOSITORY,
    SETTINGS,
    SHELL,
    VERSION,
    arguments,
    carried_out,
    converged,
    gate,
    machine,
    marked,
    noted,
    plan,
)

from provision.model import (
    AlternativeState,
    BootEntry,
    Derived,
    Directory,
    File,
    FileState,
    Gate,
    GateState,
    GpuSetting,
    Group,
    KernelArgument,
    KernelArguments,
    LedgerEntry,
    Manual,
    Module,
    NodeSpec,
    Package,
    Packages,
    PackageState,
    Plan,
    Resource,
    Snapshot,
    Symlink,
    Sysctl,
    SysctlSetting,
    Unit,
    UnitState,
    User,
    UserState,
)
from provision.model.machine import LoadedModule
from provision.steps import (
    Done,
    Reboot,
    Step,
    Stop,
    Stretch,
    admitted,
    contradictions,
    dependents,
    difference,
    drift,
    limit_of,
    next_step,
    transaction,
)
from provision.steps.next_step import budget

FILE = File(name="settings", path="/etc/x.conf", content="one\n", mode="0640")
DIRECTORY = Directory(name="folder", path="/etc/x.d", mode="755")
LOOSE = PackageState(version="7", status="ii")
PACKAGES = Packages(name="packages", packages=(Package(name="a", version="1.2-*"), Package(name="b")), hold=True)
METAS = PACKAGES.model_copy(update={"metas": ("all-of-a", "all-of-[0-9]*")})
UNIT = Unit(name="daemon", unit="x.service")
DROP_IN = File(name="drop-in", path="/etc/systemd/system/x.service.d/provision.conf", content="[Service]\n")
NO_UNIT = Unit(name="no-daemon", unit="y.service", enabled=False, running=False)
ENTRY = BootEntry(name="default-kernel", release=RELEASE)
GATE = gate("built", expect="it is built")
LINK = Symlink(name="link", path="/srv/link", target="a")
WORDS = arguments(quiet=None, init_on_alloc="0")
KEPT_OUT = Module(name="kept-out", module="rival-driver", loaded=False)
SYSCTL = Sysctl(name="values", settings=(SysctlSetting(key="net.core.a", value="1"),))
PEOPLE = Group(name="people", group="people")
ACCOUNT = User(name="account", user="eve", groups=("people",), shell="/bin/false")
ARCHIVE, WATTS = (next(one for one in SETTINGS if one.name == name) for name in ("tool", "watts"))
MANUAL = Manual(name="enrolled", title="the key is enrolled", instruction="Enrol it at the console.", test="false")
EVERY_KIND: tuple[Resource, ...] = (FILE, DROP_IN, DIRECTORY, PACKAGES, UNIT, NO_UNIT, ENTRY, GATE, *SETTINGS)
ALL = plan(EVERY_KIND)


def held(**versions: str) -> dict[str, PackageState]:
    return {name: PackageState(version=version, status="hi") for name, version in versions.items()}


def state_of(resource: File | Directory, **changes: Any) -> dict[str, FileState]:
    return {resource.path: converged(ALL).files[resource.path].model_copy(update=changes)}


DIFFERENCES: list[tuple[Resource, dict[str, Any], str]] = [
    (FILE, {"files": {}}, "/etc/x.conf is missing"),
    (FILE, {"files": state_of(FILE, sha256="f" * 64)}, "/etc/x.conf has another content"),
    (FILE, {"files": state_of(FILE, mode="644")}, "/etc/x.conf has mode 644, not 0640"),
    (FILE, {"files": {}, "hidden": {"file /etc/x.conf": "not readable for this user"}},
     "/etc/x.conf is not readable for this user"),
    (FILE, {"files": state_of(FILE, owner="eve")}, "/etc/x.conf belongs to eve, not root"),
    (FILE, {"files": state_of(FILE, sha256="", mode="4640")},
     "/etc/x.conf has another content and has mode 4640, not 0640"),
    (FILE, {"files": state_of(FILE, mode="garbage")}, "/etc/x.conf has mode garbage, not 0640"),
    (FILE, {"files": state_of(FILE, mode="")}, "/etc/x.conf has mode , not 0640"),
    (FILE, {"files": {"/etc/x.conf": FileState(type="symlink", target="/dev/null")}}, "/etc/x.conf is a symlink"),
    (FILE, {"files": {"/etc/x.conf": FileState(type="directory")}}, "/etc/x.conf is a directory"),
    (DIRECTORY, {"files": {}}, "/etc/x.d is missing"),
    (DIRECTORY, {"files": state_of(DIRECTORY, mode="1777")}, "/etc/x.d has mode 1777, not 755"),
    (DIRECTORY, {"files": {"/etc/x.d": FileState(type="file", mode="755", owner="root")}}, "/etc/x.d is a file"),
    (PACKAGES, {"packages": {}}, "a is not installed; b is not installed"),
    (PACKAGES, {"packages": held(a="1.3-1", b="1")}, "a is 1.3-1, not 1.2-*"),
    (PACKAGES, {"packages": held(a="1.20-1", b="1")}, "a is 1.20-1, not 1.2-*"),
    (PACKAGES, {"packages": held(a="1.2-1")}, "b is not installed"),
    (PACKAGES, {"packages": held(a="1.2-1") | {"b": PackageState(version="1", status="ii")}}, "b is not held"),
    (PACKAGES, {"packages": held(a="1.2-1") | {"b": PackageState(version="1", status="hF")}}, "b is hF"),
    (PACKAGES, {"packages": held(a="1.2-1") | {"b": PackageState(version="1", status="iHR")}}, "b is iHR"),
    (PACKAGES, {"packages": held(a="1.2-1") | {"b": PackageState(version="", status="un")}}, "b is un"),
    (METAS, {"packages": held(a="1.2-1", b="1") | {"all-of-a": LOOSE}}, "all-of-a is not held"),
    (METAS, {"packages": held(a="1.2-1", b="1") | {"all-of-7": LOOSE}}, "all-of-7 is not held"),
    (UNIT, {"units": {}}, "x.service does not exist"),
    (Unit(name="u", unit="z.service", running=False), {"units": {}}, "z.service does not exist"),
    (UNIT, {"units": {"x.service": UnitState(enabled="disabled", active="active")}}, "x.service is disabled"),
    (UNIT, {"units": {"x.service": UnitState(enabled="masked", active="inactive")}},
     "x.service is masked and is inactive"),
    (UNIT, {"units": {"x.service": UnitState(enabled="enabled", active="failed")}}, "x.service is failed"),
    (UNIT, {"unread_units": {"x.service"}}, "systemd has not read the files of x.service as they are now"),
    (UNIT, {"units": {"x.service": UnitState(enabled="enabled", active="failed")}, "unread_units": {"x.service"}},
     "x.service is failed"),
    (DROP_IN, {"unread_units": {"x.service"}}, "systemd has not read the files of x.service as they are now"),
    (DROP_IN, {"unread_units": {"x.service"}, "files": {}}, f"{DROP_IN.path} is missing"),
    (WATTS, {"unread_units": {"nvidia-persistenced.service"}},
     "systemd has not read the files of nvidia-persistenced.service as they are now"),
    (NO_UNIT, {"units": {"y.service": UnitState(enabled="enabled", active="inactive")}}, "y.service is enabled"),
    (NO_UNIT, {"units": {"y.service": UnitState(enabled="disabled", active="active")}}, "y.service is active"),
    (ENTRY, {"default_kernel": OLD_RELEASE}, f"the default boot entry is {OLD_RELEASE}, not {RELEASE}"),
    (ENTRY, {"default_kernel": ""}, f"the default boot entry is unknown, not {RELEASE}"),
    (REPOSITORY, {"files": {}}, "/etc/apt/keyrings/provision-vendor.asc is missing; "
     "/etc/apt/sources.list.d/provision-vendor.sources is missing"),
    (LINK, {"files": {}}, "/srv/link is missing"),
    (LINK, {"files": {"/srv/link": FileState(type="directory")}}, "/srv/link is a directory"),
    (LINK, {"files": {"/srv/link": FileState(type="symlink", target="b")}}, "/srv/link leads to b, not a"),
    (ALTERNATIVES, {"alternatives": {}}, "nothing is chosen as tool"),
    (ALTERNATIVES, {"alternatives": {"tool": AlternativeState(manual=True, path="/b")}}, "tool is /b, not /opt/tool"),
    (ALTERNATIVES, {"alternatives": {"tool": AlternativeState(manual=False, path="/opt/tool")}},
     "tool is left to the packages"),
    (ALTERNATIVES, {"files": {}}, "/usr/bin/tool is missing"),
    (SHELL, {"fragments": {}}, "/etc/default/x: KEY is not set"),
    (SHELL, {"fragments": {"defaults": {"KEY": "a"}}}, "/etc/default/x: KEY is a"),
    (SHELL, {"fragments": {}, "hidden": {"fragment defaults": "not readable for this user"}},
     "/etc/default/x is not readable for this user"),
    (JSON, {"fragments": {"daemon-settings": {'["a", "b.c"]': '{"d":[true,true]}', '["e"]': "null"}}},
     '/etc/x.json: a.b.c is {"d":[true,true]}'),
    (JSON, {"fragments": {"daemon-settings": {'["a", "b.c"]': '{"d":[1,true]}'}}}, "/etc/x.json: e is not set"),
    (JSON, {"fragments": {"daemon-settings": {'["a", "b.c"]': '{"d":[1,', '["e"]': "null"}}},
     '/etc/x.json: a.b.c is {"d":[1,'),
    (WORDS, {"cmdline": "BOOT_IMAGE=/x quiet"}, "the running kernel was not started with init_on_alloc=0"),
    (WORDS, {"cmdline": "init_on_alloc=0 quiet init_on_alloc=1"},
     "the running kernel was not started with init_on_alloc=0"),
    (WORDS, {"cmdline": "xinit_on_alloc=0"}, "the running kernel was not started with quiet init_on_alloc=0"),
    (WORDS, {"files": {}}, "/etc/default/grub.d/zz-provision-arguments.cfg is missing"),
    (LOADED, {"modules": {}}, "a-b is not loaded"),
    (KEPT_OUT, {"modules": {"rival_driver": LoadedModule()}}, "rival-driver is loaded"),
    (SYSCTL, {"sysctls": {}}, "net.core.a is not there, not 1"),
    (SYSCTL, {"sysctls": {"net.core.a": "2"}}, "net.core.a is 2, not 1"),
    (ARCHIVE, {"files": {}}, "/opt/it's a tool is not there, or did not come from an archive"),
    (ARCHIVE, {"files": {"/opt/it's a tool/.provision": FileState(type="file", sha256="0" * 64)}},
     "/opt/it's a tool came from another archive than the one declared"),
    (ARCHIVE, {"files": {}, "hidden": {"file /opt/it's a tool/.provision": "not readable for this user"}},
     "/opt/it's a tool/.provision is not readable for this user"),
    (WATTS, {"files": {}}, "/etc/systemd/system/nvidia-persistenced.service.d/provision-watts.conf is missing"),
    (WATTS, {"gpu_settings": {}}, "power-limit cannot be read: no GPU answers"),
    (WATTS, {"gpu_settings": {"a": {"power.limit": "700.00"}, "b": {"power.limit": "600.00"}}},
     "power-limit of a is 700.00, not 600"),
    (WATTS, {"hidden": {"gpu-settings": "there is no nvidia-smi"}},
     "power-limit cannot be read: there is no nvidia-smi"),
    (PEOPLE, {"groups": frozenset()}, "there is no group people"),
    (ACCOUNT, {"users": {}}, "there is no user eve"),
    (ACCOUNT, {"users": {"eve": UserState(shell="/bin/sh")}},
     "eve is not in group people and has the shell /bin/sh, not /bin/false"),
    (MANUAL, {"gates": {"enrolled": GateState(holds=False, evidence="none")}}, "not so: the key is enrolled (none)"),
    (GATE, {"gates": {}}, "not so: it is built"),
    (GATE, {"gates": {"built": GateState(holds=False)}}, "not so: it is built"),
    (GATE, {"gates": {"built": GateState(holds=False, evidence="half of it")}}, "not so: it is built (half of it)"),
]  # fmt: skip


class TestDriftOfOneResource:
    @pytest.mark.parametrize("resource", EVERY_KIND, ids=lambda r: r.name)
    def test_a_machine_that_is_as_wanted_has_none(self, resource: Resource) -> None:
        assert drift(plan([resource]), converged(plan([resource]))) == ((),)

    @pytest.mark.parametrize(
        ("resource", "instead", "why"), DIFFERENCES, ids=[f"{r.name}: {why}" for r, _, why in DIFFERENCES]
    )
    def test_every_way_of_differing_is_told_in_words(
        self, resource: Resource, instead: dict[str, Any], why: str
    ) -> None:
        wanted = plan([resource])
        ((due,),) = drift(wanted, converged(wanted).model_copy(update=instead))
        assert (due.entry.resource, due.why) == (resource, why)

    @pytest.mark.parametrize("resource", [WORDS, Module(name="m", module="m", loaded=True, boot_scoped=True)])
    def test_what_only_a_reboot_changes_is_not_due_while_one_is_owed(self, resource: Resource) -> None:
        wanted = plan([resource])
        there = converged(wanted).model_copy(update={"cmdline": "", "modules": {}})
        assert drift(wanted, there) != ((),)
        assert drift(wanted, there.model_copy(update={"reboot_due": there.boot_id})) == ((),)
        assert drift(wanted, there.model_copy(update={"reboot_due": "an earlier boot"})) != ((),)

    def test_a_module_that_is_loaded_at_once_is_due_even_then(self) -> None:
        wanted = plan([LOADED])
        there = converged(wanted).model_copy(update={"modules": {}})
        assert drift(wanted, there.model_copy(update={"reboot_due": there.boot_id})) != ((),)

    @pytest.mark.parametrize("cmdline", ["console=ttyS0 console=tty0 quiet", "console=tty0 quiet console=ttyS0"])
    def test_of_words_with_one_name_the_last_is_the_last(self, cmdline: str) -> None:
        made = [KernelArgument(name="console", value=value, source="a guide") for value in ("ttyS0", "tty0")]
        both = KernelArguments(name="a", arguments=tuple(made), needs=())
        there = converged(plan([both])).model_copy(update={"cmdline": cmdline})
        assert (drift(plan([both]), there) == ((),)) == cmdline.startswith("console=ttyS0")

    def test_a_unit_that_does_not_exist_is_neither_enabled_nor_running(self) -> None:
        assert drift(plan([NO_UNIT]), machine()) == ((),)

    @pytest.mark.parametrize("resource", EVERY_KIND, ids=lambda r: r.name)
    def test_what_is_told_is_gone_once_it_is_carried_out(self, resource: Resource) -> None:
        wanted = plan([resource])
        assert drift(wanted, machine()) != ((),) or resource == NO_UNIT
        assert drift(wanted, carried_out(wanted, resource, machine())) == ((),)

    @pytest.mark.parametrize("enabled", ["enabled", "enabled-runtime", "static", "alias"])
    def test_a_unit_without_an_install_section_counts_as_enabled(self, enabled: str) -> None:
        units = {"x.service": UnitState(enabled=enabled, active="active")}
        assert drift(plan([UNIT]), machine(units=units)) == ((),)

    def test_a_hold_that_nobody_asked_for_is_no_drift(self) -> None:
        wanted = plan([Packages(name="p", packages=(Package(name="a"),))])
        assert drift(wanted, machine(packages=held(a=VERSION))) == ((),)

    @pytest.mark.parametrize(("mode", "seen"), [("0644", "644"), ("644", "0644"), ("0600", "600"), ("000", "0")])
    def test_a_mode_is_a_number_not_a_text(self, mode: str, seen: str) -> None:
        wanted = plan([File(name="f", path="/f", content="", mode=mode)])
        snapshot = converged(wanted)
        files = {"/f": snapshot.files["/f"].model_copy(update={"mode": seen})}
        assert drift(wanted, snapshot.model_copy(update={"files": files})) == ((),)


class TestWhatAPersonMustDo:
    BEFORE = File(name="before", path="/a", content="x")
    AFTER = File(name="behind", path="/b", content="x")
    ROOM = gate("room", precondition=True)

    def test_what_stands_before_it_is_carried_out_first_and_then_the_run_stops(self) -> None:
        wanted = plan([self.ROOM, self.BEFORE, MANUAL, self.AFTER])
        first = next_step(wanted, machine(), ())
        assert isinstance(first, Stretch)
        assert [d.entry.name for d in first.due] == ["room", "before"]
        then = next_step(wanted, carried_out(wanted, self.BEFORE, machine()), ())
        assert then == Stop(reason="the key is enrolled. Enrol it at the console.")

    def test_once_it_was_done_the_rest_is_carried_out(self) -> None:
        wanted = plan([MANUAL, self.AFTER])
        step = next_step(wanted, carried_out(wanted, MANUAL, machine()), ())
        assert isinstance(step, Stretch)
        assert [d.entry.name for d in step.due] == ["behind"]

    def test_its_evidence_is_told(self) -> None:
        state = GateState(holds=False, evidence="SecureBoot enabled")
        step = next_step(plan([MANUAL]), machine(gates={"enrolled": state}), ())
        assert step == Stop(reason="the key is enrolled (SecureBoot enabled). Enrol it at the console.")

    def test_where_the_node_cannot_hold_it_nobody_is_asked(self) -> None:
        wanted = plan([MANUAL.model_copy(update={"needs": ("hardware",)})])
        assert isinstance(next_step(wanted, machine(limits={"hardware"}), ()), Done)


class TestKernelArguments:
    MENU = Derived(name="boot-menu", inputs=("arguments",), command="update-grub")

    def test_what_the_running_kernel_lacks_is_written_and_then_rebooted_into(self) -> None:
        wanted = plan([WORDS, self.MENU])
        lost = converged(wanted).model_copy(update={"cmdline": "quiet"})
        step = next_step(wanted, lost, ())
        assert isinstance(step, Stretch)
        assert [d.entry.name for d in step.due] == ["arguments", "boot-menu"]
        owed = lost.model_copy(update={"reboot_due": lost.boot_id})
        assert isinstance(next_step(wanted, owed, ()), Reboot)

    def test_a_menu_that_never_brings_it_ends_in_a_stop_that_names_it(self) -> None:
        wanted = plan([WORDS, self.MENU])
        owed = converged(wanted).model_copy(update={"cmdline": "quiet", "reboot_due": "boot-1"})
        spent = [noted(wanted, "reboot", f"boot-{number}") for number in (7, 8, 9)]
        step = next_step(wanted, owed, spent)
        assert isinstance(step, Stop)
        assert "init_on_alloc=0" in step.reason

    @pytest.mark.parametrize("words", [{"quiet": None}, {"quiet": None, "init_on_alloc": "0"}])
    def test_a_reboot_that_did_not_bring_it_is_not_ordered_again(self, words: dict[str, str | None]) -> None:
        wanted = plan([arguments(**words), self.MENU])
        node = Deaf(wanted, machine())
        step = node.run()
        assert isinstance(step, Stop)
        assert node.reboots == 1
        assert "the running kernel was not started with quiet" in step.reason
        assert "--retry" in step.reason
        node.note("retry")
        assert isinstance(node.run(), Stop)
        assert node.reboots == 2, "a person who asks again gets one"

    def test_nor_for_a_setting_of_gpus_that_never_comes(self) -> None:
        wanted = plan([GpuSetting(name="ecc", setting="ecc", value="enabled", needs=(), after=None)])
        node = Deaf(wanted, machine())
        step = node.run()
        assert isinstance(step, Stop)
        assert node.reboots == 1
        assert "ecc of" in step.reason

    def test_an_order_that_was_never_carried_out_is_given_again(self) -> None:
        wanted = plan([WORDS, self.MENU])
        owed = converged(wanted).model_copy(update={"cmdline": "", "reboot_due": "boot-1"})
        step = next_step(wanted, owed, ())
        assert isinstance(step, Reboot)
        assert next_step(wanted, owed, [noted(wanted, "reboot", "boot-1", detail=step.why)]) == step


class Deaf:
    """A machine that takes every change and starts as it always did: its boot loader reads another file than ours."""

    def __init__(self, wanted: Plan, snapshot: Snapshot) -> None:
        self.wanted, self.snapshot, self.ledger, self.reboots = wanted, snapshot, list[LedgerEntry](), 0

    def run(self) -> Step:
        for _ in range(20):
            step = next_step(self.wanted, self.snapshot, self.ledger)
            if isinstance(step, Stretch):
                self.carry_out(step)
            elif isinstance(step, Reboot):
                self.note("reboot", step.why)
                self.reboots += 1
                self.snapshot = self.snapshot.model_copy(update={"boot_id": f"boot-{self.reboots + 1}"})
                self.note("booted")
            else:
                return step
        raise AssertionError("does not settle")

    def carry_out(self, step: Stretch) -> None:
        before = self.snapshot.cmdline
        for due in step.due:
            self.snapshot = carried_out(self.wanted, due.entry.resource, self.snapshot)
            if due.reach == "kernel":
                self.snapshot = marked(self.snapshot, due.entry.name)
        pending = {gpu: {"ecc.mode.current": "Disabled", "ecc.mode.pending": "enabled"} for gpu in [GPU]}
        self.snapshot = self.snapshot.model_copy(update={"cmdline": before, "gpu_settings": pending})

    def note(self, step: str, detail: str = "") -> None:
        self.ledger.append(noted(self.wanted, step, self.snapshot.boot_id, detail=detail))


SOURCE = File(name="source", path="/src", content="x")
MADE = Derived(name="made", inputs=("source", "/etc/other"), command="make", outputs=("/out",))
AGAIN = Derived(name="made-again", inputs=("made",), command="make again")
LAST = Derived(name="last", inputs=("made-again",), command="make it last")
CHAIN = plan([SOURCE, MADE], [AGAIN], [LAST])


class TestDriftOfDerived:
    def due(self, **changes: dict[str, Any]) -> dict[str, str]:
        snapshot = converged(CHAIN)
        update = {name: {**getattr(snapshot, name), **states} for name, states in changes.items()}
        update = {name: {k: v for k, v in states.items() if v is not None} for name, states in update.items()}
        boots = drift(CHAIN, snapshot.model_copy(update=update))
        return {one.entry.name: one.why for boot in boots for one in boot}

    def test_nothing_is_due_when_every_stamp_tells_of_its_inputs(self) -> None:
        assert self.due() == {}

    def test_a_stamp_is_missing(self) -> None:
        assert self.due(stamps={"last": None}) == {"last": "it was not made yet, or not finished"}

    @pytest.mark.parametrize("torn", ["", "-", "half"])
    def test_a_stamp_is_torn(self, torn: str) -> None:
        assert self.due(stamps={"last": torn}) == {"last": "its inputs should be others than it was made of"}

    def test_its_inputs_should_be_others(self) -> None:
        stamp = f"{'0' * 16}-{converged(CHAIN).prints['last']}"
        assert self.due(stamps={"last": stamp}) == {"last": "its inputs should be others than it was made of"}

    def test_its_inputs_on_the_node_are_others(self) -> None:
        why = "its inputs on the node are others than it was made of"
        assert self.due(prints={"last": "f" * 16}) == {"last": why}
        assert self.due(prints={"last": None}) == {"last": why}

    def test_an_output_is_missing(self) -> None:
        assert self.due(files={"/out": None})["made"] == "/out is missing"

    def test_an_input_that_is_due_makes_it_due_over_boots_too(self) -> None:
        assert self.due(files={"/src": None}) == {
            "source": "/src is missing",
            "made": "source changes",
            "made-again": "made changes",
            "last": "made-again changes",
        }

    def test_all_causes_are_told(self) -> None:
        wanted = plan([SOURCE, FILE, Derived(name="both", inputs=("settings", "source"), command=":")])
        (boot,) = drift(wanted, machine())
        assert boot[-1].why == "settings, source changes"


class TestGates:
    def test_a_gate_is_asked_again_when_something_before_it_in_its_boot_changes(self) -> None:
        before, after = gate("before"), gate("after")
        wanted = plan([before, FILE, after], [gate("next-boot")])
        first, second = drift(wanted, converged(wanted).model_copy(update={"files": {}}))
        assert [(d.entry.name, d.why) for d in first] == [
            ("settings", "/etc/x.conf is missing"),
            ("after", "something before it changes"),
        ]
        assert second == ()

    def test_a_precondition_says_nothing_about_a_converged_node(self) -> None:
        wanted = plan([gate("room", precondition=True), FILE])
        snapshot = converged(wanted).model_copy(update={"gates": {}})
        assert drift(wanted, snapshot) == ((),)
        assert next_step(wanted, snapshot, ()) == Done()

    def test_a_precondition_is_asked_before_another_change_of_its_boot_wherever_it_stands(self) -> None:
        wanted = plan([FILE, gate("room", precondition=True)], [UNIT, gate("locks", precondition=True)])
        first, second = drift(wanted, converged(wanted).model_copy(update={"files": {}}))
        assert [(d.entry.name, d.why) for d in first] == [
            ("room", "asked before a change"),
            ("settings", "/etc/x.conf is missing"),
        ]
        assert second == ()

    def test_a_gate_that_does_not_hold_is_no_change_so_no_precondition_is_asked(self) -> None:
        wanted = plan([gate("room", precondition=True), gate("built")])
        (boot,) = drift(wanted, machine())
        assert [d.entry.name for d in boot] == ["built"]

    def test_what_a_gate_proves_is_due_when_the_proof_does_not_hold_though_its_stamp_is_right(self) -> None:
        build = Derived(name="build", inputs=("settings",), command="make")
        image = Derived(name="image", inputs=("build",), command="make image")
        proof = gate("built", proves=("build",))
        wanted = plan([FILE, build, proof, image])
        harmed = converged(wanted).model_copy(update={"gates": {"built": GateState(holds=False, evidence="no x.ko")}})
        (boot,) = drift(wanted, harmed)
        assert [(d.entry.name, d.why) for d in boot] == [
            ("build", "not so: built is so (no x.ko)"),
            ("built", "something before it changes"),
            ("image", "build changes"),
        ]

    def test_a_proof_that_the_node_cannot_hold_makes_nothing_due(self) -> None:
        build = Derived(name="build", inputs=("settings",), command="make")
        wanted = plan([FILE, build, gate("loaded", proves=("build",), needs=("modules",))])
        snapshot = converged(wanted, limits={"modules"}).model_copy(update={"gates": {}})
        assert drift(wanted, snapshot) == ((),)

    def test_a_precondition_that_the_node_cannot_hold_is_not_asked(self) -> None:
        wanted = plan([gate("gpu", precondition=True, needs=("hardware",)), FILE])
        (boot,) = drift(wanted, machine(limits={"hardware"}))
        assert [d.entry.name for d in boot] == ["settings"]


class TestLimits:
    LIMITED = plan(
        [
            FILE,
            BootEntry(name="default", release=RELEASE, needs=("boot",)),
            Derived(name="menu", inputs=("default",), command=":", needs=("boot", "modules")),
            Derived(name="free", inputs=("default",), command=":"),
            gate("loaded", needs=("modules", "hardware")),
        ]
    )

    def test_what_a_node_cannot_hold_is_never_due(self) -> None:
        snapshot = machine(limits={"boot", "hardware"})
        (boot,) = drift(self.LIMITED, snapshot)
        assert [d.entry.name for d in boot] == ["settings", "free"]

    def test_what_a_node_cannot_hold_is_told_and_never_counted_as_converged(self) -> None:
        snapshot = converged(plan([FILE]), limits={"boot", "hardware"})
        snapshot = carried_out(self.LIMITED, self.LIMITED.by_name["free"].resource, snapshot)
        step = next_step(self.LIMITED, snapshot, ())
        assert isinstance(step, Done)
        assert {n.entry.name: n.limit for n in step.not_applicable} == {
            "default": "boot", "menu": "boot", "loaded": "hardware",
        }  # fmt: skip

    def test_even_where_the_node_looks_converged(self) -> None:
        snapshot = converged(self.LIMITED, limits={"boot", "hardware"})
        step = next_step(self.LIMITED, snapshot, ())
        assert isinstance(step, Done)
        assert [n.entry.name for n in step.not_applicable] == ["default", "menu", "loaded"]

    def test_without_limits_everything_is_applicable(self) -> None:
        assert next_step(self.LIMITED, converged(self.LIMITED), ()) == Done()


KERNEL_GATE = gate("running-kernel", boot_scoped=True, expect="the new kernel runs", remedy="Look at the console")
TWO_BOOTS = plan(
    [Packages(name="kernel", packages=(Package(name="linux"),), boot_scoped=True)],
    [KERNEL_GATE, ENTRY, UNIT],
)
OLD = {"gates": {}, "default_kernel": OLD_RELEASE, "units": {}}
"""The second boot's things as they are before the reboot."""


def before_reboot(**fields: Any) -> Snapshot:
    given = {"boot_id": "boot-1", "reboot_due": "boot-1", **OLD}
    return converged(TWO_BOOTS).model_copy(update={**given, **fields})


class TestNextStep:
    def test_a_stretch_is_everything_due_in_the_first_boot_that_has_anything_due(self) -> None:
        step = next_step(TWO_BOOTS, machine(), ())
        assert isinstance(step, Stretch)
        assert (step.boot, [d.entry.name for d in step.due]) == (0, ["kernel"])

    def test_a_reboot_when_the_marker_is_of_this_boot(self) -> None:
        step = next_step(TWO_BOOTS, before_reboot(), ())
        assert step == Reboot(
            boot_id="boot-1", why="a change made since the last boot takes effect with a reboot", trial=RELEASE
        )

    def test_no_reboot_for_a_marker_of_an_earlier_boot(self) -> None:
        snapshot = converged(TWO_BOOTS).model_copy(update={"boot_id": "boot-2", "reboot_due": "boot-1"})
        assert next_step(TWO_BOOTS, snapshot, ()) == Done()

    def test_no_reboot_before_everything_of_this_boot_is_done(self) -> None:
        assert isinstance(next_step(TWO_BOOTS, before_reboot(packages={}), ()), Stretch)

    @pytest.mark.parametrize(
        ("named", "step"),
        [
            (("tuning",), Stretch),  # cut in the second boot: that is finished first
            (("kernel",), Reboot),
            (("kernel", "tuning"), Reboot),
            ((), Reboot),  # nobody knows what for
            (("tuning", "of-another-plan"), Reboot),
        ],
    )
    def test_a_reboot_is_made_behind_the_boot_that_asks_for_it(self, named: tuple[str, ...], step: type) -> None:
        tuning = FILE.model_copy(update={"name": "tuning", "boot_scoped": True})
        wanted = plan([TWO_BOOTS.by_name["kernel"].resource], [KERNEL_GATE, ENTRY, tuning, UNIT])
        snapshot = converged(wanted).model_copy(update={"units": {}, "reboot_due": "boot-1", "reboot_for": named})
        assert isinstance(next_step(wanted, snapshot, ()), step)
        rest = snapshot.model_copy(update={"units": converged(wanted).units})
        assert isinstance(next_step(wanted, rest, ()), Reboot)

    def test_a_reboot_when_a_gate_says_that_the_running_kernel_is_another(self) -> None:
        snapshot = before_reboot(reboot_due="", gates={"running-kernel": GateState(holds=False, evidence="old")})
        step = next_step(TWO_BOOTS, snapshot, ())
        assert step == Reboot(boot_id="boot-1", why="not so: the new kernel runs (old)", trial=RELEASE)

    def test_nothing_of_a_boot_is_done_before_its_gate_holds(self) -> None:
        assert isinstance(next_step(TWO_BOOTS, before_reboot(reboot_due=""), ()), Reboot)

    def test_behind_the_reboot_the_rest_is_a_stretch(self) -> None:
        snapshot = before_reboot(boot_id="boot-2", gates={"running-kernel": GateState(holds=True)})
        step = next_step(
            TWO_BOOTS, snapshot, [noted(TWO_BOOTS, "reboot", "boot-1"), noted(TWO_BOOTS, "booted", "boot-2")]
        )
        assert isinstance(step, Stretch)
        assert [d.entry.name for d in step.due] == ["default-kernel", "daemon"]

    def test_no_trial_of_a_kernel_that_is_the_default_already(self) -> None:
        step = next_step(TWO_BOOTS, before_reboot(default_kernel=RELEASE), ())
        assert isinstance(step, Reboot)
        assert step.trial is None

    def test_no_trial_on_a_node_that_has_no_kernel_of_its_own(self) -> None:
        entry = ENTRY.model_copy(update={"needs": ("boot",)})
        wanted = plan([PACKAGES], [entry])
        snapshot = converged(wanted, limits={"boot"}).model_copy(update={"reboot_due": "boot-1"} | OLD)
        step = next_step(wanted, snapshot, ())
        assert isinstance(step, Reboot)
        assert step.trial is None

    def test_a_gate_that_the_node_cannot_hold_asks_for_no_reboot(self) -> None:
        wanted = plan([FILE], [gate("running-kernel", boot_scoped=True, needs=("boot",))])
        snapshot = converged(wanted, limits={"boot"}).model_copy(update={"gates": {}})
        assert isinstance(next_step(wanted, snapshot, ()), Done)

    def test_stop_when_the_trial_came_back_on_another_kernel(self) -> None:
        snapshot = before_reboot(boot_id="boot-2", gates={"running-kernel": GateState(holds=False, evidence="old")})
        ledger = [noted(TWO_BOOTS, "reboot", "boot-1"), noted(TWO_BOOTS, "booted", "boot-2")]
        step = next_step(TWO_BOOTS, snapshot, ledger)
        assert step == Stop(
            reason="after the reboot it is still not so: the new kernel runs (old). Look at the console"
        )

    def test_stop_stays_stop_in_every_later_run(self) -> None:
        ledger = [
            noted(TWO_BOOTS, s, "boot-1", run=f"run-{n}") for n, s in enumerate(["reboot", "booted", "stop", "stop"])
        ]
        assert isinstance(next_step(TWO_BOOTS, before_reboot(boot_id="boot-2"), ledger), Stop)

    def test_another_change_since_then_is_worth_another_reboot(self) -> None:
        ledger = [noted(TWO_BOOTS, "reboot", "boot-1"), noted(TWO_BOOTS, "booted", "boot-2")]
        assert isinstance(next_step(TWO_BOOTS, before_reboot(boot_id="boot-2", reboot_due="boot-2"), ledger), Reboot)

    @pytest.mark.parametrize("word", ["retry", "done"])
    def test_a_person_or_a_success_opens_a_new_page(self, word: str) -> None:
        ledger = [noted(TWO_BOOTS, s, "boot-1") for s in ("reboot", "booted", "stop", word)]
        assert isinstance(next_step(TWO_BOOTS, before_reboot(boot_id="boot-2"), ledger), Reboot)

    def test_another_plan_is_another_page(self) -> None:
        ledger = [noted(TWO_BOOTS, s, "boot-1", plan="another") for s in ("reboot", "booted", "stop")]
        assert isinstance(next_step(TWO_BOOTS, before_reboot(boot_id="boot-2"), ledger), Reboot)

    def test_done_of_a_plan_without_boots(self) -> None:
        assert next_step(plan(), machine(), ()) == Done()


class TestBudget:
    def reboots(self, *boots: str) -> list[LedgerEntry]:
        return [noted(TWO_BOOTS, "reboot", boot) for boot in boots]

    def test_one_for_each_boot_and_one_for_a_rerun(self) -> None:
        assert budget(TWO_BOOTS) == 3

    def test_stop_when_it_is_spent(self) -> None:
        spent = self.reboots("boot-a", "boot-b", "boot-c")
        assert isinstance(next_step(TWO_BOOTS, before_reboot(), spent[:2]), Reboot)
        step = next_step(TWO_BOOTS, before_reboot(), spent)
        assert isinstance(step, Stop)
        assert step.reason.startswith("3 reboots were spent on this plan and another one is due (a change made since")
        assert "--retry" in step.reason

    def test_orders_of_one_boot_count_once(self) -> None:
        again = self.reboots("boot-a", "boot-a", "boot-a", "boot-a", "boot-b")
        assert isinstance(next_step(TWO_BOOTS, before_reboot(), again), Reboot)

    def test_an_order_of_the_present_boot_was_never_carried_out(self) -> None:
        orders = self.reboots("boot-a", "boot-b", "boot-1", "boot-1")
        assert isinstance(next_step(TWO_BOOTS, before_reboot(), orders), Reboot)

    @pytest.mark.parametrize("word", ["retry", "done"])
    def test_it_is_whole_again_after(self, word: str) -> None:
        ledger = [*self.reboots("boot-a", "boot-b", "boot-c"), noted(TWO_BOOTS, word)]
        assert isinstance(next_step(TWO_BOOTS, before_reboot(), ledger), Reboot)

    def test_what_is_converged_needs_no_budget(self) -> None:
        assert next_step(TWO_BOOTS, converged(TWO_BOOTS), self.reboots("a", "b", "c", "d")) == Done()


def test_one_boot_has_one_transaction() -> None:
    more = Packages(name="more", packages=(Package(name="c"),))
    step = next_step(plan([FILE, PACKAGES, more, UNIT]), machine(), ())
    assert isinstance(step, Stretch)
    assert [due.entry.resource for due in transaction(step.due)] == [PACKAGES, more]
    assert transaction(step.due[:1]) == ()


class TestDeclaredFacts:
    SPEC = NodeSpec(os="debian13", arch="x86_64")

    def test_a_node_that_is_what_was_declared_contradicts_nothing(self) -> None:
        assert contradictions(self.SPEC, machine()) == ()

    def test_every_contradiction_is_told(self) -> None:
        told = contradictions(self.SPEC, machine(os="ubuntu24.04", arch="aarch64"))
        assert told == (
            "declared os debian13, the node runs ubuntu24.04",
            "declared arch x86_64, the node is aarch64",
        )

    def test_only_a_lab_node_may_be_declared_without_hardware(self) -> None:
        absent = self.SPEC.model_copy(update={"hardware": "absent"})
        (told,) = contradictions(absent, machine())
        assert "which only a lab node may be" in told
        assert contradictions(absent, machine(lab=True)) == ()
        assert admitted(absent, machine(lab=True)).limits == {"hardware"}
        assert admitted(absent, machine()).limits == frozenset()
        assert admitted(self.SPEC, machine(lab=True)).limits == frozenset()


# The state machine as a whole: nodes that do as they are told, that die halfway, that never come back right.


@dataclass
class Node:
    """A machine that carries out steps. `faithful` is how many of its boots start the kernel that was asked for."""

    wanted: Plan
    snapshot: Snapshot
    faithful: bool = True
    ledger: list[LedgerEntry] = field(default_factory=list)
    reboots: int = 0

    def carry_out(self, step: Stretch, until: int) -> None:
        for due in step.due[:until]:
            resource = due.entry.resource
            begun = {d.name for d in dependents(self.wanted, resource.name)}
            stamps = {name: stamp for name, stamp in self.snapshot.stamps.items() if name not in begun}
            if due.reach != "nothing":
                self.snapshot = self.snapshot.model_copy(update={"stamps": stamps})
            if due.reach == "kernel":
                self.snapshot = marked(self.snapshot, resource.name)
            if not (isinstance(resource, Gate) and resource.boot_scoped):
                self.snapshot = carried_out(self.wanted, resource, self.snapshot)

    def reboot(self, step: Reboot) -> None:
        self.note("reboot")
        self.reboots += 1
        started = (step.trial or self.snapshot.default_kernel) if self.faithful else OLD_RELEASE
        holds = {
            e.name: GateState(holds=started == RELEASE)
            for e in self.wanted.entries
            if isinstance(e.resource, Gate) and e.resource.boot_scoped
        }
        self.snapshot = self.snapshot.model_copy(
            update={"boot_id": f"boot-{self.reboots + 1}", "kernel": started, "gates": {**self.snapshot.gates, **holds}}
        )
        self.note("booted")

    def note(self, step: str) -> None:
        self.ledger.append(noted(self.wanted, step, self.snapshot.boot_id))


def resources(draw: Callable[[st.SearchStrategy[Any]], Any], boot: int) -> list[Resource]:
    """Some resources of every kind, the later ones deriving from the earlier ones."""
    kinds = draw(st.lists(st.sampled_from(["file", "packages", "unit", "derived", "gate", "precondition"]), max_size=6))
    made: list[Resource] = []
    for number, kind in enumerate(kinds):
        name = f"r{boot}-{number}"
        common = {"name": name, "boot_scoped": draw(st.booleans()), "needs": draw(st.sampled_from([(), ("hardware",)]))}
        inputs = tuple(draw(st.lists(st.sampled_from([r.name for r in made]), unique=True)) if made else ())
        made.append(
            {
                "file": lambda c=common, n=name: File(path=f"/{n}", content=n, **c),
                "packages": lambda c=common, n=name: Packages(packages=(Package(name=n, version="1-*"),), **c),
                "unit": lambda c=common, n=name: Unit(unit=f"{n}.service", **c),
                "derived": lambda c=common, n=name, i=inputs: Derived(inputs=i, command=":", outputs=(f"/{n}",), **c),
                "gate": lambda n=name: gate(n),
                "precondition": lambda n=name: gate(n, precondition=True),
            }[kind]()
        )
    return made


@st.composite
def plans(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Plan:
    later = [KERNEL_GATE, *resources(draw, 1), ENTRY]
    return plan(resources(draw, 0), later, *draw(st.sampled_from([[], [resources(draw, 2)]])))


@given(
    wanted=plans(),
    faithful=st.booleans(),
    deaths=st.lists(st.integers(0, 6), max_size=4),
    limits=st.sets(st.sampled_from(["hardware", "sysctl"])),
)
def test_every_node_ends_in_done_or_stop_and_a_faithful_one_reboots_once_a_boot(
    wanted: Plan, faithful: bool, deaths: Sequence[int], limits: set[str]
) -> None:
    node = Node(wanted, machine(limits=limits), faithful)
    dies_after = list(deaths)
    for _ in range(3 * len(wanted.boots) + len(deaths) + 4):
        step = next_step(wanted, node.snapshot, node.ledger)
        match step:
            case Stretch():
                node.carry_out(step, dies_after.pop() if dies_after else len(step.due))
            case Reboot():
                node.reboot(step)
            case Stop() | Done():
                break
    else:
        pytest.fail(f"it does not settle: {step}")
    assert node.reboots <= (len(wanted.boots) if faithful else budget(wanted))
    assert isinstance(step, Done) == (faithful or not any(wanted.boots)), step
    if isinstance(step, Done):
        assert not any(drift(wanted, node.snapshot))
        assert node.snapshot.default_kernel == RELEASE


@given(wanted=plans(), changes=st.sets(st.sampled_from(["files", "packages", "units", "stamps", "prints", "gates"])),
       limits=st.sets(st.sampled_from(["hardware", "sysctl"])))  # fmt: skip
def test_it_is_never_done_while_anything_applicable_is_due(wanted: Plan, changes: set[str], limits: set[str]) -> None:
    snapshot = converged(wanted, limits=limits).model_copy(update={name: {} for name in changes})
    step = next_step(wanted, snapshot, ())
    due = {d.entry.name for boot in drift(wanted, snapshot) for d in boot}
    applicable = {
        e.name
        for e in wanted.entries
        if limit_of(e.resource, snapshot) is None
        and not (isinstance(e.resource, Gate) and e.resource.precondition)
        and difference(wanted, e.resource, snapshot)
    }
    assert applicable <= due
    assert isinstance(step, Done) == (not due)


@given(
    wanted=plans(), ledger=st.lists(st.sampled_from(["stretch", "reboot", "booted", "stop", "failed", "done", "retry"]))
)
def test_no_ledger_makes_a_converged_node_do_anything(wanted: Plan, ledger: list[str]) -> None:
    assert isinstance(next_step(wanted, converged(wanted), [noted(wanted, word) for word in ledger]), Done)
