"""Inventories: the one place before any connection, so a wrong one ends here, in one paragraph and with exit code 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from samples import noted, plan

from provision.catalog import load
from provision.inventory import REBOOT_RETRIES, WrongInventory, host_spec, read_inventory
from provision.ledger import STATE_VARIABLE, Ledger
from provision.planning.rooms import PATH_VARIABLE

GPU = next(gpu.name for gpu in load().gpus if gpu.name == "GH200")
GOOD = 'os="debian13", arch="x86_64", gpu="H100"'
ROLE = """
from typing import ClassVar
from pydantic import Field
from provision.planning import Role

class Extra(Role):
    '''Something of the site.'''
    component: ClassVar[str] = "extra"
    size: int = Field(default=1, ge=0)

    def resources(self, ctx):
        return iter(())
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project to work in, with one role of its own."""
    (tmp_path / "roles" / "extra").mkdir(parents=True)
    (tmp_path / "roles" / "extra" / "spec.py").write_text(ROLE)
    (tmp_path / "inventories").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    monkeypatch.delenv(STATE_VARIABLE, raising=False)
    return tmp_path


def written(site: Path, text: str) -> Path:
    path = site / "inventories" / "fleet.py"
    path.write_text("from provision import fleet\n" + dedent(text))
    return path


def mistakes(site: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(WrongInventory) as caught:
        read_inventory(written(site, text))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("No machine was touched.")
    return caught.value.mistakes


def groups(site: Path, text: str) -> Mapping[str, Any]:
    """What an engine sees in the file."""
    path = written(site, text)
    namespace: dict[str, Any] = {"__file__": str(path)}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    return namespace


class TestAGoodOne:
    def test_every_host_has_its_declaration(self, site: Path) -> None:
        specs = read_inventory(
            written(
                site,
                f"""
                one = fleet(["a", ("b", {{"reboots": "staged"}})], {GOOD}, features=["containers"], sudo=True)
                two = fleet(["c"], os="debian12", arch="aarch64", gpu="{GPU}")
                """,
            )
        )
        assert list(specs) == ["a", "b", "c"]
        assert (specs["a"].reboots, specs["b"].reboots) == ("single", "staged")
        assert specs["a"].features == ("containers",)
        assert (specs["c"].os, specs["c"].driver) == ("debian12", None)

    def test_pyinfra_gets_hosts_and_data(self, site: Path) -> None:
        hosts, data = groups(site, f'one = fleet(["a"], {GOOD}, ssh_user="me", sudo=True, sudo_user="you")')["one"]
        ((name, own),) = hosts
        assert (name, own["ssh_user"], data) == ("a", "me", {"_sudo": True, "_sudo_user": "you"})
        assert host_spec(name, own).gpu == "H100"

    def test_a_host_may_differ_in_how_to_become_root_too(self, site: Path) -> None:
        hosts, _data = groups(site, f'one = fleet(["a", ("b", {{"sudo": True}})], {GOOD})')["one"]
        assert [own.get("_sudo") for _name, own in hosts] == [None, True]

    def test_paths_are_relative_to_the_file(self, site: Path) -> None:
        paths = 'ssh_key="keys/id", ssh_config_file="/etc/x", ssh_known_hosts_file="~/k"'
        hosts, _ = groups(site, f'one = fleet(["a"], {GOOD}, {paths})')["one"]
        own = hosts[0][1]
        assert own["ssh_key"] == str(site / "inventories" / "keys" / "id")
        assert own["ssh_config_file"] == "/etc/x"
        assert own["ssh_known_hosts_file"] == str(Path.home() / "k")

    def test_role_variables_reach_their_role(self, site: Path) -> None:
        specs = read_inventory(written(site, f'one = fleet(["a", ("b", {{"extra_size": 3}})], {GOOD}, extra_size=2)'))
        assert [specs[name].variables for name in "ab"] == [{"extra": {"size": 2}}, {"extra": {"size": 3}}]

    def test_only_a_node_whose_reboot_nobody_saw_the_end_of_is_waited_for(self, site: Path) -> None:
        Ledger("a").add(noted(plan(), "reboot"))
        hosts, _ = groups(site, f'one = fleet(["a", "b"], {GOOD})')["one"]
        waits = {name: {key: own[key] for key in REBOOT_RETRIES if key in own} for name, own in hosts}
        assert waits == {"a": REBOOT_RETRIES, "b": {}}

    def test_no_machine_is_asked_for_anything(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def forbidden(*_: Any, **__: Any) -> None:
            raise AssertionError("a connection")

        for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
            monkeypatch.setattr(socket, name, forbidden)
        monkeypatch.setattr(subprocess, "Popen", forbidden)
        assert list(read_inventory(written(site, f'one = fleet(["a", "b.example.org", "192.0.2.1"], {GOOD})'))) == [
            "a", "b.example.org", "192.0.2.1",
        ]  # fmt: skip

    def test_the_shipped_ones_are_good(self, site: Path) -> None:
        for path in (Path(__file__).parents[2] / "inventories").glob("*.py"):
            assert read_inventory(path)


class TestPlainPyinfra:
    """A group as pyinfra's own users write it: no `fleet`, the keys as host or group data."""

    def test_a_tuple_of_hosts_and_data_is_taken(self, site: Path) -> None:
        text = """
            data = {"os": "debian13", "arch": "x86_64", "ssh_user": "me", "_sudo": True, "our_own_thing": object()}
            one = (["a", ("b", {"arch": "aarch64", "extra_size": 4}), "@ssh/c"], data)
            two = [("d", {"os": "debian12", "arch": "x86_64"})]
            _hidden = (["e"], {})
            """
        specs = read_inventory(written(site, text))
        assert {name: (spec.os, spec.arch) for name, spec in specs.items()} == {
            "a": ("debian13", "x86_64"),
            "b": ("debian13", "aarch64"),
            "c": ("debian13", "x86_64"),
            "d": ("debian12", "x86_64"),
        }
        assert specs["b"].variables == {"extra": {"size": 4}}

    def test_a_misspelt_key_is_told(self, site: Path) -> None:
        assert mistakes(site, 'one = (["a"], {"os": "debian13", "arch": "x86_64", "drivers": "580"})') == (
            "a: 'drivers' is not a key, did you mean 'driver'?",
        )

    def test_a_missing_one_too(self, site: Path) -> None:
        assert mistakes(site, 'one = ["a", "b"]') == (
            "a: os is missing", "a: arch is missing", "b: os is missing", "b: arch is missing",
        )  # fmt: skip

    def test_both_kinds_stand_in_one_file(self, site: Path) -> None:
        text = f"""
            one = fleet(["a"], {GOOD}, drivr="580")
            two = (["b"], {{"os": "debian13", "arch": "x86-64"}})
            """
        first, second = mistakes(site, text)
        assert first == "'drivr' is not a key, did you mean 'driver'?"
        assert second.startswith("b: arch='x86-64': ")


class TestAWrongOne:
    def test_every_mistake_of_every_fleet_is_told_at_once(self, site: Path) -> None:
        told = mistakes(
            site,
            f"""
            one = fleet(["a", "bad host", "a"], os="debian13", arch="x86_64", drvier="580", featurs=["rdma"])
            two = fleet(["b"], arch="x86_64")
            three = fleet([("c", {{"cuda": 13.0}}), "d"], {GOOD}, extra_size=-1)
            """,
        )
        assert told[:4] == (
            "'bad host' is not a host name",
            "host 'a' is named twice",
            "'drvier' is not a key, did you mean 'driver'?",
            "'featurs' is not a key, did you mean 'features'?",
        )
        assert "os is missing" in told
        assert any("H1000" in text for text in told) or "os is missing" in told
        assert "c: cuda=13.0: a text belongs there, in quotes: '13.0'" in told
        assert "extra_size=-1: it must be 0 or more" in told

    def test_the_paragraph_names_the_file_and_counts(self, site: Path) -> None:
        with pytest.raises(WrongInventory) as caught:
            read_inventory(written(site, f'one = fleet(["a"], {GOOD}, drvier="580")'))
        assert str(caught.value) == (
            f"{site}/inventories/fleet.py: 1 mistake: 'drvier' is not a key, did you mean 'driver'?. "
            "No machine was touched."
        )

    @pytest.mark.parametrize("gpu", ["H1000", "RTX", "gh20O"])
    def test_an_unknown_gpu_is_told(self, site: Path, gpu: str) -> None:
        (told,) = mistakes(site, f'one = fleet(["a"], os="debian13", arch="x86_64", gpu="{gpu}")')
        assert repr(gpu) in told
        assert "is not in the catalog" in told

    def test_with_one_that_looks_like_it(self, site: Path) -> None:
        (told,) = mistakes(site, 'one = fleet(["a"], os="debian13", arch="x86_64", gpu="gh20O")')
        assert "did you mean" in told
        assert GPU in told

    def test_an_unknown_operating_system_is_told(self, site: Path) -> None:
        (told,) = mistakes(site, 'one = fleet(["a"], os="debian14", arch="x86_64")')
        assert "debian14" in told
        assert "debian13" in told

    @pytest.mark.parametrize(
        "name",
        ["", "-oProxyCommand=reboot", "a b", "a\\n", "a/../b", "@docker/x", "a;reboot", "$(id)", "é", "a.", "../x"],
    )
    def test_a_host_name_is_a_host_name(self, site: Path, name: str) -> None:
        assert mistakes(site, f'one = fleet(["{name}"], {GOOD})')[0].endswith("is not a host name")

    @pytest.mark.parametrize("host", ["1", "None", "(1, {})", '("a",)', '("a", "b")', '["a"]'])
    def test_a_host_that_is_no_host_is_told(self, site: Path, host: str) -> None:
        assert "is not a host name" in mistakes(site, f"one = fleet([{host}], {GOOD})")[0]

    def test_a_name_instead_of_a_list_is_told(self, site: Path) -> None:
        assert mistakes(site, f'one = fleet("gh200-01", {GOOD})') == ("hosts are a list: ['gh200-01']",)

    def test_a_fleet_without_hosts_and_a_file_without_fleets(self, site: Path) -> None:
        assert mistakes(site, f"one = fleet([], {GOOD})") == ("a fleet without hosts",)
        assert mistakes(site, "") == ("it declares no host",)

    @pytest.mark.parametrize("value", ['"1; reboot"', '"$(id)"', "580", "None, cuda=[]", '"1\\n"'])
    def test_hostile_values_end_here(self, site: Path, value: str) -> None:
        assert mistakes(site, f'one = fleet(["a"], {GOOD}, driver={value})')

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("one = fleet(", "it fails with SyntaxError"),
            ("import there_is_no_such_module", "it fails with ModuleNotFoundError"),
            ("fleet()", "it fails with TypeError"),
            ("raise SystemExit(3)", "it ends itself with exit code 3"),
        ],
    )
    def test_a_file_that_fails_is_told(self, site: Path, text: str, told: str) -> None:
        assert mistakes(site, text)[0].startswith(told)

    def test_a_file_that_is_not_there_is_told(self, site: Path) -> None:
        for path in (site / "absent.py", site):
            with pytest.raises(WrongInventory, match="cannot be read: "):
                read_inventory(path)

    def test_a_broken_role_is_told(self, site: Path) -> None:
        (site / "roles" / "extra" / "spec.py").write_text("1/0")
        (told,) = mistakes(site, f'one = fleet(["a"], {GOOD})')
        assert told == f"{site}/roles/extra/spec.py cannot be read: ZeroDivisionError: division by zero"

    def test_what_no_set_of_versions_fits_is_told(self, site: Path) -> None:
        (told,) = mistakes(site, f'one = fleet(["a"], {GOOD}, driver="9999999")')
        assert "nothing fits" in told


class TestWithPyinfra:
    """pyinfra itself reads the file, in a process of its own."""

    def pyinfra(self, site: Path, text: str) -> subprocess.CompletedProcess[str]:
        path = written(site, text)
        (site / "deploy.py").write_text("open('deploy was run', 'w')\n")
        return subprocess.run(
            [sys.executable, "-m", "pyinfra", "-y", path.relative_to(site), "deploy.py"],
            cwd=site, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip

    def test_a_wrong_inventory_ends_with_exit_code_2_and_one_paragraph(self, site: Path) -> None:
        done = self.pyinfra(
            site,
            f"""
            one = fleet(["192.0.2.1"], {GOOD}, drvier="580")
            two = fleet(["192.0.2.2"], {GOOD}, gpus="H100")
            three = (["192.0.2.3"], {{"os": "debian13"}})
            """,
        )
        assert done.returncode == 2
        paragraph = [line for line in done.stderr.splitlines() if "mistake" in line]
        assert paragraph == [
            "inventories/fleet.py: 3 mistakes: 'drvier' is not a key, did you mean 'driver'?; "
            "'gpus' is not a key, did you mean 'gpu'?; 192.0.2.3: arch is missing. No machine was touched."
        ]
        assert "Traceback" not in done.stdout + done.stderr
        assert not (site / "deploy was run").exists()

    def test_so_does_a_broken_role(self, site: Path) -> None:
        (site / "roles" / "extra" / "spec.py").write_text("1/0")
        done = self.pyinfra(site, f'one = fleet(["192.0.2.1"], {GOOD})')
        assert done.returncode == 2
        assert "roles/extra/spec.py cannot be read: ZeroDivisionError" in done.stderr
        assert "Traceback" not in done.stdout + done.stderr
