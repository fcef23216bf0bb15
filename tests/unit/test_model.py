"""The model: one text per meaning, strict about keys, and closed to values that could reach a shell."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from provision.model import (
    BootEntry,
    Derived,
    Directory,
    Entry,
    File,
    Frozen,
    Gate,
    NodeSpec,
    Package,
    Packages,
    PackageState,
    Plan,
    Snapshot,
    Unit,
    canonical,
    digest,
)

VERSION = "1.2.3-artificial"


def spec(**keys: Any) -> NodeSpec:
    return NodeSpec.model_validate({"os": "debian13", "arch": "x86_64", **keys})


def plan(*resources: Any) -> Plan:
    return Plan(boots=(tuple(Entry(role="some", resource=resource) for resource in resources),))


class TestCanonicalForm:
    class Old(Frozen):
        kind: Literal["thing"] = "thing"
        name: str
        tags: tuple[str, ...] = ()

    class New(Old):
        """The same model after a release that gave it four more fields."""

        colour: str = "grey"
        size: int | None = None
        parts: tuple[str, ...] = ()
        table: dict[str, str] = Field(default_factory=dict)

    def test_a_field_with_a_default_changes_nothing(self) -> None:
        assert canonical(self.New(name="a", tags=("x",))) == canonical(self.Old(name="a", tags=("x",)))

    @pytest.mark.parametrize("change", [{"colour": "red"}, {"size": 0}, {"parts": ("",)}, {"table": {"a": ""}}])
    def test_a_new_field_that_is_used_changes_it(self, change: dict[str, Any]) -> None:
        assert canonical(self.New(name="a", **change)) != canonical(self.Old(name="a"))

    def test_a_default_that_is_written_out_is_the_default(self) -> None:
        assert canonical(self.New(name="a", colour="grey", parts=())) == canonical(self.Old(name="a"))

    def test_a_kind_is_kept_because_two_kinds_may_look_alike_without_it(self) -> None:
        class Other(Frozen):
            kind: Literal["other"] = "other"
            name: str

        assert canonical(Other(name="a")) != canonical(self.Old(name="a"))

    def test_it_reaches_models_inside_of_models(self) -> None:
        class Box(Frozen):
            inside: tuple[TestCanonicalForm.Old, ...]

        class NewBox(Frozen):
            inside: tuple[TestCanonicalForm.New, ...]
            lid: bool = False

        old, new = Box(inside=(self.Old(name="a"),)), NewBox(inside=(self.New(name="a"),))
        assert digest(canonical(old)) == digest(canonical(new))

    def test_the_order_in_which_keys_and_members_were_given_is_no_meaning(self) -> None:
        one = spec(variables={"preflight": {"a": 1, "b": 2}, "other": {}})
        two = spec(variables={"other": {}, "preflight": {"b": 2, "a": 1}})
        assert canonical(one) == canonical(two)
        a, b = (
            machine(limits=frozenset(limits))
            for limits in (("boot", "hardware", "modules"), ("modules", "boot", "hardware"))
        )
        assert canonical(a) == canonical(b)

    def test_the_order_of_a_sequence_is_meaning(self) -> None:
        one, two = Package(name="a"), Package(name="b")
        assert canonical(Packages(name="p", packages=(one, two))) != canonical(Packages(name="p", packages=(two, one)))

    def test_it_is_json(self) -> None:
        assert json.loads(canonical(File(name="f", path="/a", content="x\n"))) == {
            "content": "x\n", "kind": "file", "name": "f", "path": "/a",
        }  # fmt: skip

    @given(st.text())
    def test_a_digest_is_16_hexadecimal_digits(self, text: str) -> None:
        assert len(digest(text)) == 16
        assert set(digest(text)) <= set("0123456789abcdef")

    @given(
        st.lists(st.sampled_from(["a\n", "b", "\\n", "", '"']), max_size=3), st.lists(st.text(max_size=3), max_size=3)
    )
    def test_two_meanings_never_share_a_text(self, one: list[str], two: list[str]) -> None:
        a, b = (self.Old(name="x", tags=tuple(tags)) for tags in (one, two))
        assert (canonical(a) == canonical(b)) == (a == b)

    def test_a_plan_has_the_digest_of_its_meaning(self) -> None:
        assert (
            plan(Unit(name="u", unit="a.service")).digest == plan(Unit(name="u", unit="a.service", enabled=True)).digest
        )
        assert (
            plan(Unit(name="u", unit="a.service")).digest
            != plan(Unit(name="u", unit="a.service", enabled=False)).digest
        )


class TestStrictness:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: spec(drivr=VERSION),
            lambda: Package.model_validate({"name": "a", "vers": "1"}),
            lambda: File.model_validate({"name": "f", "path": "/a", "content": "", "owner": "me"}),
            lambda: Snapshot.model_validate({**machine().model_dump(), "surprise": 1}),
        ],
    )
    def test_an_unknown_key_is_refused(self, make: Callable[[], Any]) -> None:
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            make()

    def test_nothing_can_be_changed_afterwards(self) -> None:
        one = spec()
        with pytest.raises(ValidationError, match="frozen"):
            one.os = "other1"  # type: ignore[misc]

    def test_a_pin_has_no_default(self) -> None:
        assert {key: getattr(spec(), key) for key in ("driver", "cuda", "kernel", "doca", "gcc")} == dict.fromkeys(
            ("driver", "cuda", "kernel", "doca", "gcc")
        )

    def test_a_number_is_not_taken_for_a_version(self) -> None:
        with pytest.raises(ValidationError, match="valid string"):
            spec(cuda=13.0)

    @pytest.mark.parametrize("text", ["", "debian13", "null", "13", "[]", '{"kind": "unheard-of", "name": "x"}'])
    def test_an_entry_of_an_unknown_kind_is_refused(self, text: str) -> None:
        with pytest.raises(ValidationError):
            Entry.model_validate_json('{"role": "r", "resource": ' + (text or "{}") + "}")

    def test_a_model_survives_json(self) -> None:
        one = plan(
            Packages(name="p", packages=(Package(name="a", version=f"{VERSION}-*"),), hold=True),
            File(name="f", path="/a", content="é\n", mode="0600"),
            Directory(name="d", path="/b"),
            Unit(name="u", unit="a@b.service"),
            BootEntry(name="b", release=VERSION),
            Derived(name="x", inputs=("p", "/c"), command=":", outputs=("/o",), log="/l*"),
            Gate(name="g", test="true", expect="so", remedy="wait"),
        )
        again = Plan.model_validate_json(one.model_dump_json())
        assert again == one
        assert again.digest == one.digest


SHELL_WORDS = [
    "1; reboot", "1$(reboot)", "1`reboot`", "1|sh", "1&", "1 2", "1\n2", "1\n", "1\t", "1'", '1"', "1\\", "1>x", "1<x",
    "1${IFS}x", "1/../..", "*", "1[0]", "1?", "-1", "--version", "", " 1", "1\x00", "1\u2028", "¹", "\uff11", "1" * 65,
]  # fmt: skip


class TestHostileValues:
    @pytest.mark.parametrize("key", ["driver", "cuda", "kernel", "doca", "gcc"])
    @pytest.mark.parametrize("word", SHELL_WORDS, ids=ascii)
    def test_a_version_is_version_characters_only(self, key: str, word: str) -> None:
        with pytest.raises(ValidationError, match=key):
            spec(**{key: word})

    @pytest.mark.parametrize(
        "word", ["debian13\n", "debian", "Debian13", "debian 13", "debian13;x", "$(id)13", ""], ids=ascii
    )
    def test_an_os_is_a_name_and_a_release(self, word: str) -> None:
        with pytest.raises(ValidationError, match="os"):
            spec(os=word)

    @pytest.mark.parametrize("word", ["GH200\n", "$(id)", "a;b", "a|b", "-x", "", "a/b", "a'b", "x" * 65], ids=ascii)
    def test_a_gpu_is_a_model_name(self, word: str) -> None:
        with pytest.raises(ValidationError, match="gpu"):
            spec(gpu=word)

    @pytest.mark.parametrize(
        "word", ["a b", "A", "-a", "a;b", "$(id)", "", "a_b", "a\n", "a=1", "a*", "a/b"], ids=ascii
    )
    def test_a_package_name_is_a_package_name(self, word: str) -> None:
        with pytest.raises(ValidationError):
            Package(name=word)

    @pytest.mark.parametrize("word", ["1;x", "1 2", "$(id)", "1\n", "[0-9]", "1?", "`x`", "1'"], ids=ascii)
    def test_a_package_version_is_a_pattern_of_version_characters(self, word: str) -> None:
        with pytest.raises(ValidationError):
            Package(name="a", version=word)

    @pytest.mark.parametrize("word", ["a", "", "./a", "~/a", "/a\n/b", "/a\tb", "/a\x00", "/a\x1b[31m"], ids=ascii)
    def test_a_path_is_absolute_and_one_line(self, word: str) -> None:
        for make in (lambda: File(name="f", path=word, content=""), lambda: Directory(name="d", path=word)):
            with pytest.raises(ValidationError):
                make()

    @pytest.mark.parametrize(
        "word", ["", "A", "a b", "a/b", "../a", "-a", "a_b", "a.b", "a\n", "$(id)", "ä"], ids=ascii
    )
    def test_a_resource_name_can_be_a_file_name_and_a_shell_word(self, word: str) -> None:
        with pytest.raises(ValidationError):
            Gate(name=word, test="true", expect="", remedy="")

    @pytest.mark.parametrize("word", ["", "rwx", "8", "888", "77", "07777", "644\n", "+x"], ids=ascii)
    def test_a_mode_is_octal(self, word: str) -> None:
        with pytest.raises(ValidationError):
            File(name="f", path="/a", content="", mode=word)

    @pytest.mark.parametrize(
        "word", ["a", "a.service;x", "a b.service", "$(id).service", "a.service\n", ".service"], ids=ascii
    )
    def test_a_unit_is_a_unit_name(self, word: str) -> None:
        with pytest.raises(ValidationError):
            Unit(name="u", unit=word)

    @pytest.mark.parametrize("word", ["", "x", "1 2", "1;x", "1\n", "1/x", "$(id)"], ids=ascii)
    def test_a_kernel_release_is_a_release(self, word: str) -> None:
        with pytest.raises(ValidationError):
            BootEntry(name="b", release=word)


class TestPlan:
    def test_two_resources_cannot_share_a_name(self) -> None:
        one, two = File(name="f", path="/a", content=""), File(name="f", path="/b", content="")
        with pytest.raises(ValidationError, match="two resources are named 'f'"):
            plan(one, two)

    def test_names_are_unique_over_boots_too(self) -> None:
        entry = Entry(role="r", resource=File(name="f", path="/a", content=""))
        with pytest.raises(ValidationError, match="two resources are named 'f'"):
            Plan(boots=((entry,), (entry,)))

    def test_an_input_stands_before_what_derives_from_it(self) -> None:
        cause, effect = File(name="f", path="/a", content=""), Derived(name="d", inputs=("f", "/etc/x"), command=":")
        assert plan(cause, effect).by_name["d"].resource == effect
        with pytest.raises(ValidationError, match="'d' derives from f, which does not stand before it"):
            plan(effect, cause)

    def test_nothing_derives_from_itself(self) -> None:
        with pytest.raises(ValidationError, match="'d' derives from d"):
            plan(Derived(name="d", inputs=("d",), command=":"))


class TestPackageState:
    @pytest.mark.parametrize(
        ("status", "installed", "held"),
        [("ii", True, False), ("hi", True, True), ("ri", True, False), ("iF", False, False), ("iU", False, False),
         ("iHR", False, False), ("rc", False, False), ("un", False, False), ("hF", False, True), ("", False, False)],
    )  # fmt: skip
    def test_dpkg_says_it_in_two_letters(self, status: str, installed: bool, held: bool) -> None:
        state = PackageState(version=VERSION, status=status)
        assert (state.installed, state.held) == (installed, held)


def machine(**fields: Any) -> Snapshot:
    given = {
        "os": "debian13",
        "arch": "x86_64",
        "machine_id": "m",
        "boot_id": "b1",
        "kernel": VERSION,
        "page_size": 4096,
    }
    return Snapshot.model_validate({**given, **fields})
