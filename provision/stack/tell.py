"""A set that was found, in words: the reasons of each choice, and what to be warned of."""

from __future__ import annotations

from collections.abc import Iterator

from provision.catalog import Kernel, Row, branch_of
from provision.model import Choice, Reason, Stack
from provision.stack.candidates import BUILDS, DOUBTFUL, K64, Candidate, Facts, build_outlook
from provision.stack.rules import rules
from provision.stack.search import Found

NODE_ARCHIVE = "the node's own archive, asked in its first reading"
NOT_ASKED = "the inventory; the node's own archive is asked in its first reading"


def told(facts: Facts, found: Found) -> Stack:
    """The stack of a set that breaks no rule."""
    choices = {
        "kernel": Choice(component="kernel", version=found["kernel"].version, reasons=tuple(_kernel(facts, found))),
        "page_size": Choice(
            component="page_size", version=str(_row(found).page_size), reasons=(_page_size(facts, found),)
        ),
        "driver": Choice(component="driver", version=found["driver"].version, reasons=tuple(_driver(facts, found))),
        "modules": Choice(component="modules", version=found["modules"].version, reasons=tuple(_modules(facts))),
    }
    return Stack(choices=choices, warnings=tuple(dict.fromkeys(_warnings(facts, found, choices))))


def from_row(facts: Facts, text: str, row: Row) -> Reason:
    """A statement that rests on a row of the catalog."""
    return Reason(text=text, source=facts.catalog.cite(row.source), verified=row.verified)


def from_rule(facts: Facts, rule_id: str) -> Reason:
    """The statement of a rule, about this node."""
    row = facts.catalog.rule[rule_id]
    words = {
        "gpu": facts.gpu_name,
        "os": facts.platform.os.name,
        "arch": facts.platform.arch,
        "driver": facts.spec.driver,
        "kernel": facts.spec.kernel,
    }
    return from_row(facts, row.text.format(**words), row)


def archive(facts: Facts, text: str, row: Row) -> Reason:
    """A statement about what is offered: by the node's own archive, or by what the catalog knows of it."""
    if facts.offers is not None:
        return Reason(text=text, source=NODE_ARCHIVE, verified=True)
    return from_row(facts, text, row)


def _kernel(facts: Facts, found: Found) -> Iterator[Reason]:
    kernel, modules = found["kernel"], found["modules"]
    yield from _rules_about(facts, "kernel")
    told_by, pair = build_outlook(facts, modules, kernel)
    yield _kernel_is_there(facts, kernel.version, _row(found))
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


def _driver_is_there(facts: Facts, version: str) -> Reason:
    name, packages = facts.platform.os.name, facts.platform.drivers
    if facts.offers is not None:
        return Reason(text=f"{version} is offered, all parts at one version", source=NODE_ARCHIVE, verified=True)
    if any(version in versions for versions in packages.offered.values()):
        what = f"driver {version}" if "." in version else f"driver branch {version}"
        return from_row(facts, f"{what} is in the archive of {name}", packages)
    return Reason(text=f"whether the archive of {name} has {version} is not known", source=NOT_ASKED, verified=False)


def _page_size(facts: Facts, found: Found) -> Reason:
    row, platform = _row(found), facts.platform
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


def _driver(facts: Facts, found: Found) -> Iterator[Reason]:
    driver = found["driver"]
    yield from _rules_about(facts, "driver")
    yield _driver_is_there(facts, driver.version)
    branch = facts.catalog.branch.get(branch_of(driver.version))
    if branch is not None:
        end = f", end of life {branch.eol}" if branch.eol else ""
        yield from_row(facts, f"branch {branch.id} is {_type(branch.type)}{end}", branch)
    if facts.spec.driver is None:
        yield from_rule(facts, "prefer-long-term")


def _type(branch_type: str) -> str:
    return {"LTSB": "long-term", "PB": "a production branch", "NFB": "a new feature branch"}.get(
        branch_type, "of no published type"
    )


def _modules(facts: Facts) -> Iterator[Reason]:
    yield from _rules_about(facts, "modules")
    yield from_rule(facts, "lockstep")


def _rules_about(facts: Facts, component: str) -> Iterator[Reason]:
    """What the user asked for, and what the GPU asks for."""
    for rule in rules(facts):
        if rule.components == (component, component) and rule.id not in _ALWAYS:
            yield from_rule(facts, rule.id)


_ALWAYS = ("branch-has-open", "gpu-first-driver", "gpu-last-branch")


def _warnings(facts: Facts, found: Found, choices: dict[str, Choice]) -> Iterator[str]:
    kernel, modules, driver = found["kernel"], found["modules"], found["driver"]
    branch = facts.catalog.branch.get(branch_of(driver.version))
    if branch is None:
        yield f"driver branch {branch_of(driver.version)} is not in the catalog"
    elif branch.ended(facts.catalog.as_of):
        yield f"driver branch {branch.id} reached its end of life ({branch.eol})"
    if not facts.gpus:
        yield f"no GPU is declared: {modules.version} kernel modules are assumed to fit it"
    yield from _build_warnings(facts, modules, kernel)
    if _row(found).page_size < facts.wanted_page_size:
        yield choices["page_size"].reasons[0].text
    for choice in choices.values():
        for reason in choice.reasons:
            if not reason.verified:
                yield f"{choice.component} {choice.version} is not verified: {reason.text} [{reason.source}]"


def _build_warnings(facts: Facts, modules: Candidate, kernel: Candidate) -> Iterator[str]:
    outlook, pair = build_outlook(facts, modules, kernel)
    pairing = f"the {modules.version} modules of driver {modules.driver} for kernel {kernel.version}"
    if outlook == DOUBTFUL and pair is not None:
        yield f"{pairing} may not build: {pair.cause} (known of {pair.first} to {pair.last})"
    elif outlook != BUILDS:
        yield f"nobody recorded a build of {pairing}"


def _row(found: Found) -> Kernel:
    row = found["kernel"].row
    assert row is not None
    return row


def _in_k(size: int) -> str:
    return f"{size // 1024}K"
