"""What must hold of a stack: small predicates over one or two components.

The statement of each rule, and the source it rests on, stand in the catalog (`rules.yaml`) under the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from provision.catalog import Gpu, branch_of, driver_key, matches_pin
from provision.stack.candidates import FAILS, Candidate, Component, Facts, build_outlook

Predicate = Callable[[Facts, Candidate, Candidate], bool]


@dataclass(frozen=True)
class Rule:
    """`holds(facts, first, second)`; a rule over one component is given the same candidate twice."""

    id: str
    components: tuple[Component, Component]
    holds: Predicate


def rules(facts: Facts) -> Iterator[Rule]:
    """The rules that bind this node. A choice that breaks none of them is a stack."""
    features = facts.spec.features
    if facts.spec.driver is not None:
        yield Rule("driver-pin", ("driver", "driver"), _driver_is_pinned)
    if facts.spec.kernel is not None:
        yield Rule("kernel-pin", ("kernel", "kernel"), _kernel_is_pinned)
    if "open" in features:
        yield Rule("open-wanted", ("modules", "modules"), _is_open)
    if "proprietary" in features:
        yield Rule("proprietary-wanted", ("modules", "modules"), _is_proprietary)
    if any(gpu.modules == "open" for gpu in facts.gpus):
        yield Rule("gpu-open-only", ("modules", "modules"), _is_open)
    if any(gpu.modules == "proprietary" for gpu in facts.gpus):
        yield Rule("gpu-proprietary-only", ("modules", "modules"), _is_proprietary)
    if _open_by_default(facts):
        yield Rule("open-by-default", ("modules", "modules"), _is_open)
    if facts.gpus:
        yield Rule("gpu-first-driver", ("modules", "modules"), _open_modules_serve_the_gpu)
        yield Rule("gpu-last-branch", ("driver", "driver"), _branch_still_drives_the_gpu)
    yield Rule("branch-has-open", ("modules", "modules"), _branch_has_open_modules)
    yield Rule("lockstep", ("modules", "driver"), _one_version)
    yield Rule("modules-build", ("modules", "kernel"), _not_known_to_fail)


def _open_by_default(facts: Facts) -> bool:
    asked = {"open", "proprietary"} & set(facts.spec.features)
    return not asked and all(gpu.modules == "either" for gpu in facts.gpus)


def _driver_is_pinned(facts: Facts, driver: Candidate, _: Candidate) -> bool:
    pin = facts.spec.driver
    try:
        return pin is None or matches_pin(driver.version, pin)
    except ValueError:
        return driver.version == pin


def _kernel_is_pinned(facts: Facts, kernel: Candidate, _: Candidate) -> bool:
    return kernel.version == facts.spec.kernel


def _is_open(_facts: Facts, modules: Candidate, _: Candidate) -> bool:
    return modules.version == "open"


def _is_proprietary(_facts: Facts, modules: Candidate, _: Candidate) -> bool:
    return modules.version == "proprietary"


def _open_modules_serve_the_gpu(facts: Facts, modules: Candidate, _: Candidate) -> bool:
    if modules.version != "open":
        return True
    # A name stands for several PCI ids, of which not all are listed; it is enough that a listed one is served.
    names = {gpu.name for gpu in facts.gpus}
    listed = [gpu for gpu in facts.gpus if gpu.first_open] or [
        gpu for gpu in facts.catalog.gpus if gpu.name in names and gpu.first_open
    ]
    return not listed or any(_serves(gpu, modules.driver) for gpu in listed)


def _serves(gpu: Gpu, driver: str) -> bool:
    floor = gpu.first_open_in_branch.get(branch_of(driver)) or gpu.first_open
    if floor is None:
        return True
    # Where only the branch is known, its newest release is meant.
    key = driver_key(driver)
    return key >= driver_key(floor)[: len(key)]


def _branch_still_drives_the_gpu(facts: Facts, driver: Candidate, _: Candidate) -> bool:
    lasts = [gpu.last_branch for gpu in facts.gpus if gpu.last_branch is not None]
    return all(int(branch_of(driver.version)) <= int(last) for last in lasts)


def _branch_has_open_modules(facts: Facts, modules: Candidate, _: Candidate) -> bool:
    branch = facts.catalog.branch.get(branch_of(modules.driver))
    return modules.version != "open" or branch is None or branch.open_modules != "none"


def _one_version(_facts: Facts, modules: Candidate, driver: Candidate) -> bool:
    return modules.driver == driver.version


def _not_known_to_fail(facts: Facts, modules: Candidate, kernel: Candidate) -> bool:
    return build_outlook(facts, modules, kernel)[0] != FAILS
