"""Virtual machines for tests: image and saved state are built once per checkout, in its .lab; a clone takes seconds.

`vm_lab`   the session's Lab: `vm_lab.up([...], vm="x86_64")`, `vm_lab.save`; taken away at the end
`machine`  one running machine of this machine's architecture that no test has touched
`start`    the state that a bring-up with kernel modules starts from, see `modules`
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import modules
import pytest
import sessions

from provision.lab import Lab, VirtualMachine
from provision.lab.vm.machine import architecture
from provision.stack import NoFit

NATIVE = architecture(os.uname().machine)

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sessions.mark(items, Path(__file__).parent, pytest.mark.vm)


@pytest.fixture(scope="session")
def vm_lab() -> Iterator[Lab]:
    yield from sessions.own_lab("tests-vm")


@pytest.fixture
def machine(vm_lab: Lab) -> Iterator[VirtualMachine]:
    (fresh,) = vm_lab.up([f"m{next(_numbers)}"], vm=NATIVE)
    assert isinstance(fresh, VirtualMachine)
    yield fresh
    vm_lab.down([fresh.name])


@pytest.fixture(scope="session")
def start(vm_lab: Lab) -> modules.Start:
    try:
        return modules.provide(vm_lab)
    except NoFit as none:
        pytest.skip(f"no kernel of the archive takes its open modules: {none}")
