"""A set that was found, in words: the reasons of each choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from provision.catalog import (
    ContainerToolkit,
    CudaToolkit,
    DocaRelease,
    HostCompiler,
    Kernel,
    SupportedSystem,
    branch_of,
)
from provision.model import Choice, Reason, Stack
from provision.platforms import packages_of
from provision.stack.compatibility import compat_package, host_compiler, newest
from provision.stack.cuda_rules import floor_text, needs_text, toolkit
from provision.stack.facts import K64, Component, Facts, Found
from provision.stack.guide import guide_row
from provision.stack.hardware_rules import FABRICS
from provision.stack.outlook import BUILDS, build_outlook, doca_outlook, flavour
from provision.stack.reasons import NODE_ARCHIVE, from_row, from_rule
from provision.stack.rules import rules
from provision.stack.warn import warnings

NOT_ASKED = "the inventory; the node's own archive is asked in its first reading"


def told(facts: Facts, found: Found) -> Stack:
    """The stack of a set that breaks no rule."""
    choices = {choice.component: choice for choice in _choices(facts, found)}
    return Stack(choices=choices, warnings=tuple(dict.fromkeys(warnings(facts, found, choices))))


def _choices(facts: Facts, found: Found) -> Iterator[Choice]:
    for component, reasons in _REASONS.items():
        if component not in found:
            continue
        chosen = found[component]
        why = (*_rules_about(facts, component), *reasons(facts, found))
        yield Choice(component=component, version=chosen.version, how=chosen.how or "", reasons=why)
        if component == "kernel":
            size = str(flavour(chosen).page_size)
            yield Choice(component="page_size", version=size, reasons=(_page_size(facts, found),))
        if component == "cuda" and chosen.how == "forward":
            yield _compat(facts, toolkit(chosen), found["driver"].version)


# Kernel


def _kernel(facts: Facts, found: Found) -> Iterator[Reason]:
    kernel = found["kernel"]
    yield _kernel_is_there(facts, kernel.version, flavour(kernel))
    if "modules" not in found:
        return
    modules = found["modules"]
    told_by, pair = build_outlook(facts, modules, kernel)
    if pair is not None and told_by == BUILDS:
        text = f"the {modules.version} modules of driver {modules.driver} were seen to build for {kernel.version}"
        yield from_row(facts, text, pair)


def _kernel_is_there(facts: Facts, release: str, row: Kernel) -> Reason:
    name = facts.platform.os.name
    if facts.offers is not None:
        return Reason(text=f"{release} is offered with its headers", source=NODE_ARCHIVE, verified=True)
    if release in row.releases:
        return from_row(facts, f"{release} is a kernel of {name}; the node's own archive is asked before a change", row)
    return Reason(text=f"{release} has the form of a kernel of {name}", source=NOT_ASKED, verified=False)


def _page_size(facts: Facts, found: Found) -> Reason:
    row, platform = flavour(found["kernel"]), facts.platform
    largest = platform.largest_page_size()
    if row.page_size == K64:
        return from_rule(facts, "page-size-grace")
    if largest < K64:
        # Debian names architectures in its own way, and so do the people who look for its packages.
        text = f"{platform.os.name} ships no 64K kernel for {platform.package_arch}: {_in_k(largest)} is the largest"
        chosen = "" if row.page_size == largest else f"; {_in_k(row.page_size)} is chosen"
        return from_row(facts, text + chosen, row)
    if row.page_size < facts.wanted_page_size:
        return from_row(facts, f"no 64K kernel fits the other choices: {_in_k(row.page_size)} is the closest", row)
    return from_rule(facts, "page-size-grace")


def _in_k(size: int) -> str:
    return f"{size // 1024}K"


# Driver


def _driver(facts: Facts, found: Found) -> Iterator[Reason]:
    driver = found["driver"]
    yield _driver_is_there(facts, driver.version)
    branch = facts.catalog.branch.get(branch_of(driver.version))
    if branch is not None:
        end = f", end of life {branch.eol}" if branch.eol else ""
        yield from_row(facts, f"branch {branch.id} is {_type(branch.type)}{end}", branch)
    if facts.spec.driver is None:
        yield from_rule(facts, "prefer-long-term")


def _driver_is_there(facts: Facts, version: str) -> Reason:
    name, packages = facts.platform.os.name, facts.platform.drivers
    if facts.spec.driver_repository == "cuda":
        row = packages_of(facts.platform, "driver", version, "cuda").row
        return from_row(facts, f"NVIDIA's own repository has branch {branch_of(version)} for {name}", row)
    if facts.offers is not None:
        return Reason(text=f"{version} is offered, all parts at one version", source=NODE_ARCHIVE, verified=True)
    if any(version in versions for versions in packages.offered.values()):
        what = f"driver {version}" if "." in version else f"driver branch {version}"
        return from_row(facts, f"{what} is in the archive of {name}", packages)
    return Reason(text=f"whether the archive of {name} has {version} is not known", source=NOT_ASKED, verified=False)


def _type(branch_type: str) -> str:
    return {"LTSB": "long-term", "PB": "a production branch", "NFB": "a new feature branch"}.get(
        branch_type, "of no published type"
    )


def _modules(facts: Facts, found: Found) -> Iterator[Reason]:
    if found["modules"].version == "proprietary" and _is_default(facts):
        yield from_row(
            facts,
            f"branch {branch_of(found['driver'].version)} has no open modules for {facts.gpu_name}",
            facts.catalog.rule["gpu-first-driver"],
        )
    yield from_rule(facts, "lockstep")


def _is_default(facts: Facts) -> bool:
    return any(rule.id == "open-by-default" for rule in rules(facts))


# CUDA


def _cuda(facts: Facts, found: Found) -> Iterator[Reason]:
    row = toolkit(found["cuda"])
    yield from_row(facts, needs_text(row), row)
    if "driver" in found:
        yield from _runs(facts, row, found)
    if facts.spec.cuda is None:
        yield from_rule(facts, "prefer-native")
    listed = guide_row(facts, row)
    if listed is not None:
        yield from_row(
            facts, f"the installation guide of CUDA {listed.cuda} lists {listed.os} on {listed.arch}", listed
        )


def _runs(facts: Facts, row: CudaToolkit, found: Found) -> Iterator[Reason]:
    how, driver = found["cuda"].how, newest(facts.catalog, found["driver"].version)
    if how == "native":
        return
    if how == "forward":
        yield from_rule(facts, "forward-compat")
        return
    for floor in facts.catalog.cuda_majors:
        if floor.id == branch_of(row.id):
            yield from_row(facts, f"{floor_text(floor)}: driver {driver} does", floor)
    yield from_rule(facts, "minor-ptx")


def _compat(facts: Facts, row: CudaToolkit, driver: str) -> Choice:
    package = compat_package(facts.catalog, row)
    assert package is not None
    branch = facts.catalog.branch[branch_of(driver)]
    reasons = [
        from_row(facts, f"{package.id} may be used over driver branch {branch.id}", package),
        from_row(facts, f"branch {branch.id} is {_type(branch.type)}", branch),
        *(from_row(facts, f"{gpu.name} is a data-centre GPU", gpu) for gpu in facts.gpus[:1]),
    ]
    return Choice(component="cuda_compat", version=package.id, reasons=tuple(reasons))


def _gcc(facts: Facts, found: Found) -> Iterator[Reason]:
    gcc, accepted = found["gcc"], host_compiler(facts.catalog, toolkit(found["cuda"]))
    if accepted is not None:
        text = f"nvcc of CUDA {found['cuda'].version} accepts gcc {accepted.gcc_least} to {accepted.gcc}"
        yield from_row(facts, text, accepted)
    else:
        yield Reason(
            text=f"what nvcc of CUDA {found['cuda'].version} accepts is not known", source=NOT_ASKED, verified=False
        )
    name = facts.platform.os.name
    if isinstance(gcc.row, SupportedSystem):
        yield from_row(facts, f"{name} has gcc {gcc.row.gcc}", gcc.row)
    elif isinstance(gcc.row, HostCompiler) or gcc.row is None:
        yield Reason(text=f"whether {name} has gcc {gcc.version} is not known", source=NOT_ASKED, verified=False)


# The rest


def _doca(facts: Facts, found: Found) -> Iterator[Reason]:
    row = found["doca"].row
    assert isinstance(row, DocaRelease)
    kind = "a long-term release" if row.long_term else "a release"
    yield from_row(facts, f"DOCA {row.id} is {kind} with OFED {row.ofed}", row)
    if "kernel" in found:
        outlook, pair = doca_outlook(facts, found["kernel"], found["doca"])
        if pair is not None and outlook == BUILDS:
            yield from_row(facts, f"DOCA-OFED {pair.doca} was seen to build for {found['kernel'].version}", pair)
    if facts.spec.doca is None:
        yield from_rule(facts, "prefer-long-term-doca")


def _containers(facts: Facts, found: Found) -> Iterator[Reason]:
    row = found["container_toolkit"].row
    assert isinstance(row, ContainerToolkit)
    yield from_row(facts, f"container toolkit {row.id} is of {row.date}", row)
    yield from_rule(facts, "container-toolkit-lockstep")


def _fabric(facts: Facts, found: Found) -> Iterator[Reason]:
    chosen = found["fabric"].version
    if not facts.gpus:
        yield from_rule(facts, "fabric-gpu")
    for gpu in facts.gpus[:1]:
        kinds = " or ".join(dict.fromkeys(FABRICS[name] for one in facts.gpus for name in one.fabrics))
        reason = from_row(facts, f"hosts of {gpu.name} run {kinds.replace('none', 'no fabric service')}", gpu)
        yield reason.model_copy(update={"verified": reason.verified and "fabrics" not in gpu.derived})
    if chosen == "imex":
        yield from_rule(facts, "fabric-rack")
    if facts.switches is not None and "nvswitch" in {name for gpu in facts.gpus for name in gpu.fabrics}:
        yield from_rule(facts, "fabric-bus")
    if chosen not in ("none", ""):
        yield from_rule(facts, "lockstep")


def _memory_mode(facts: Facts, found: Found) -> Iterator[Reason]:
    yield from_rule(facts, "memory-mode-numa" if found["memory_mode"].version == "numa" else "memory-mode-cdmm")


_REASONS: dict[Component, Callable[[Facts, Found], Iterator[Reason]]] = {
    "kernel": _kernel,
    "driver": _driver,
    "modules": _modules,
    "fabric": _fabric,
    "memory_mode": _memory_mode,
    "cuda": _cuda,
    "gcc": _gcc,
    "doca": _doca,
    "container_toolkit": _containers,
}
"""In the order in which a person reads them."""


def _rules_about(facts: Facts, component: str) -> Iterator[Reason]:
    """What the user asked for, and what the GPU asks for."""
    for rule in rules(facts):
        if rule.components == (component, component) and rule.id not in _ALWAYS:
            yield from_rule(facts, rule.id)


_ALWAYS = (
    "branch-has-open",
    "gpu-first-driver",
    "gpu-last-branch",
    "gpu-supported-from",
    "known-issue",
    "fabric-gpu",
    "fabric-bus",
    "cdmm-coherent",
    "container-toolkit-good",
)
"""They bind every node, so they explain no choice."""
