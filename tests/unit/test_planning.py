"""What should be: roles found by path, put in order by sourced rules, cut into boots, arranged and united."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offers import RECORDED, recorded
from samples import RELEASE, SETTINGS, VERSION, gate

import provision
from provision.model import (
    BootEntry,
    Choice,
    Derived,
    Directory,
    Entry,
    File,
    Gate,
    NodeSpec,
    Package,
    Packages,
    Plan,
    Reason,
    Resource,
    Stack,
    Unit,
)
from provision.planning import (
    BrokenOrder,
    BrokenRole,
    Context,
    Plans,
    Role,
    Room,
    WrongVariables,
    alike,
    arrange,
    assemble,
    boot_files,
    build,
    check_order,
    in_order,
    instance,
    names_in_order,
    order,
    plan,
    rooms,
)
from provision.planning.rooms import PATH_VARIABLE, search_path
from provision.platforms import platform_for

COMPONENTS = sorted({c for rule in order().rules for c in (rule.before, rule.after)})
SHIPPED = Path(provision.__file__).parent.parent / "roles"


class AnyRole(Role):
    """A role that yields what it is told to."""

    component: ClassVar[str] = ""
    yields: tuple[Resource, ...] = ()

    def resources(self, ctx: Context) -> Iterator[Resource]:
        return iter(self.yields)


@cache
def role(component: str, *yields: Resource, follows: tuple[str, ...] = ()) -> Role:
    made: type[AnyRole] = type(f"Brings{component}", (AnyRole,), {"component": component, "follows": follows})
    return made(yields=yields)


def roles(*components: str) -> dict[str, Role]:
    return {f"role_{component}": role(component) for component in components}


def context(**keys: object) -> Context:
    spec = NodeSpec.model_validate({"os": "debian13", "arch": "x86_64", **keys})
    reason = Reason(text="because", source="a test", verified=False)
    choices = {name: Choice(component=name, version=v, reasons=(reason,)) for name, v in (("kernel", RELEASE),)}
    return Context(spec=spec, stack=Stack(choices=choices), platform=platform_for(spec.os, spec.arch))


def file(name: str, after: str | None = None) -> File:
    return File.model_validate({"name": name, "path": f"/etc/{name}", "content": "", "after": after})


def packages(name: str) -> Packages:
    return Packages(name=name, packages=(Package(name=name),))


def derived(name: str, *inputs: str, also: tuple[str, ...] = ()) -> Derived:
    return Derived(name=name, inputs=inputs, also=also, command=":")


def names(made: Plan) -> list[list[str]]:
    return [[entry.name for entry in boot] for boot in made.boots]


@cache
def earlier(component: str) -> frozenset[str]:
    """What must stand before a component, by the rules as they are written and what follows from them."""
    direct = {rule.before for rule in order().rules if rule.after == component}
    return frozenset(direct).union(*map(earlier, direct))


def legal(components: Sequence[str]) -> bool:
    return not any(after in earlier(before) for n, after in enumerate(components) for before in components[:n])


class TestRules:
    @pytest.mark.parametrize("rule", order().rules, ids=lambda r: f"{r.before}-{r.after}")
    def test_every_rule_says_why_on_what_it_rests_and_whether_that_was_seen(self, rule: object) -> None:
        text = rule.model_dump()  # type: ignore[attr-defined]
        assert len(text["why"]) > 20
        assert "read 20" in text["source"]
        assert isinstance(text["verified"], bool)
        assert text["before"] != text["after"]

    def test_every_component_of_a_boot_is_one_that_rules_know(self) -> None:
        assert set(order().boots) <= set(COMPONENTS)

    def test_boots_follow_the_rules(self) -> None:
        for rule in order().rules:
            assert order().boot_of(rule.before) <= order().boot_of(rule.after), rule

    def test_no_rule_stands_twice(self) -> None:
        pairs = [(rule.before, rule.after) for rule in order().rules]
        assert len(pairs) == len(set(pairs))

    def test_every_shipped_role_brings_what_the_rules_know(self) -> None:
        assert {room.role.component for room in rooms([SHIPPED]).values()} <= set(COMPONENTS)


class TestOrder:
    def test_any_five_in_any_order_are_refused_with_the_source_or_accepted(self) -> None:
        """A rule is about two; five show that it holds whatever stands between and around them."""
        accepted = 0
        cases = list(permutations(COMPONENTS, 5))
        for components in cases:
            if legal(components):
                check_order(roles(*components))
                accepted += 1
                continue
            with pytest.raises(BrokenOrder) as caught:
                check_order(roles(*components))
            told = str(caught.value)
            assert any(f"{rule.why} [{rule.source}]" in told for rule in order().rules), told
        assert 0 < accepted < len(cases)

    @pytest.mark.parametrize("rule", order().rules, ids=lambda r: f"{r.before}-{r.after}")
    def test_a_broken_rule_is_told_by_itself(self, rule: object) -> None:
        before, after, why, source = (getattr(rule, key) for key in ("before", "after", "why", "source"))
        with pytest.raises(BrokenOrder) as caught:
            check_order(roles(after, before))
        assert str(caught.value) == f"role role_{before} must stand before role_{after}: {why} [{source}]"

    def test_rules_reach_over_components_that_are_not_there(self) -> None:
        with pytest.raises(
            BrokenOrder, match=r"role_kernel must stand before role_driver: .*azhpc.*; .*gpu-driver-container"
        ):
            check_order(roles("driver", "kernel"))

    def test_reasons_are_those_that_lead_from_one_to_the_other(self) -> None:
        with pytest.raises(BrokenOrder) as caught:
            check_order(roles("driver", "kernel"))
        assert "toolkit" not in str(caught.value)

    def test_a_role_of_another_name_that_brings_the_same_is_ordered_the_same(self) -> None:
        with pytest.raises(BrokenOrder, match="role our_kernel must stand before their_driver"):
            check_order({"their_driver": role("driver"), "our_kernel": role("kernel")})

    def test_a_role_that_the_rules_do_not_know_names_what_it_follows(self) -> None:
        site = {"site": role("site", follows=("driver",)), **roles("driver", "kernel")}
        assert list(in_order(site)) == ["role_kernel", "role_driver", "site"]
        with pytest.raises(BrokenOrder, match=r"^role role_driver must stand before site: it follows driver$"):
            check_order({"site": site["site"], **roles("driver")})
        with pytest.raises(BrokenOrder, match=r"role role_kernel must stand before site: .*; it follows driver"):
            check_order({"site": site["site"], **roles("kernel")})

    def test_roles_that_wait_for_each_other_are_told(self) -> None:
        both = {"one": role("a", follows=("b",)), "two": role("b", follows=("a",)), "free": role("c")}
        with pytest.raises(BrokenOrder, match="no order fits one, two: each follows another of them"):
            in_order(both)

    def test_a_plan_in_a_broken_order_cannot_be_built(self) -> None:
        with pytest.raises(BrokenOrder):
            build(context(), roles("driver", "modules"))

    @given(st.permutations([*COMPONENTS, "other", "another"]))
    def test_in_order_breaks_no_rule_and_loses_no_role(self, components: list[str]) -> None:
        sorted_roles = in_order(roles(*components))
        check_order(sorted_roles)
        assert set(sorted_roles) == set(roles(*components))

    @given(st.permutations([*COMPONENTS, "other", "another"]))
    def test_what_breaks_no_rule_stays_as_given(self, components: list[str]) -> None:
        once = in_order(roles(*components))
        assert list(in_order(once)) == list(once)
        if legal(components):
            assert list(once) == list(roles(*components))

    @given(st.data())
    def test_any_part_of_the_roles_can_be_ordered(self, data: st.DataObject) -> None:
        some = data.draw(st.lists(st.sampled_from(COMPONENTS), unique=True))
        check_order(in_order(roles(*some)))


class TestBoots:
    ROLES: ClassVar[dict[str, Role]] = {
        "preflight": role("preflight", gate("room", precondition=True)),
        "kernel": role("kernel", packages("linux"), gate("kernel-runs", after="kernel"),
                       BootEntry(name="entry", release=RELEASE, after="kernel")),
        "modules": role("modules", packages("modules"), derived("module-build", "modules"),
                        gate("loaded", after="driver")),
        "driver": role("driver", file("at-boot"), packages("driver")),
        "toolkit": role("toolkit", packages("toolkit")),
    }  # fmt: skip

    def test_single_builds_everything_first_and_reboots_once(self) -> None:
        assert names(build(context(reboots="single"), self.ROLES)) == [
            ["room", "at-boot", "linux", "modules", "driver", "toolkit", "module-build"],
            ["kernel-runs", "entry", "loaded"],
        ]

    def test_staged_reboots_after_the_kernel_and_after_the_driver(self) -> None:
        assert names(build(context(reboots="staged"), self.ROLES)) == [
            ["room", "linux"],
            ["kernel-runs", "at-boot", "modules", "driver", "entry", "module-build"],
            ["loaded", "toolkit"],
        ]

    @pytest.mark.parametrize("reboots", ["single", "staged"])
    def test_a_role_alone_is_a_plan_without_empty_boots(self, reboots: str) -> None:
        assert names(build(context(reboots=reboots), {"driver": self.ROLES["driver"]})) == [["at-boot", "driver"]]

    @pytest.mark.parametrize("reboots", ["single", "staged"])
    def test_no_role_is_an_empty_plan(self, reboots: str) -> None:
        assert build(context(reboots=reboots), {}).boots == ()

    @pytest.mark.parametrize("reboots", ["single", "staged"])
    def test_every_resource_stands_once_under_its_role(self, reboots: str) -> None:
        made = build(context(reboots=reboots), self.ROLES)
        told = {(e.role, e.name) for e in made.entries}
        assert told == {(n, r.name) for n, one in self.ROLES.items() for r in one.resources(context())}


class TestArrange:
    KINDS = (
        gate("g1", precondition=True), gate("g2"), file("f1"), packages("p1"), derived("d1", "p1"), gate("g3"),
        Directory(name="dir", path="/d"), Unit(name="u", unit="a.service"), packages("p2"), file("f2"),
    )  # fmt: skip

    def test_opening_gates_settings_one_transaction_then_the_rest_in_order(self) -> None:
        boot = arrange(Entry(role="r", resource=r) for r in self.KINDS)
        assert [e.name for e in boot] == ["g1", "g2", "f1", "dir", "f2", "p1", "p2", "d1", "g3", "u"]

    def test_what_is_asked_before_any_change_is_shown_before_any(self) -> None:
        kinds = (gate("g1"), file("f1"), packages("p1"), gate("g2"), gate("asked", precondition=True))
        boot = arrange(Entry(role="r", resource=r) for r in kinds)
        assert [e.name for e in boot] == ["g1", "asked", "f1", "p1", "g2"]

    def test_what_package_scripts_read_stands_before_them_and_what_packages_bring_after(self) -> None:
        boot = arrange(Entry(role="r", resource=r) for r in (file("f1"), packages("p1"), *SETTINGS))
        told = [e.name for e in boot]
        before = ["f1", "vendor", "arguments", "kept-out", "tuned"]
        assert told[:6] == [*before, "p1"]
        assert told[6:] == [r.name for r in SETTINGS if r.name not in before]

    def test_what_a_person_must_do_first_stays_first(self) -> None:
        kinds = (gate("g1"), SETTINGS[-1], file("f1"), packages("p1"))
        assert [e.name for e in arrange(Entry(role="r", resource=r) for r in kinds)] == ["g1", "enrolled", "f1", "p1"]

    @given(st.permutations(KINDS))
    def test_nothing_is_lost_and_each_kind_keeps_its_order(self, kinds: list[Resource]) -> None:
        boot = [e.resource for e in arrange(Entry(role="r", resource=r) for r in kinds)]
        assert sorted(r.name for r in boot) == sorted(r.name for r in kinds)
        for kind in ({"file", "directory"}, {"packages"}, {"derived", "unit"}):
            assert [r for r in boot if r.kind in kind] == [r for r in kinds if r.kind in kind]
        assert arrange(Entry(role="r", resource=r) for r in boot) == tuple(Entry(role="r", resource=r) for r in boot)

    def test_an_empty_boot_stays_empty(self) -> None:
        assert arrange(()) == ()


class FilesOfBoot(AnyRole):
    """A role whose resources end with what follows from a change of the boot's files."""

    def resources(self, ctx: Context) -> Iterator[Resource]:
        yield from self.yields
        yield from boot_files(ctx, inputs=tuple(r.name for r in self.yields if not isinstance(r, Gate)))


def changes_boot(component: str, *yields: Resource) -> Role:
    return type("Changes", (FilesOfBoot,), {"component": component})(yields=yields)


class TestUnited:
    ROLES: ClassVar[dict[str, Role]] = {
        "kernel": changes_boot("kernel", packages("linux")),
        "ofed": changes_boot("ofed", packages("ofed"), derived("ofed-build", "ofed")),
        "modules": changes_boot("modules", file("rivals"), packages("nvidia"), derived("build", "nvidia")),
        "driver": role("driver", gate("one-version")),
    }

    def inputs(self, made: Plan, name: str) -> set[str]:
        resource = made.by_name[name].resource
        assert isinstance(resource, Derived)
        return set(resource.inputs)

    def test_single_has_one_initrd_one_check_one_menu_after_all_their_causes(self) -> None:
        made = build(context(reboots="single"), self.ROLES)
        (boot,) = names(made)
        assert boot == [
            "rivals", "linux", "ofed", "nvidia", "ofed-build", "build", "initrd", "boot-files", "boot-menu",
            "one-version",
        ]  # fmt: skip
        assert self.inputs(made, "initrd") == {"linux", "ofed", "ofed-build", "rivals", "nvidia", "build"}
        assert self.inputs(made, "boot-menu") == {"initrd"}

    def test_staged_has_one_of_each_per_boot_with_the_inputs_of_that_boot(self) -> None:
        made = build(context(reboots="staged"), self.ROLES)
        first, second = names(made)
        assert first == ["linux", "initrd", "boot-files", "boot-menu"]
        assert [name for name in second if name.startswith(("initrd", "boot-"))] == [
            "initrd-2",
            "boot-files-2",
            "boot-menu-2",
        ]
        assert self.inputs(made, "initrd") == {"linux"}
        assert self.inputs(made, "initrd-2") == {"ofed", "ofed-build", "rivals", "nvidia", "build"}

    def test_the_menu_of_a_boot_follows_the_initrd_of_that_boot(self) -> None:
        made = build(context(reboots="staged"), self.ROLES)
        assert self.inputs(made, "boot-menu-2") == {"initrd-2"}

    def test_the_initrd_is_that_of_the_target_kernel(self) -> None:
        initrd = build(context(), self.ROLES).by_name["initrd"].resource
        assert isinstance(initrd, Derived)
        assert initrd.outputs == (f"/boot/initrd.img-{RELEASE}",)

    def test_only_consequences_and_gates_are_united(self) -> None:
        twice = {"kernel": role("kernel", file("same")), "driver": role("driver", file("same"))}
        for reboots in ("single", "staged"):
            with pytest.raises(ValueError, match="two resources are named 'same'"):
                build(context(reboots=reboots), twice)


class TestAlso:
    BUILD = role("modules", packages("nvidia"), derived("build", "nvidia", also=("ofed-build", "linux")))

    def test_an_optional_input_is_an_input_where_the_plan_has_it(self) -> None:
        made = build(context(), {"ofed": role("ofed", derived("ofed-build")), "modules": self.BUILD})
        resource = made.by_name["build"].resource
        assert isinstance(resource, Derived)
        assert (resource.inputs, resource.also) == (("nvidia", "ofed-build"), ())

    def test_and_none_where_it_has_not(self) -> None:
        resource = build(context(), {"modules": self.BUILD}).by_name["build"].resource
        assert isinstance(resource, Derived)
        assert (resource.inputs, resource.also) == (("nvidia",), ())

    def test_it_may_come_from_an_earlier_boot(self) -> None:
        made = build(context(reboots="staged"), {"kernel": role("kernel", packages("linux")), "modules": self.BUILD})
        resource = made.by_name["build"].resource
        assert isinstance(resource, Derived)
        assert resource.inputs == ("nvidia", "linux")

    def test_one_that_stands_behind_it_is_refused(self) -> None:
        late = {"modules": self.BUILD, "driver": role("driver", derived("ofed-build"))}
        with pytest.raises(ValueError, match="'build' derives from ofed-build, which does not stand before it"):
            build(context(), late)


ROLE = '''
"""A role."""
from typing import ClassVar
from provision.planning import Role

class One(Role):
    """{doc}"""

    component: ClassVar[str] = "{component}"
    size: int = 1

    @classmethod
    def wanted(cls, spec):
        return spec.gpu != "none of it"

    def resources(self, ctx):
        return iter(())
'''


def room(folder: Path, name: str, text: str = ROLE.format(doc="shipped", component="kernel")) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "spec.py").write_text(text)
    return folder / name


class TestRooms:
    def test_the_working_directory_comes_first_then_what_is_configured_then_what_is_installed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("roles", "a", "b"):
            (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(PATH_VARIABLE, f"{tmp_path}/b::{tmp_path}/a:{tmp_path}/absent:{tmp_path}/b")
        assert search_path() == (*(tmp_path / name for name in ("roles", "b", "a")), SHIPPED)

    def test_in_the_checkout_itself_its_roles_are_found_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(SHIPPED.parent)
        monkeypatch.delenv(PATH_VARIABLE, raising=False)
        assert search_path() == (SHIPPED,)
        assert all(room.shadows == () for room in rooms().values())

    def test_a_site_adds_and_shadows_roles_without_a_fork(self, tmp_path: Path) -> None:
        site, shipped = tmp_path / "site", tmp_path / "shipped"
        ours = room(site, "kernel_64k", ROLE.format(doc="ours", component="kernel"))
        theirs = room(shipped, "kernel_64k")
        added = room(site, "site_extra")
        found = rooms([site, shipped])
        assert list(found) == ["kernel_64k", "site_extra"]
        assert (found["kernel_64k"].path, found["kernel_64k"].shadows) == (ours, (theirs,))
        assert found["kernel_64k"].role.__doc__ == "ours"
        assert (found["site_extra"].path, found["site_extra"].shadows) == (added, ())

    def test_a_folder_without_a_spec_is_no_role(self, tmp_path: Path) -> None:
        (tmp_path / "notes").mkdir()
        (tmp_path / "spec.py").write_text("1/0")
        assert rooms([tmp_path]) == {}

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("class Half(", "cannot be read: SyntaxError"),
            ("import there_is_no_such_module", "cannot be read: ModuleNotFoundError"),
            ("1 / 0", "cannot be read: ZeroDivisionError"),
            ("", "must define exactly one role, it defines 0"),
            ("from provision.planning import Role", "must define exactly one role, it defines 0"),
            (ROLE + ROLE.replace("One", "Two"), "must define exactly one role, it defines 2"),
        ],
    )
    def test_a_broken_role_is_told_with_its_file(self, tmp_path: Path, text: str, told: str) -> None:
        room(tmp_path, "broken", text)
        with pytest.raises(BrokenRole) as caught:
            rooms([tmp_path])
        assert str(caught.value).startswith(f"{tmp_path / 'broken' / 'spec.py'} ")
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_shadowed_role_may_be_broken(self, tmp_path: Path) -> None:
        room(tmp_path / "site", "one")
        room(tmp_path / "shipped", "one", "1/0")
        assert list(rooms([tmp_path / "site", tmp_path / "shipped"])) == ["one"]

    def test_the_shipped_roles_are_whole(self) -> None:
        for name, found in rooms([SHIPPED]).items():
            assert found.name == name
            assert found.role.__doc__


class TestVariables:
    @pytest.fixture
    def one(self, tmp_path: Path) -> Room:
        room(tmp_path, "one")
        return rooms([tmp_path])["one"]

    def test_defaults_and_given_values(self, one: Room) -> None:
        assert instance(one, {}).model_dump() == {"size": 1}
        assert instance(one, {"size": 7}).model_dump() == {"size": 7}

    def test_every_wrong_one_is_named_as_it_stands_in_an_inventory(self, one: Room) -> None:
        with pytest.raises(WrongVariables) as caught:
            instance(one, {"size": "big", "colour": "red"})
        assert "one_size='big': a whole number" in str(caught.value)
        assert "'one_colour' is not a key" in str(caught.value)

    def test_only_roles_that_are_wanted_are_planned(self, one: Room) -> None:
        assert plan(context(gpu="none of it", variables={"one": {"size": "big"}}), {"one": one}) == Plan(boots=())
        with pytest.raises(WrongVariables):
            plan(context(variables={"one": {"size": "big"}}), {"one": one})


class TestAlike:
    def test_identical_nodes_are_resolved_once(self) -> None:
        one, two = (NodeSpec(os="debian13", arch="x86_64", driver=v) for v in (None, VERSION))
        again = NodeSpec.model_validate({"os": "debian13", "arch": "x86_64", "reboots": "single"})
        assert alike({"a": one, "b": two, "c": again}) == ((one, ("a", "c")), (two, ("b",)))

    def test_nodes_that_say_the_same_share_a_plan_and_no_others(self) -> None:
        spec = NodeSpec(os="debian13", arch="x86_64", gpu="H100")
        staged = spec.model_copy(update={"reboots": "staged"})
        reading = recorded(RECORDED[0])
        twin = reading.model_copy(update={"node": "b", "machine_id": "1" * 32, "boot_id": "another"})
        other = recorded(RECORDED[0], without="-cloud-")
        plans, found = Plans(rooms()), rooms()
        assert plans.of(spec, reading) is plans.of(spec, twin)
        for asked, said in ((spec, reading), (staged, reading), (spec, other), (spec, None)):
            assert plans.of(asked, said) == assemble(asked, found, said)
        made = {id(plans.of(*one)) for one in ((spec, reading), (staged, reading), (spec, other), (spec, None))}
        assert len(made) == 4


class TestNamesInOrder:
    """pyinfra tells operations apart by position, so all hosts go through one order, each boot in the order it has."""

    def boots(self, *parts: str) -> Plan:
        return Plan(boots=tuple(tuple(Entry(role="r", resource=gate(n)) for n in part) for part in parts))

    def kept(self, merged: Sequence[str], one: Plan) -> bool:
        return all([name for name in merged if name in boot] == boot for boot in names(one))

    @given(st.lists(st.sets(st.sampled_from("abcdefgh")), max_size=5))
    def test_plans_that_are_parts_of_one_order_keep_it(self, parts: list[set[str]]) -> None:
        plans = [self.boots("".join(sorted(part))) for part in parts]
        merged = names_in_order(plans)
        assert sorted(merged) == sorted(set().union(*parts))
        assert all(self.kept(merged, one) for one in plans)

    @given(st.permutations("abcdef"), st.integers(0, 6))
    def test_one_plan_stays_as_it_is(self, order: list[str], cut: int) -> None:
        assert names_in_order([self.boots("".join(order[:cut]), "".join(order[cut:]))]) == tuple(order)

    def test_no_name_is_lost_where_plans_contradict_each_other(self) -> None:
        assert sorted(names_in_order([self.boots("abc"), self.boots("cad")])) == list("abcd")

    def test_unlike_nodes_of_one_fleet_keep_the_order_of_every_boot_under_both_policies(self) -> None:
        found = rooms([SHIPPED])
        plans = [
            assemble(NodeSpec.model_validate({"os": os, "arch": arch, "reboots": reboots}), found).plan
            for os, arch in (("debian13", "x86_64"), ("ubuntu24.04", "aarch64"))
            for reboots in ("single", "staged")
        ]
        merged = names_in_order(plans)
        assert len(merged) == len(set(merged))
        assert all(self.kept(merged, one) for one in plans)


@pytest.mark.parametrize("reboots", ["single", "staged"])
@pytest.mark.parametrize(("os", "arch"), [("debian13", "x86_64"), ("ubuntu24.04", "aarch64")])
def test_the_shipped_roles_make_a_plan_that_knows_no_order_but_the_rules(os: str, arch: str, reboots: str) -> None:
    spec = NodeSpec.model_validate({"os": os, "arch": arch, "reboots": reboots})
    made = assemble(spec, rooms([SHIPPED])).plan
    assert len(made.boots) == (2 if reboots == "single" else 3)
    for boot in made.boots:
        assert sum(e.name.startswith("initrd") for e in boot) <= 1
        behind = [e.name for e in boot]
        for e in boot:
            if isinstance(e.resource, Derived):
                assert all(behind.index(i) < behind.index(e.name) for i in e.resource.inputs if i in behind)
    assert made.digest == assemble(spec, rooms([SHIPPED])).plan.digest


class TestRolesThatDoNotAgree:
    def test_two_roles_that_mean_different_things_by_one_name_are_told(self) -> None:
        roles = {
            "one": role("preflight", gate("settled", test="true")),
            "two": role("kernel", gate("settled", test="false")),
        }
        with pytest.raises(BrokenRole, match=r"the roles one and two mean different things by 'settled'"):
            build(context(), roles)

    def test_two_roles_that_own_one_name_are_told_in_one_sentence(self) -> None:
        roles = {"one": role("preflight", file("motd")), "two": role("kernel", file("motd"))}
        with pytest.raises(BrokenRole, match=r"one, two do not make a plan together: two resources are named 'motd'"):
            build(context(), roles)
