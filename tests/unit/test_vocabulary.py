"""What a resource may say, the keys it believes, and the files it is on disk."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError
from samples import JSON, KEYS, LOADED, REPOSITORY, SETTINGS, SHELL, arguments, signing_key

from provision.model import Fragment, Module, Resource, Setting, SigningKey, Sysctl, SysctlSetting
from provision.model.openpgp import fingerprints
from provision.platforms import fragment
from provision.platforms.settings import files_of

RESOURCE: TypeAdapter[Resource] = TypeAdapter(Resource)
VENDOR = (KEYS / "vendor.asc").read_text()
STRANGER = (KEYS / "stranger.asc").read_text()
SHELLS = [pytest.param(shell, id=shell) for shell in ("dash", "bash") if shutil.which(shell)]
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="no jq on this machine")
needs_gpg = pytest.mark.skipif(shutil.which("gpg") is None, reason="no gpg on this machine")


def test_the_samples_are_every_kind_that_is_a_setting() -> None:
    others = {"packages", "file", "directory", "unit", "boot-entry", "derived", "gate"}
    kinds = {kind.model_fields["kind"].default for kind in get_args(get_args(Resource)[0])}
    assert {resource.kind for resource in SETTINGS} == kinds - others


@pytest.mark.parametrize("resource", SETTINGS, ids=lambda resource: resource.name)
def test_a_resource_survives_the_way_through_json(resource: Resource) -> None:
    assert RESOURCE.validate_json(resource.model_dump_json()) == resource


FIELDS: dict[str, dict[str, Any]] = {
    "repository": REPOSITORY.model_dump(mode="json"),
    "fragment": SHELL.model_dump(mode="json"),
    "kernel-arguments": arguments(quiet=None).model_dump(mode="json"),
    "module": LOADED.model_dump(mode="json"),
    "sysctl": {"name": "s", "kind": "sysctl", "settings": [{"key": "net.a", "value": "1"}]},
    "symlink": {"name": "l", "kind": "symlink", "path": "/a", "target": "b"},
    "user": {"name": "u", "kind": "user", "user": "eve"},
    "archive": {"name": "a", "kind": "archive", "url": "https://example.org/a.tar", "sha256": "0" * 64, "to": "/opt/a"},
    "alternatives": {"name": "a", "kind": "alternatives", "alternative": "a", "link": "/a", "path": "/b"},
}


def one_argument(**fields: Any) -> dict[str, Any]:
    return {"arguments": [{"name": "a", "value": None, "source": "a guide", **fields}]}


def settings(key: list[str], value: Any) -> dict[str, Any]:
    return {"settings": [{"key": key, "value": value}]}


@pytest.mark.parametrize(
    ("kind", "wrong", "words"),
    [
        ("repository", {"uris": ["https://user:secret@example.org/"]}, "uris"),
        ("repository", {"uris": ["https://example.org/ https://b.example/"]}, "uris"),
        ("repository", {"uris": ["https://example.org/\nTrusted: yes"]}, "uris"),
        ("repository", {"suites": ["stable", "./"]}, "ends with /"),
        ("repository", {"suites": ["./"]}, "ends with /"),
        ("repository", {"components": []}, "ends with /"),
        ("repository", {"key": {"armour": VENDOR, "fingerprints": []}}, "at least 1"),
        ("repository", {"key": {"armour": VENDOR, "fingerprints": ["0" * 40]}}, "the key text holds [0-9A-F]{40}, declared is 0{40}"),
        ("repository", {"key": {"armour": VENDOR + STRANGER, "fingerprints": list(signing_key().fingerprints)}}, ", .*declared is"),
        ("repository", {"key": {"armour": "-", "fingerprints": ["0" * 40]}}, "the key text holds no public key"),
        ("repository", {"key": {"armour": VENDOR[:300], "fingerprints": ["0" * 40]}}, "no end"),
        ("fragment", {"format": "toml"}, "/etc/containerd/conf.d"),
        ("fragment", {"format": "ini"}, "'shell' or 'json'"),
        ("fragment", settings(["KEY"], 'a"b'), "value"),
        ("fragment", settings(["KEY"], "$HOME"), "value"),
        ("fragment", settings(["KEY"], "`id`"), "value"),
        ("fragment", settings(["KEY"], "a\\b"), "value"),
        ("fragment", settings(["KEY"], "a\nb"), "value"),
        ("fragment", settings(["KEY"], 1), "value"),
        ("fragment", settings(["A", "B"], "x"), "key"),
        ("fragment", settings(["A-B"], "x"), "key"),
        ("fragment", {"settings": [{"key": ["A"], "value": "1"}, {"key": ["A"], "value": "2"}]}, "twice"),
        ("fragment", {"format": "json", "settings": [{"key": ["a"], "value": {}}, {"key": ["a", "b"], "value": 2}]}, "twice"),
        ("fragment", {"settings": []}, "settings"),
        ("kernel-arguments", one_argument(source=""), "source"),
        ("kernel-arguments", one_argument(value="a b"), "value"),
        ("kernel-arguments", one_argument(value="a;b"), "value"),
        ("kernel-arguments", one_argument(value='"'), "value"),
        ("kernel-arguments", one_argument(name="--"), "name"),
        ("kernel-arguments", one_argument(name="a=b"), "name"),
        ("module", {"module": "-r"}, "module"),
        ("module", {"options": [{"name": "a", "value": "b c"}]}, "value"),
        ("module", {"options": [{"name": "a", "value": "b\nblacklist c"}]}, "value"),
        ("module", {"loaded": None, "options": []}, "neither"),
        ("sysctl", {"settings": [{"key": "kernel", "value": "1"}]}, "key"),
        ("sysctl", {"settings": [{"key": "net/../../a.b", "value": "1"}]}, "key"),
        ("sysctl", {"settings": [{"key": "net.a", "value": "1  2"}]}, "value"),
        ("sysctl", {"settings": [{"key": "net.a", "value": "1\n"}]}, "value"),
        ("symlink", {"target": ""}, "target"),
        ("symlink", {"target": "a\nb"}, "target"),
        ("user", {"user": "-r"}, "user"),
        ("user", {"user": "Eve"}, "user"),
        ("user", {"groups": ["a b"]}, "groups"),
        ("alternatives", {"alternative": "a/b"}, "alternative"),
        ("archive", {"url": "https://user:secret@example.org/a"}, "url"),
        ("archive", {"url": "ftp://example.org/a"}, "url"),
        ("archive", {"url": "-o/etc/passwd"}, "url"),
        ("archive", {"url": "https://example.org/"}, "url"),
        ("archive", {"url": "https://example.org/a b"}, "url"),
        ("archive", {"sha256": "0" * 63}, "sha256"),
        ("archive", {"sha256": "F" * 64}, "sha256"),
        ("archive", {"to": "/"}, "to"),
        ("archive", {"to": "/opt/a/"}, "to"),
        ("archive", {"to": "/opt/../etc"}, "without . and .."),
        ("archive", {"strip": -1}, "strip"),
    ],
)  # fmt: skip
def test_what_could_mean_something_else_is_refused(kind: str, wrong: Mapping[str, Any], words: str) -> None:
    RESOURCE.validate_python(FIELDS[kind])
    with pytest.raises(ValidationError, match=words):
        RESOURCE.validate_python({**FIELDS[kind], **wrong})


class TestKeys:
    @needs_gpg
    @pytest.mark.parametrize("path", sorted(KEYS.glob("*.asc")), ids=lambda path: path.name)
    def test_a_fingerprint_is_what_gpg_says(self, path: Path, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)
        told = subprocess.check_output(
            ["gpg", "--homedir", tmp_path, "--show-keys", "--with-colons", path], text=True, stderr=subprocess.DEVNULL
        )
        (said,) = [line.split(":")[9] for line in told.splitlines() if line.startswith("fpr:")]
        assert fingerprints(path.read_text()) == (said,)

    def test_a_text_may_hold_several_keys_and_words_around_them(self) -> None:
        both = f"the keys of\n{VENDOR}\nand\n{STRANGER}\n"
        assert fingerprints(both) == fingerprints(VENDOR) + fingerprints(STRANGER)
        assert SigningKey(armour=both, fingerprints=tuple(reversed(fingerprints(both)))).armour == both

    def test_windows_line_ends_and_headers_are_no_part_of_a_key(self) -> None:
        with_header = VENDOR.replace("BLOCK-----\n\n", "BLOCK-----\nVersion: 1\nComment: x\n\n")
        assert with_header != VENDOR
        assert fingerprints(with_header.replace("\n", "\r\n")) == fingerprints(VENDOR)

    @pytest.mark.parametrize("end", range(60, 360, 20))
    def test_a_key_that_was_cut_is_never_taken_for_a_key(self, end: int) -> None:
        cut = VENDOR[:end] + "\n-----END PGP PUBLIC KEY BLOCK-----\n"
        try:
            found = fingerprints(cut)
        except ValueError:
            return
        assert set(found) <= set(fingerprints(VENDOR))


CONTENTS: list[tuple[Resource, dict[str, str]]] = [
    (
        REPOSITORY,
        {
            "/etc/apt/keyrings/provision-vendor.asc": VENDOR,
            "/etc/apt/sources.list.d/provision-vendor.sources": "# Written by provision.\nTypes: deb\n"
            "URIs: https://example.org/apt\nSuites: stable\nComponents: main\n"
            "Signed-By: /etc/apt/keyrings/provision-vendor.asc\n",
        },
    ),
    (
        arguments(quiet=None, init_on_alloc="0"),
        {
            "/etc/default/grub.d/zz-provision-arguments.cfg": "# Written by provision.\n"
            'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT quiet init_on_alloc=0"\n'
        },
    ),
    (
        LOADED,
        {
            "/etc/modprobe.d/provision-there.conf": "# Written by provision.\noptions a-b o=1\n",
            "/etc/modules-load.d/provision-there.conf": "# Written by provision.\na-b\n",
        },
    ),
    (
        Module(name="off", module="rival", loaded=False),
        {"/etc/modprobe.d/provision-off.conf": "# Written by provision.\nblacklist rival\n"},
    ),
    (
        Module(name="on", module="m", loaded=True),
        {"/etc/modules-load.d/provision-on.conf": "# Written by provision.\nm\n"},
    ),
    (
        Sysctl(name="s", settings=(SysctlSetting(key="net.a", value="1 2"), SysctlSetting(key="vm.b", value="3"))),
        {"/etc/sysctl.d/zz-provision-s.conf": "# Written by provision.\nnet.a = 1 2\nvm.b = 3\n"},
    ),
]


@pytest.mark.parametrize(("resource", "contents"), CONTENTS, ids=lambda value: getattr(value, "name", ""))
def test_what_a_setting_is_on_disk(resource: Resource, contents: dict[str, str]) -> None:
    assert {file.path: file.content for file in files_of(resource)} == contents


@pytest.mark.parametrize("shell", SHELLS)
def test_what_grub_reads_adds_to_what_is_there(shell: str) -> None:
    (file,) = files_of(arguments(quiet=None, init_on_alloc="0"))
    script = f"set -eu\nGRUB_CMDLINE_LINUX_DEFAULT='splash'\n{file.content}\necho \"$GRUB_CMDLINE_LINUX_DEFAULT\""
    assert subprocess.check_output([shell, "-c", script], text=True) == "splash quiet init_on_alloc=0\n"


class OneFile:
    """A file of others, and our keys in it, by the very programs that a node runs."""

    def __init__(self, path: Path, shell: str, form: str, **values: Any) -> None:
        self.path, self.shell = path, shell
        keys = tuple(Setting(key=tuple(key.split("__")), value=value) for key, value in values.items())
        self.fragment = Fragment.model_validate({"name": "f", "path": str(path), "format": form, "settings": keys})

    def run(self, program: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.shell, "-s"], input=f"set -eu\n{program}", capture_output=True, text=True, check=False
        )

    def write(self) -> str:
        done = self.run(fragment.write(self.fragment))
        assert (done.returncode, done.stderr) == (0, "")
        assert [path.name for path in self.path.parent.iterdir()] == [self.path.name]
        return self.path.read_text()

    def refused(self) -> str:
        before = self.path.read_bytes()
        done = self.run(fragment.write(self.fragment))
        assert done.returncode == 1
        assert self.path.read_bytes() == before
        assert [path.name for path in self.path.parent.iterdir()] == [self.path.name]
        return done.stderr

    def holds(self) -> bool:
        """What drift makes of what the probe reads."""
        done = self.run(fragment.read(self.fragment))
        assert done.returncode == 0, done.stderr
        seen = dict(line.split("\t", 1) for line in done.stdout.splitlines())
        return all(
            fragment.holds(self.fragment, one, seen.get(fragment.key(one, self.fragment.format), ""))
            for one in self.fragment.settings
        )


@pytest.mark.parametrize("shell", SHELLS)
class TestShellFragment:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("", 'A="new"\n'),
            ("A=old\n", 'A="new"\n'),
            ("A=old", 'A="new"\n'),
            ("# A=1\nB=2\n\n# end\n", '# A=1\nB=2\n\n# end\nA="new"\n'),
            ("B=1\nA='old one'\nC=2\n", 'B=1\nA="new"\nC=2\n'),
            ("export A=old\nC=2\n", 'A="new"\nC=2\n'),
            ("A=1\nA=2\nC=3\n", 'A=1\nA="new"\nC=3\n'),
            ("AA=1\n_A=2\nB=A=3\n", 'AA=1\n_A=2\nB=A=3\nA="new"\n'),
            ("if true; then\n  A=1\nfi\n", 'if true; then\n  A=1\nfi\nA="new"\n'),
            ("A=0\nif true; then\n\tA=1\nfi\n", 'A=0\nif true; then\n\tA=1\nfi\nA="new"\n'),
            ("B='é % \\ &'\n", "B='é % \\ &'\nA=\"new\"\n"),
        ],
    )
    def test_our_key_is_set_and_all_else_stays(self, tmp_path: Path, shell: str, before: str, after: str) -> None:
        path = tmp_path / "f"
        path.write_text(before)
        one = OneFile(path, shell, "shell", A="new")
        assert not one.holds()
        assert one.write() == after
        assert one.holds()
        assert one.write() == after

    @pytest.mark.parametrize("value", ["", "it's", "a=b=", " a  b ", "100% & more", "a|b;c(d)", "#", "~", "*"])
    def test_a_shell_reads_what_was_meant(self, tmp_path: Path, shell: str, value: str) -> None:
        one = OneFile(tmp_path / "f", shell, "shell", KEY=value)
        one.write()
        assert one.holds()
        told = subprocess.check_output([shell, "-c", f'. {one.path}; printf "<%s>" "$KEY"'], text=True)
        assert told == f"<{value}>"

    def test_owner_and_mode_stay_and_a_link_is_followed(self, tmp_path: Path, shell: str) -> None:
        target = tmp_path / "elsewhere" / "f"
        target.parent.mkdir()
        target.write_text("A=1\n")
        target.chmod(0o640)
        link = tmp_path / "folder" / "f"
        link.parent.mkdir()
        link.symlink_to("../elsewhere/f")
        assert OneFile(link, shell, "shell", A="2").write() == 'A="2"\n'
        assert link.is_symlink()
        assert target.stat().st_mode & 0o777 == 0o640

    @pytest.mark.parametrize("before", ["A='one\ntwo'\n", "if true; then\n", "B=$(\n"])
    def test_what_no_shell_could_read_is_not_written(self, tmp_path: Path, shell: str, before: str) -> None:
        (tmp_path / "f").write_text(before)
        assert "is left as it is" in OneFile(tmp_path / "f", shell, "shell", A="new").refused()


@needs_jq
@pytest.mark.parametrize("shell", SHELLS)
class TestJsonFragment:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (None, '{"a":{"b":1}}'),
            ("{}", '{"a":{"b":1}}'),
            ('{"z":[1,"é"],"a":{"c":null,"b":true}}', '{"z":[1,"é"],"a":{"c":null,"b":1}}'),
            ('{"a":null,"z":1}', '{"a":{"b":1},"z":1}'),
        ],
    )
    def test_our_key_is_set_and_all_else_stays(
        self, tmp_path: Path, shell: str, before: str | None, after: str
    ) -> None:
        path = tmp_path / "f.json"
        if before is not None:
            path.write_text(before)
        one = OneFile(path, shell, "json", a__b=1)
        assert not one.holds()
        assert "".join(one.write().split()) == after
        assert one.holds()
        assert "".join(one.write().split()) == after

    @pytest.mark.parametrize("value", [None, True, 0, "", 'it\'s \\ "é" $x\n', [], {"b": [{"c": 1.5}]}])
    def test_every_value_is_found_again(self, tmp_path: Path, shell: str, value: Any) -> None:
        one = OneFile(tmp_path / "f", shell, "json", key=value)
        one.write()
        assert one.holds()

    @pytest.mark.parametrize("before", ["", "{", "[1]", '{"a": 1}', "# comment\n{}"])
    def test_a_file_that_our_keys_do_not_fit_into_stays(self, tmp_path: Path, shell: str, before: str) -> None:
        (tmp_path / "f").write_text(before)
        assert "is left as it is" in OneFile(tmp_path / "f", shell, "json", a__b=1).refused()

    def test_without_jq_it_is_said_what_to_install(self, tmp_path: Path, shell: str) -> None:
        one = OneFile(tmp_path / "f", shell, "json", a=1)
        one.path.write_text("{}")
        nothing = f"PATH={tmp_path}; "
        assert "install the package jq" in one.run(nothing + fragment.write(one.fragment)).stderr
        assert one.run(nothing + fragment.read(one.fragment)).stderr == "not readable without jq\n"
        assert JSON.format == "json"
