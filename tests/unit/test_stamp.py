"""Stamps: what makes a derived resource due again, and what must not."""

from __future__ import annotations

from typing import Any

import pytest
from samples import ALTERNATIVES, LOADED, REPOSITORY, SHELL, VERSION, arguments, gate, plan

from provision.model import BootEntry, Derived, Directory, File, Package, Packages, Plan, Resource, Unit
from provision.steps import boot_scoped, dependents, desired


def derived(name: str = "d", **fields: Any) -> Derived:
    return Derived.model_validate({"name": name, "inputs": ("f",), "command": "make", "outputs": ("/out",), **fields})


def file(**fields: Any) -> File:
    return File.model_validate({"name": "f", "path": "/f", "content": "one", **fields})


def stamp(*resources: Resource) -> str:
    """The desired digest of the last of these resources."""
    last = resources[-1]
    assert isinstance(last, Derived)
    return desired(plan(resources), last)


CHANGED: tuple[tuple[Resource, dict[str, Any]], ...] = (
    (REPOSITORY, {"suites": ("testing",)}),
    (ALTERNATIVES, {"path": "/opt/other"}),
    (SHELL, {"path": "/etc/default/y"}),
    (arguments(quiet=None), {"arguments": arguments(splash=None).arguments}),
    (LOADED, {"loaded": False}),
)

BEFORE = stamp(file(), derived())


class TestDesired:
    def test_it_is_the_same_for_the_same_meaning(self) -> None:
        assert stamp(file(), derived()) == BEFORE

    @pytest.mark.parametrize(
        "after",
        [
            (file(content="two"), derived()),
            (file(mode="600"), derived()),
            (file(path="/g"), derived()),
            (file(), derived(version=2)),
            (file(), derived(outputs=("/out", "/more"))),
            (file(), derived(inputs=("f", "/etc/x"))),
            (file(), derived(inputs=())),
            (file(), derived("other")),
        ],
    )
    def test_it_tells_of_inputs_outputs_and_version(self, after: tuple[Resource, ...]) -> None:
        assert stamp(*after) != BEFORE

    @pytest.mark.parametrize(
        "after",
        [
            (file(), derived(command="make better")),
            (file(), derived(undo="unmake")),
            (file(), derived(log="/var/log/x")),
            (file(), derived(boot_scoped=True)),
            (file(), derived(also=("unheard-of",))),
            (file(), Unit(name="u", unit="u.service"), derived()),
            (file(mode="644"), derived()),
        ],
    )
    def test_a_better_command_does_not_rebuild_a_fleet(self, after: tuple[Resource, ...]) -> None:
        assert stamp(*after) == BEFORE

    def test_the_order_of_inputs_is_no_meaning(self) -> None:
        one, two = (stamp(file(), derived(inputs=inputs)) for inputs in (("f", "/a"), ("/a", "f")))
        assert one == two

    def test_it_tells_of_inputs_of_inputs(self) -> None:
        middle = derived("middle")
        last = derived("last", inputs=("middle",))
        assert stamp(file(), middle, last) != stamp(file(content="two"), middle, last)

    @pytest.mark.parametrize(
        ("one", "two"),
        [
            (Packages(name="i", packages=(Package(name="a", version="1-*"),)),
             Packages(name="i", packages=(Package(name="a", version="2-*"),))),
            (Directory(name="i", path="/a"), Directory(name="i", path="/a", mode="700")),
            (Unit(name="i", unit="a.service"), Unit(name="i", unit="a.service", running=False)),
            (BootEntry(name="i", release="1"), BootEntry(name="i", release="2")),
            (gate("i", test="true"), gate("i", test="false")),
            *((one, one.model_copy(update=update)) for one, update in CHANGED),
        ],
    )  # fmt: skip
    def test_every_kind_can_be_an_input(self, one: Resource, two: Resource) -> None:
        assert stamp(one, derived(inputs=(one.name,))) != stamp(two, derived(inputs=(one.name,)))

    def test_a_source_in_better_words_costs_no_reboot(self) -> None:
        one = arguments(quiet=None)
        words = tuple(argument.model_copy(update={"source": "better words"}) for argument in one.arguments)
        two = one.model_copy(update={"arguments": words})
        assert stamp(one, derived(inputs=("arguments",))) == stamp(two, derived(inputs=("arguments",)))


class TestBootScoped:
    def wanted(self, cause_is_boot_scoped: bool) -> Plan:
        return plan(
            [
                file(boot_scoped=cause_is_boot_scoped),
                derived("near"),
                derived("far", inputs=("near", "/etc/x")),
                derived("own", inputs=(), boot_scoped=True),
                derived("apart", inputs=("/f",)),
            ]
        )

    def test_what_derives_from_it_is_boot_scoped_too(self) -> None:
        names = [name for name in self.wanted(True).by_name if boot_scoped(self.wanted(True), name)]
        assert names == ["f", "near", "far", "own"]

    def test_without_the_cause_only_the_declared_one_is(self) -> None:
        assert [n for n in self.wanted(False).by_name if boot_scoped(self.wanted(False), n)] == ["own"]


def test_dependents_are_the_direct_ones() -> None:
    wanted = plan([file(), derived("near"), derived("far", inputs=("near",))])
    assert [d.name for d in dependents(wanted, "f")] == ["near"]
    assert [d.name for d in dependents(wanted, "near")] == ["far"]
    assert dependents(wanted, "far") == ()


def test_a_gate_that_is_asked_takes_no_stamp_away() -> None:
    assert dependents(plan([gate("asked"), derived("made", inputs=("asked",))]), "asked") == ()


def test_a_stamp_holds_no_version_word() -> None:
    packages = Packages(name="i", packages=(Package(name="a", version=f"{VERSION}-*"),))
    assert VERSION not in stamp(packages, derived(inputs=("i",)))
