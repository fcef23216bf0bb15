"""What holds for any input: a wrong inventory ends in one paragraph, a strange answer is judged or refused.

`make nightly` tries each property of the unit tier with 10,000 cases and more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import gate, plan

from provision.catalog import load
from provision.inventory import CONNECTION_KEYS, OWN_KEYS, WrongInventory, read_inventory
from provision.ledger import STATE_VARIABLE
from provision.model import (
    BootEntry,
    Derived,
    Directory,
    File,
    NodeSpec,
    Package,
    Packages,
    Snapshot,
    Unit,
)
from provision.planning import rooms
from provision.probe import Unreadable, parse
from provision.steps import drift, next_step, not_applicable

DATA = Path(__file__).parent / "data"

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)

FITTING: dict[str, list[Any]] = {
    "os": ["debian13", "ubuntu24.04", "rhel9"],
    "arch": ["x86_64", "aarch64"],
    "gpu": [gpu.name for gpu in load().gpus],
    "driver": [branch.id for branch in load().driver_branches],
    "cuda": ["1.2", "12.8", "13.0"],
    "features": [["containers"], ["rdma", "open"], ["proprietary"]],
    "reboots": ["single", "staged"],
    "hardware": ["present", "absent"],
    "roles": [list(rooms()), ["preflight"], []],
}
"""Values that get further than the first check."""

VARIABLES = sorted(f"{name}_{field}" for name, room in rooms().items() for field in room.role.model_fields)
KEYS = sorted({*NodeSpec.model_fields, *CONNECTION_KEYS, *OWN_KEYS, *VARIABLES, "hosts", "provision"})


def value_of(key: str) -> st.SearchStrategy[Any]:
    fitting = FITTING.get(key)
    return st.sampled_from(fitting) | ANYTHING if fitting else ANYTHING


def declarations(keys: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    pairs = keys.flatmap(lambda key: st.tuples(st.just(key), value_of(key)))
    return st.lists(pairs, max_size=5).map(dict)


GOOD = {"os": "debian13", "arch": "x86_64", "gpu": "H100"}
DECLARED = st.tuples(
    st.sampled_from([{}, GOOD]), declarations(st.sampled_from(KEYS)), declarations(st.text(max_size=8))
).map(lambda parts: {**parts[0], **parts[1], **parts[2]})
HOST = st.sampled_from(["n1", "n2", "n3"]) | st.text(max_size=8)
HOSTS = st.lists(HOST | st.tuples(HOST, DECLARED), max_size=3) | st.just(["n1"]) | ANYTHING


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    folder = tmp_path_factory.mktemp("inventories")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(folder / "state"))

        def written(text: str) -> Path:
            path = folder / "fleet.py"
            path.write_text(f"from provision import fleet\n{text}\n", encoding="utf-8")
            return path

        yield written


def read_or_told(path: Path) -> None:
    try:
        specs = read_inventory(path)
    except WrongInventory as error:
        assert error.mistakes
        assert len(str(error).splitlines()) == 1
        assert str(error).endswith("No machine was touched.")
    else:
        assert specs
        assert all(isinstance(spec, NodeSpec) for spec in specs.values())


class TestInventories:
    @given(hosts=HOSTS, keys=DECLARED)
    @example(hosts=["n1"], keys=GOOD)
    def test_a_fleet_is_read_or_told_in_one_paragraph(
        self, inventory: Callable[[str], Path], hosts: Any, keys: dict[str, Any]
    ) -> None:
        keys = {key: value for key, value in keys.items() if key != "hosts"}
        read_or_told(inventory(f"nodes = fleet({hosts!r}, **{keys!r})"))

    @given(name=st.sampled_from(["nodes", "_nodes"]), value=HOSTS | st.tuples(HOSTS, DECLARED) | ANYTHING)
    def test_so_is_a_group_without_fleet(self, inventory: Callable[[str], Path], name: str, value: Any) -> None:
        read_or_told(inventory(f"{name} = {value!r}"))

    @given(content=st.text().map(str.encode) | st.binary())
    def test_so_is_any_file(self, inventory: Callable[[str], Path], content: bytes) -> None:
        path = inventory("")
        path.write_bytes(content)
        read_or_told(path)


WANTED = plan(
    [
        Packages(name="packages", packages=(Package(name="dpkg", version="1.*"),), hold=True),
        File(name="file", path="/etc/passwd", content="x"),
        Directory(name="directory", path="/etc"),
        Unit(name="unit", unit="nvidia-persistenced.service"),
        Derived(name="derived", inputs=("file", "/etc/hosts"), command=":", outputs=("/boot/x",)),
        gate("proof", proves=("derived",), boot_scoped=True),
    ],
    [gate("kernel", needs=("boot",), boot_scoped=True), BootEntry(name="entry", release="1.2.3", needs=("boot",))],
)


@pytest.mark.parametrize("machine", ["1gpu", "4gpu"])
@given(data=st.data())
def test_an_answer_that_is_damaged_is_judged_or_refused(machine: str, data: st.DataObject) -> None:
    lines = (DATA / f"probe-h200-{machine}.txt").read_text().splitlines()
    extra = st.sampled_from(
        ["file\t/etc/passwd\tfile\t644\troot\tx\t", "unit\tnvidia-persistenced.service\tmasked\tfailed",
         "package\tdpkg\thi \t1.22", "gate\tproof\tno\tx", "stamp\tderived\t0-0", "print\tderived\t0", "limit\tboot",
         "reboot_due\tx", "hidden\tfile /etc\tx"]
    )  # fmt: skip
    lines[1:1] = data.draw(st.lists(extra, max_size=6))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        key, *fields = lines[at].split("\t")
        lines[at] = "\t".join([key, *(data.draw(st.text(max_size=10)) for _ in fields)])
    try:
        snapshot = parse("\n".join(lines), "n1")
    except Unreadable as error:
        assert str(error)
        return
    assert Snapshot.model_validate_json(snapshot.model_dump_json()) == snapshot
    assert len(drift(WANTED, snapshot)) == len(WANTED.boots)
    next_step(WANTED, snapshot, ())
    not_applicable(WANTED, snapshot)
