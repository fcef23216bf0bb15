"""What an assertion accepts and what it refuses, asked of this machine through testinfra's local backend."""

from __future__ import annotations

import grp
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import testinfra
from samples import LOADED, SETTINGS, arguments
from testinfra.host import Host

from provision.model import (
    Archive,
    Derived,
    Directory,
    Entry,
    File,
    Fragment,
    Gate,
    GpuSetting,
    Group,
    Manual,
    Package,
    Packages,
    Plan,
    Resource,
    Setting,
    Symlink,
    Sysctl,
    SysctlSetting,
    Unit,
    User,
)
from provision.platforms.settings import files_of
from provision.steps import desired
from provision.verify import assertions
from provision.verify.assertions import (
    assert_derived,
    assert_file,
    assert_gate,
    assert_packages,
    assert_resource,
    assert_unit,
    lacking,
)

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg") is None, reason="no dpkg on this machine")
PASSWD = Path("/etc/passwd")


@pytest.fixture(scope="module")
def machine() -> Host:
    return testinfra.get_host("local://")


def asserted(host: Host, *resources: Resource) -> str:
    plan = Plan(boots=(tuple(Entry(role="test", resource=resource) for resource in resources),))
    return assert_resource(host, plan, resources[-1])


def a_gate(test: str) -> Gate:
    return Gate(name="gate", test=test, expect="the sky is blue", remedy="wait")


def test_every_kind_has_its_assertion() -> None:
    kinds = [kind.model_fields["kind"].default for kind in get_args(get_args(Resource)[0])]
    assert kinds
    assert [kind for kind in kinds if not hasattr(assertions, f"assert_{kind.replace('-', '_')}")] == []


def test_what_holds_is_told_as_evidence(machine: Host) -> None:
    content = PASSWD.read_text()
    assert "as declared" in asserted(machine, File(name="users", path="/etc/passwd", content=content, mode="644"))
    asserted(machine, Directory(name="etc", path="/etc", mode="755"))
    assert asserted(machine, a_gate("echo so it is")) == "so it is"


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        (File(name="f", path="/etc/passwd", content="other"), "has another content"),
        (File(name="f", path="/etc/passwd", content="other", mode="600"), "mode 644, not 600; .* another content"),
        (File(name="f", path="/nowhere/at/all", content=""), "/nowhere/at/all is missing"),
        (File(name="f", path="/etc", content=""), "/etc is not a file"),
        (Directory(name="d", path="/etc/passwd"), "/etc/passwd is not a directory"),
        (Directory(name="d", path="/etc", mode="700"), "/etc has mode 755, not 700"),
        (a_gate("false"), r"not so: the sky is blue$"),
        (a_gate("echo it is red; exit 3"), r"\(it is red\)"),
        (a_gate("echo hidden by this | cat; test -n \"$nothing\"; true"), "the sky is blue"),
        (a_gate("false; true"), "the sky is blue"),
        (a_gate("echo \"it's 100%s red\" >&2; exit 1"), r"\(it's 100%s red\)"),
    ],
)  # fmt: skip
def test_what_differs_is_told(machine: Host, resource: Resource, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        asserted(machine, resource)


def unpacked(folder: Path) -> Archive:
    """An archive that lies in this folder."""
    archive = Archive(name="a", url="https://example.org/a.tar", sha256="0" * 64, to=str(folder))
    folder.mkdir()
    (stamp,) = files_of(archive)
    Path(stamp.path).write_text(stamp.content)
    return archive


def here(folder: Path) -> tuple[tuple[Resource, str], ...]:
    """Resources as this machine has them, and how each is told when it is not."""
    root = pwd.getpwuid(0)
    (folder / "link").symlink_to("../some where")
    (folder / "defaults").write_text("# A=0\nA=1\nB='two words'; export A=\"it's 3\"\n")
    (folder / "daemon.json").write_text('{"a": {"b.c": [1, true]}, "d": null}')
    shell = (Setting(key=("A",), value="it's 3"), Setting(key=("B",), value="two words"))
    json = (Setting(key=("a", "b.c"), value=[1, True]), Setting(key=("d",), value=None))
    return (
        (Symlink(name="l", path=str(folder / "link"), target="../some where"), "leads to"),
        (Fragment(name="s", path=str(folder / "defaults"), format="shell", settings=shell), "A in .* is"),
        (Fragment(name="j", path=str(folder / "daemon.json"), format="json", settings=json), "b.c in .* is"),
        (Group(name="g", group=grp.getgrgid(0).gr_name), "there is no group"),
        (User(name="u", user=root.pw_name, groups=(grp.getgrgid(0).gr_name,), shell=root.pw_shell), "has the shell"),
        (Manual(name="p", title="it is done", instruction="do it", test="echo done"), "not so: it is done"),
        (unpacked(folder / "tool"), "another content"),
    )


ARCHIVE, WATTS = (next(one for one in SETTINGS if one.name == name) for name in ("tool", "watts"))
WRONG: tuple[dict[str, object], ...] = (
    {"target": "../some"},
    {"settings": (Setting(key=("A",), value="1"),)},
    {"settings": (Setting(key=("a", "b.c"), value=[True, True]),)},
    {"group": "no-such-group"},
    {"shell": "/no/such/shell"},
    {"test": "echo no; false"},
    {"sha256": "1" * 64},
)


def test_settings_are_asserted_by_other_means_than_they_are_read(machine: Host, tmp_path: Path) -> None:
    for (resource, told), wrong in zip(here(tmp_path), WRONG, strict=True):
        asserted(machine, resource)
        with pytest.raises(AssertionError, match=told):
            asserted(machine, resource.model_copy(update=wrong))


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        (SETTINGS[0], "provision-vendor.asc is missing"),
        (SETTINGS[1], "/srv/it's is missing"),
        (SETTINGS[2], "/usr/bin/tool does not lead to /etc/alternatives/tool; .*is not chosen by hand"),
        (SETTINGS[3], "/etc/default/x is missing"),
        (arguments(quiet=None), "provision-arguments.cfg is missing"),
        (LOADED, "provision-there.conf is missing"),
        (Sysctl(name="s", settings=(SysctlSetting(key="net.a", value="1"),)), "provision-s.conf is missing"),
        (User(name="u", user="no-such-user"), "there is no user"),
        (ARCHIVE, "/opt/it's a tool is missing"),
        (WATTS, "provision-watts.conf is missing"),
        pytest.param(
            GpuSetting(name="e", setting="ecc", value="enabled"),
            "nvidia-smi does not answer: .*not found",
            marks=pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has one"),
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_setting_that_is_not_there_is_told(machine: Host, resource: Resource, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        asserted(machine, resource)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("x quiet a=1", []),
        ("a=1 quiet a=2", ["a=1 is overruled by a later word on the kernel's command line"]),
        ("a=2 a=1", ["quiet is not on the kernel's command line"]),
    ],
)
def test_the_last_word_on_a_command_line_counts(words: str, told: list[str]) -> None:
    assert lacking(arguments(quiet=None, a="1"), words.split()) == told


def test_a_file_reached_through_a_link_is_not_the_file(machine: Host, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(AssertionError, match="is a symlink"):
        assert_file(machine, File(name="f", path=str(tmp_path / "link"), content=PASSWD.read_text()))


def test_gates_see_the_path_of_the_superuser(machine: Host) -> None:
    assert "/usr/sbin" in assert_gate(machine, a_gate("echo $PATH"))


@needs_dpkg
@pytest.mark.parametrize(
    ("package", "hold", "told"),
    [
        (Package(name="dpkg"), False, ""),
        (Package(name="dpkg", version="*.*"), False, ""),
        (Package(name="dpkg", version="9999.*"), False, "dpkg is .*, not 9999"),
        (Package(name="no-such-package-of-ours"), False, "no-such-package-of-ours is not installed"),
        (Package(name="dpkg"), True, "dpkg is not held"),
    ],
)
def test_packages(machine: Host, package: Package, hold: bool, told: str) -> None:
    resource = Packages(name="p", packages=(Package(name="base-files"), package), hold=hold)
    if not told:
        assert "base-files" in assert_packages(machine, resource)
        return
    with pytest.raises(AssertionError, match=told):
        assert_packages(machine, resource)


def test_a_derived_is_asked_for_its_stamp_and_its_outputs(
    machine: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assertions, "STAMPS", str(tmp_path))
    output = tmp_path / "output"
    derived = Derived(name="index", inputs=("/etc/passwd",), command="true", outputs=(str(output),))
    made_of = desired(Plan(boots=((Entry(role="test", resource=derived),),)), derived)

    def refused(told: str) -> None:
        with pytest.raises(AssertionError, match=told):
            assert_derived(machine, derived, made_of)

    refused("it was not made yet, or not finished; .*output is missing")
    output.touch()
    refused("not made yet")
    (tmp_path / "index").write_text("0123456789abcdef-0123456789abcdef\n")
    refused("its inputs should be others")
    (tmp_path / "index").write_text(f"{made_of}-0123456789abcdef\n")
    assert "made" in assert_derived(machine, derived, made_of)
    output.unlink()
    refused("output is missing")


class Properties:
    """A host whose `systemctl show` answers this."""

    def __init__(self, **properties: str) -> None:
        self.systemd_properties = properties

    def service(self, name: str) -> Properties:
        return self


@pytest.mark.parametrize(
    ("wanted", "enabled", "active", "holds"),
    [
        ((True, True), "enabled", "active", True),
        ((True, True), "static", "active", True),
        ((True, True), "disabled", "active", False),
        ((True, True), "enabled", "failed", False),
        ((True, True), "enabled", "activating", False),
        ((True, True), "masked", "active", False),
        ((True, False), "enabled", "inactive", True),
        ((False, False), "disabled", "inactive", True),
        ((False, False), "masked", "inactive", True),
        ((False, False), "enabled", "inactive", False),
        ((False, False), "disabled", "active", False),
        ((True, True), "", "inactive", False),
    ],
)
def test_units(wanted: tuple[bool, bool], enabled: str, active: str, holds: bool) -> None:
    host = Properties(LoadState="loaded", UnitFileState=enabled, ActiveState=active)
    unit = Unit(name="u", unit="some.service", enabled=wanted[0], running=wanted[1])
    check: Callable[[], str] = lambda: assert_unit(host, unit)  # noqa: E731
    if holds:
        assert check() == f"{enabled}, {active}"
        return
    with pytest.raises(AssertionError, match=r"some\.service is"):
        check()


def test_a_unit_that_does_not_exist_never_holds() -> None:
    host = Properties(LoadState="not-found", ActiveState="inactive")
    with pytest.raises(AssertionError, match="does not exist"):
        assert_unit(host, Unit(name="u", unit="some.service", enabled=False, running=False))
