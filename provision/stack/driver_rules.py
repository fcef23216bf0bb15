"""What must hold of the driver and its kernel modules."""

from __future__ import annotations

from collections.abc import Iterator

from provision.catalog import DriverIssue, Gpu, branch_of, driver_key, matches_pin
from provision.model import Reason
from provision.stack.compatibility import newest
from provision.stack.facts import Candidate, Domains, Facts
from provision.stack.reasons import from_row
from provision.stack.rule import Rule, about


def driver_rules(facts: Facts) -> Iterator[Rule]:
    """The rules over driver and modules that bind this node."""
    features = facts.spec.features
    if facts.spec.driver is not None:
        yield about("driver", "driver-pin", _is_pinned)
    if "open" in features:
        yield about("modules", "open-wanted", _is_open)
    if "proprietary" in features:
        yield about("modules", "proprietary-wanted", _is_proprietary)
    if any(gpu.modules == "open" for gpu in facts.gpus):
        yield about("modules", "gpu-open-only", _is_open, _flavours)
    if any(gpu.modules == "proprietary" for gpu in facts.gpus):
        yield about("modules", "gpu-proprietary-only", _is_proprietary, _flavours)
    if _open_by_default(facts):
        yield about("modules", "open-by-default", _is_open_where_it_can_be)
    if facts.gpus:
        yield about("modules", "gpu-first-driver", open_modules_serve, _first_open)
        yield about("driver", "gpu-last-branch", _branch_still_drives, _last_branch)
        yield about("driver", "gpu-supported-from", _is_supported, _supported_from)
    yield about("modules", "branch-has-open", branch_has_open)
    yield about("modules", "known-issue", _has_no_fatal_issue, _fatal)
    yield Rule("lockstep", ("modules", "driver"), lambda _, modules, driver: modules.driver == driver.version)


def at_least(facts: Facts, driver: str, floor: str) -> bool:
    """Is the driver the floor or newer? A branch stands for its newest; of a part of a version the rest is not held
    against it."""
    key = driver_key(newest(facts.catalog, driver))
    return key >= driver_key(floor)[: len(key)]


def issues(facts: Facts, modules: Candidate, *services: str) -> list[DriverIssue]:
    """What is known against this driver on a node with these features and services (`fabricmanager`)."""
    uses = {*facts.spec.features, *services}
    return [row for row in facts.catalog.driver_issues if _concerns(facts, row, modules, uses)]


def _concerns(facts: Facts, row: DriverIssue, modules: Candidate, uses: set[str]) -> bool:
    needed = {feature for feature in (row.with_feature, row.excludes) if feature}
    if not needed <= uses or row.with_modules not in (None, modules.version) or not row.covers(modules.driver):
        return False
    here = not row.systems or any(facts.spec.os.startswith(system) for system in row.systems)
    return here and row.coherent in (None, facts.coherent) and _is_there(facts, row)


def _is_there(facts: Facts, row: DriverIssue) -> bool:
    """Has the node a GPU that the row names? A row about PCI ids takes all of a declared GPU's to be there."""
    return not row.gpus or any(gpu.id in row.gpus or gpu.name in row.gpus for gpu in facts.gpus)


def _has_no_fatal_issue(facts: Facts, modules: Candidate) -> bool:
    return not any(row.fatal for row in issues(facts, modules))


def _fatal(facts: Facts, domains: Domains) -> Iterator[Reason]:
    """The rows against what was pinned and what the GPU can use."""
    for modules in domains["modules"]:
        usable = all(gpu.modules in ("either", modules.version) for gpu in facts.gpus)
        if usable and _is_pinned(facts, Candidate("driver", modules.driver)):
            yield from (from_row(facts, row.text, row) for row in issues(facts, modules) if row.fatal)


def _is_pinned(facts: Facts, driver: Candidate) -> bool:
    pin = facts.spec.driver
    try:
        return pin is None or matches_pin(driver.version, pin)
    except ValueError:
        return driver.version == pin


def _is_open(_facts: Facts, modules: Candidate) -> bool:
    return modules.version == "open"


def _is_proprietary(_facts: Facts, modules: Candidate) -> bool:
    return modules.version == "proprietary"


def _open_by_default(facts: Facts) -> bool:
    asked = {"open", "proprietary"} & set(facts.spec.features)
    return not asked and all(gpu.modules == "either" for gpu in facts.gpus)


def _is_open_where_it_can_be(facts: Facts, modules: Candidate) -> bool:
    as_open = Candidate("modules", "open", driver=modules.driver)
    return _is_open(facts, modules) or not (open_modules_serve(facts, as_open) and branch_has_open(facts, as_open))


def _flavours(facts: Facts, _: Domains) -> Iterator[Reason]:
    for gpu in facts.gpus[:1]:
        yield from_row(facts, f"{gpu.device} is of the {gpu.architecture} architecture", gpu)


def open_modules_serve(facts: Facts, modules: Candidate) -> bool:
    """Do open modules of this version serve the GPU? Nothing is said of proprietary ones."""
    if modules.version != "open":
        return True
    listed = _listed(facts)
    return not listed or any(_serves(facts, gpu, modules.driver) for gpu in listed)


def _listed(facts: Facts) -> list[Gpu]:
    """A name stands for several PCI ids, of which not all are listed; it is enough that a listed one is served."""
    names = {gpu.name for gpu in facts.gpus}
    return [gpu for gpu in facts.gpus if gpu.first_open] or [
        gpu for gpu in facts.catalog.gpus if gpu.name in names and gpu.first_open
    ]


def _serves(facts: Facts, gpu: Gpu, driver: str) -> bool:
    floor = gpu.first_open_in_branch.get(branch_of(driver)) or gpu.first_open
    return floor is None or at_least(facts, driver, floor)


def _first_open(facts: Facts, _: Domains) -> Iterator[Reason]:
    for gpu in _listed(facts):
        yield from_row(facts, f"the open modules serve {gpu.device} from {gpu.first_open} on", gpu)


def _branch_still_drives(facts: Facts, driver: Candidate) -> bool:
    lasts = [gpu.last_branch for gpu in facts.gpus if gpu.last_branch is not None]
    return all(int(branch_of(driver.version)) <= int(last) for last in lasts)


def _last_branch(facts: Facts, _: Domains) -> Iterator[Reason]:
    for last in dict.fromkeys(gpu.last_branch for gpu in facts.gpus if gpu.last_branch is not None):
        yield from_row(facts, f"the last branch for {facts.gpu_name} is {last}", facts.gpus[0])


def _is_supported(facts: Facts, driver: Candidate) -> bool:
    floors = [gpu.supported_from for gpu in facts.gpus if gpu.supported_from is not None]
    return not floors or any(at_least(facts, driver.version, floor) for floor in floors)


def _supported_from(facts: Facts, _: Domains) -> Iterator[Reason]:
    told: set[str] = set()
    for gpu in facts.gpus:
        if gpu.supported_from is not None and gpu.supported_from not in told:
            told.add(gpu.supported_from)
            yield from_row(facts, f"{gpu.device} is supported from driver {gpu.supported_from} on", gpu)


def branch_has_open(facts: Facts, modules: Candidate) -> bool:
    """Are there open modules in this branch that are made for GPUs like these?"""
    branch = facts.catalog.branch.get(branch_of(modules.driver))
    if modules.version != "open" or branch is None or branch.open_modules == "all":
        return True
    return branch.open_modules == "data-centre" and all(gpu.data_centre for gpu in facts.gpus)
