"""Virtual machines for tests: image and saved state are built once per checkout, in its .lab; a clone takes seconds.

`vm_lab`   the session's Lab: `vm_lab.up([...], vm="x86_64")`, `vm_lab.save`; taken away at the end
`machine`  one running machine of this machine's architecture that no test has touched
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.lab import Lab, VirtualMachine, host
from provision.lab.vm.machine import architecture

STORE = Path(__file__).parents[2] / ".lab"
LIVES = STORE / "tests-vm"

NATIVE = architecture(os.uname().machine)

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.vm)


@pytest.fixture(scope="session")
def vm_lab() -> Iterator[Lab]:
    if lacking := host.missing():
        pytest.skip(host.sentence(lacking))
    _clean_after_the_dead()
    mine = Lab(LIVES / str(os.getpid()), store=STORE, say=print)
    try:
        yield mine
    finally:
        mine.clean()


@pytest.fixture
def machine(vm_lab: Lab) -> Iterator[VirtualMachine]:
    (fresh,) = vm_lab.up([f"m{next(_numbers)}"], vm=NATIVE)
    assert isinstance(fresh, VirtualMachine)
    yield fresh
    vm_lab.down([fresh.name])


def _clean_after_the_dead() -> None:
    for state in LIVES.glob("*"):
        if not Path(f"/proc/{state.name}").exists():
            Lab(state, store=STORE).clean()
