"""How far a change reaches: a hold is nobody's business, a mode is a daemon's, and only the rest takes a reboot."""

from __future__ import annotations

from typing import Any

import pytest
from samples import RELEASE, arguments, converged, gate, plan

from provision.model import (
    BootEntry,
    Derived,
    Directory,
    File,
    FileState,
    GateState,
    Module,
    Package,
    Packages,
    PackageState,
    Plan,
    Resource,
    Unit,
)
from provision.steps import Reach, Reboot, drift, next_step

PACKAGES = Packages(name="modules", packages=(Package(name="a", version="1.2-*"),), hold=True, boot_scoped=True)
OPTIONS = File(name="options", path="/etc/modprobe.d/x.conf", content="options x", boot_scoped=True)
FOLDER = Directory(name="folder", path="/etc/x.d", boot_scoped=True)
WORDS = arguments(quiet=None)
OUT_OF_REACH = Module(name="kept-out", module="rival", loaded=False, boot_scoped=True, needs=())
INITRD = Derived(name="initrd", inputs=("modules", "options"), command=":", outputs=("/boot/initrd",), boot_scoped=True)
RESTART = Derived(name="restart", inputs=("settings",), command=":")
DROP_IN = File(name="drop-in", path="/etc/systemd/system/y.service.d/z.conf", content="x", boot_scoped=True)
AGAIN = Derived(name="again", inputs=("drop-in",), command=":")
SETTINGS = File(name="settings", path="/etc/x.conf", content="one")
CDI = Derived(name="cdi", inputs=("modules", "settings"), command=":", outputs=("/var/run/cdi/x.yaml",))
BUILT = gate("built", proves=("initrd",))

EVERYTHING = plan(
    [PACKAGES, OPTIONS, FOLDER, WORDS, OUT_OF_REACH, SETTINGS, DROP_IN, INITRD, RESTART, AGAIN, BUILT],
    [CDI, Unit(name="daemon", unit="x.service"), BootEntry(name="default", release=RELEASE)],
)


def reaches(wanted: Plan, **harm: Any) -> dict[str, Reach]:
    """What is due on a machine that was as wanted and then was harmed, and how far it reaches."""
    as_wanted = converged(wanted)
    harmed = {
        name: {k: v for k, v in {**getattr(as_wanted, name), **states}.items() if v is not None}
        if isinstance(states, dict)
        else states
        for name, states in harm.items()
    }
    boots = drift(wanted, as_wanted.model_copy(update=harmed))
    return {one.entry.name: one.reach for boot in boots for one in boot}


def state_of(resource: File | Directory, **changes: str) -> dict[str, FileState]:
    return {resource.path: converged(EVERYTHING).files[resource.path].model_copy(update=changes)}


def installed(version: str, status: str) -> dict[str, PackageState]:
    return {"a": PackageState(version=version, status=status)}


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        pytest.param({"packages": installed("1.2-1", "ii")},
                     {"modules": "nothing", "built": "nothing"}, id="a hold is released"),
        pytest.param({"packages": installed("1.3-1", "hi")},
                     {"modules": "kernel", "initrd": "kernel", "built": "nothing", "cdi": "daemons"},
                     id="another version is installed"),
        pytest.param({"packages": installed("1.3-1", "ii")},
                     {"modules": "kernel", "initrd": "kernel", "built": "nothing", "cdi": "daemons"},
                     id="another version is installed and not held"),
        pytest.param({"packages": installed("1.2-1", "iF")},
                     {"modules": "kernel", "initrd": "kernel", "built": "nothing", "cdi": "daemons"},
                     id="a package is half configured"),
        pytest.param({"files": state_of(OPTIONS, mode="600")},
                     {"options": "daemons", "initrd": "daemons", "built": "nothing"}, id="another mode"),
        pytest.param({"files": state_of(OPTIONS, owner="eve")},
                     {"options": "daemons", "initrd": "daemons", "built": "nothing"}, id="another owner"),
        pytest.param({"files": state_of(OPTIONS, sha256="0" * 64)},
                     {"options": "kernel", "initrd": "kernel", "built": "nothing"}, id="another content"),
        pytest.param({"files": state_of(OPTIONS, sha256="0" * 64, mode="600")},
                     {"options": "kernel", "initrd": "kernel", "built": "nothing"}, id="another content and mode"),
        pytest.param({"files": {OPTIONS.path: None}},
                     {"options": "kernel", "initrd": "kernel", "built": "nothing"}, id="a file is lost"),
        pytest.param({"files": state_of(FOLDER, mode="700")},
                     {"folder": "daemons", "built": "nothing"}, id="another mode of a folder"),
        pytest.param({"files": {FOLDER.path: None}}, {"folder": "kernel", "built": "nothing"}, id="a folder is lost"),
        pytest.param({"files": state_of(SETTINGS, sha256="0" * 64)},
                     {"settings": "daemons", "restart": "daemons", "built": "nothing", "cdi": "daemons"},
                     id="another content of what no boot reads"),
        pytest.param({"cmdline": ""}, {"arguments": "kernel", "built": "nothing"}, id="the kernel lacks an argument"),
        pytest.param({"files": {"/boot/initrd": None}},
                     {"initrd": "daemons", "built": "nothing"}, id="what was made is lost"),
        pytest.param({"files": {"/var/run/cdi/x.yaml": None}}, {"cdi": "daemons"}, id="a CDI specification is lost"),
        pytest.param({"stamps": {"cdi": None}}, {"cdi": "daemons"}, id="a CDI specification was not finished"),
        pytest.param({"stamps": {"initrd": None}},
                     {"initrd": "kernel", "built": "nothing"}, id="an initrd was not finished"),
        pytest.param({"prints": {"initrd": "f" * 16}},
                     {"initrd": "kernel", "built": "nothing"}, id="an initrd was made of something else"),
        pytest.param({"gates": {"built": GateState(holds=False)}},
                     {"initrd": "kernel", "built": "nothing"}, id="a proof says that something is not as it was made"),
        pytest.param({"unread_units": {"y.service"}},
                     {"drop-in": "nothing", "built": "nothing"}, id="systemd has not read a drop-in"),
        pytest.param({"unread_units": {"y.service"}, "files": state_of(DROP_IN, mode="600")},
                     {"drop-in": "daemons", "again": "daemons", "built": "nothing"}, id="nor can it"),
        pytest.param({"unread_units": {"x.service"}}, {"daemon": "nothing"}, id="systemd has not read a unit"),
        pytest.param({"units": {"x.service": None}}, {"daemon": "daemons"}, id="a daemon does not run"),
        pytest.param({"default_kernel": ""}, {"default": "daemons"}, id="another kernel is the default"),
    ],
)  # fmt: skip
def test_a_change_reaches_as_far_as_what_differs(harm: dict[str, Any], found: dict[str, Reach]) -> None:
    assert reaches(EVERYTHING, **harm) == found


@pytest.mark.parametrize("kind", [PACKAGES, OPTIONS, FOLDER, OUT_OF_REACH])
def test_the_same_change_of_what_no_boot_reads_takes_no_reboot(kind: Resource) -> None:
    wanted = plan([kind.model_copy(update={"boot_scoped": False})])
    assert reaches(wanted, packages=installed("1.3-1", "hi"), files=dict.fromkeys(converged(wanted).files)) == {
        kind.name: "daemons"
    }


def test_what_is_derived_in_a_later_boot_reboots_for_nothing_of_an_earlier_one() -> None:
    here, later = plan([PACKAGES, SETTINGS, CDI]), plan([PACKAGES, SETTINGS], [CDI])
    lost = {"stamps": {"cdi": None}}
    assert reaches(here, **lost) == {"cdi": "kernel"}
    assert reaches(later, **lost) == {"cdi": "daemons"}


def test_what_derives_from_a_file_takes_up_what_it_says_even_where_that_file_alone_takes_no_reboot() -> None:
    image = INITRD.model_copy(update={"inputs": ("settings",)})
    wanted = plan([SETTINGS, image])
    content, mode = state_of(SETTINGS, sha256="0" * 64), state_of(SETTINGS, mode="600")
    assert reaches(wanted, files=content) == {"settings": "daemons", "initrd": "kernel"}
    assert reaches(wanted, files=mode) == {"settings": "daemons", "initrd": "daemons"}


def test_a_marker_that_is_there_is_obeyed_whatever_is_due() -> None:
    there = converged(EVERYTHING).model_copy(update={"reboot_due": "boot-1", "reboot_for": ("modules",)})
    assert isinstance(next_step(EVERYTHING, there, ()), Reboot)
