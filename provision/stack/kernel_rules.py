"""What must hold of the kernel, and of what is built for it: the driver's modules and DOCA-OFED's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.catalog import KernelDocaPair, branch_of, driver_key
from provision.model import Reason
from provision.stack.facts import Candidate, Domains, Facts
from provision.stack.outlook import FAILS, build_outlook, doca_outlook, starts_with
from provision.stack.reasons import from_row
from provision.stack.rule import Rule, about


def kernel_rules(facts: Facts) -> Iterator[Rule]:
    """The rules over kernel and DOCA-OFED that bind this node."""
    if facts.spec.kernel is not None:
        yield about("kernel", "kernel-pin", lambda facts, kernel: kernel.version == facts.spec.kernel)
    if facts.spec.doca is not None:
        yield about("doca", "doca-pin", lambda facts, doca: starts_with(doca.version, facts.spec.doca or ""))
    yield Rule("modules-build", ("modules", "kernel"), _modules_build, _module_failures)
    yield Rule("minimum-kernel", ("driver", "kernel"), _is_new_enough, _minimum)
    yield Rule("doca-builds", ("kernel", "doca"), _doca_builds, _doca_failures)


def _modules_build(facts: Facts, modules: Candidate, kernel: Candidate) -> bool:
    return build_outlook(facts, modules, kernel)[0] != FAILS


def _module_failures(facts: Facts, domains: Domains) -> Iterator[Reason]:
    for modules in domains["modules"]:
        for kernel in domains["kernel"]:
            outlook, pair = build_outlook(facts, modules, kernel)
            if outlook == FAILS and pair is not None:
                span = f"kernel {pair.last}" if pair.first == pair.last else f"kernels {pair.first} to {pair.last}"
                what = f"the {pair.modules} modules of driver {pair.driver}"
                yield from_row(facts, f"{what} do not build for {span}: {pair.cause}", pair)


def _is_new_enough(facts: Facts, driver: Candidate, kernel: Candidate) -> bool:
    branch = facts.catalog.branch.get(branch_of(driver.version))
    least = branch.minimum_kernel if branch is not None else ""
    return not least or _key(kernel.version) >= driver_key(least)


def _key(release: str) -> tuple[int, ...]:
    """`6.8.0-40-generic` -> (6, 8, 0)."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", release.partition("-")[0]))


def _minimum(facts: Facts, domains: Domains) -> Iterator[Reason]:
    for branch in dict.fromkeys(branch_of(driver.version) for driver in domains["driver"]):
        row = facts.catalog.branch.get(branch)
        if row is not None and row.minimum_kernel:
            yield from_row(facts, f"driver branch {row.id} needs kernel {row.minimum_kernel} or newer", row)


def _doca_builds(facts: Facts, kernel: Candidate, doca: Candidate) -> bool:
    return doca_outlook(facts, kernel, doca)[0] != FAILS


def _doca_failures(facts: Facts, domains: Domains) -> Iterator[Reason]:
    pin = facts.spec.doca
    for kernel in domains["kernel"]:
        for doca in domains["doca"]:
            outlook, pair = doca_outlook(facts, kernel, doca)
            asked = pin is None or starts_with(doca.version, pin)
            if outlook == FAILS and isinstance(pair, KernelDocaPair) and asked:
                why = f": {pair.cause}" if pair.cause else ""
                yield from_row(facts, f"DOCA-OFED {pair.doca} does not build for kernel {pair.release}{why}", pair)
