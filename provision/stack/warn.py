"""What a person should know about a set that fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provision.catalog import CudaToolkit, DocaRelease, KernelDocaPair, PackageSource, branch_of
from provision.model import Choice
from provision.platforms import FABRIC_PARTS, Component, packages_of
from provision.stack.candidates import is_seen
from provision.stack.compatibility import newest, standings
from provision.stack.cuda_rules import toolkit
from provision.stack.driver_rules import issues
from provision.stack.facts import Facts, Found
from provision.stack.guide import guide_of, guide_row
from provision.stack.hardware_rules import FABRICS
from provision.stack.outlook import BUILDS, DOUBTFUL, build_outlook, doca_outlook, flavour


def warnings(facts: Facts, found: Found, choices: Mapping[str, Choice]) -> Iterator[str]:
    """Every warning as one sentence, the same one perhaps twice."""
    if "driver" in found:
        yield from _driver(facts, found)
        yield from _fabric(facts, found)
        yield from _unknown_packages(facts, found)
    if "modules" in found and "kernel" in found:
        yield from _build(facts, found)
    if "kernel" in found and flavour(found["kernel"]).page_size < facts.wanted_page_size:
        yield choices["page_size"].reasons[0].text
    if "cuda" in found:
        yield from _cuda(facts, found)
    if "doca" in found:
        yield from _doca(facts, found)
    yield from _unverified(choices)


def _unverified(choices: Mapping[str, Choice]) -> Iterator[str]:
    """What the choices rest on that nobody read; of one fact once."""
    told: set[str] = set()
    for choice in choices.values():
        for reason in choice.reasons:
            basis = reason.fact or reason.source
            if not reason.verified and basis not in told:
                yield f"{choice.component} {choice.version} is not verified: {reason.text} [{basis}]"
            told |= set() if reason.verified else {basis}


def _driver(facts: Facts, found: Found) -> Iterator[str]:
    modules, driver = found["modules"], found["driver"]
    branch = facts.catalog.branch.get(branch_of(driver.version))
    if branch is None:
        yield f"driver branch {branch_of(driver.version)} is not in the catalog"
    elif branch.ended(facts.catalog.as_of):
        yield f"driver branch {branch.id} reached its end of life ({branch.eol})"
    elif branch.type == "NFB":
        yield f"driver branch {branch.id} is a new feature branch: it ends when the next one ships"
    if not facts.gpus:
        yield f"no GPU is declared: {modules.version} kernel modules are assumed to fit it"
    services = found["fabric"].version.split("+")
    for row in issues(facts, modules, *services):
        remedy = f"; {row.remedy}" if row.remedy else ""
        yield f"driver {driver.version}: {row.text}{remedy} [{facts.catalog.cite(row.source)}]"


def _build(facts: Facts, found: Found) -> Iterator[str]:
    modules, kernel = found["modules"], found["kernel"]
    outlook, pair = build_outlook(facts, modules, kernel)
    pairing = f"the {modules.version} modules of driver {modules.driver} for kernel {kernel.version}"
    if outlook == DOUBTFUL and pair is not None:
        yield f"{pairing} may not build: {pair.cause} (known of {pair.first} to {pair.last})"
    elif outlook != BUILDS:
        yield f"nobody recorded a build of {pairing}"


def _fabric(facts: Facts, found: Found) -> Iterator[str]:
    chosen = found["fabric"].version
    built = {FABRICS[name] for gpu in facts.gpus for name in gpu.fabrics}
    if len(built) > 1 and facts.switches is None and facts.spec.fabricmanager is None:
        kinds = " or ".join(sorted(built))
        yield f"a machine with {facts.gpu_name} runs {kinds}, depending on how it is built: {chosen} is assumed"
    if chosen not in built and built:
        yield f"without {' or '.join(sorted(built))}, CUDA on {facts.gpu_name} starts only where another host runs it"


def _unknown_packages(facts: Facts, found: Found) -> Iterator[str]:
    fabric = found["fabric"].version
    place = "archive" if facts.spec.driver_repository == "archive" else "repository of NVIDIA"
    for part in FABRIC_PARTS[fabric]:
        if not _is_packaged(facts, part, found["driver"].version):
            elsewhere = _is_packaged(facts, part, found["driver"].version, "cuda")
            remedy = "; NVIDIA's repository has it (driver_repository=cuda)" if elsewhere else ""
            yield (
                f"no {part} is known in the {place} for {facts.platform.os.name}, and where GPUs are connected by "
                f"{fabric}, CUDA does not start without it{remedy}"
            )
    if not _is_packaged(facts, "persistenced", found["driver"].version):
        yield f"no persistence daemon is known in the {place} for {facts.platform.os.name}: none is set up"


def _is_packaged(facts: Facts, part: Component, driver: str, repository: PackageSource | None = None) -> bool:
    try:
        packages_of(facts.platform, part, driver, repository or facts.spec.driver_repository)
    except LookupError:
        return False
    return True


def _cuda(facts: Facts, found: Found) -> Iterator[str]:
    row = toolkit(found["cuda"])
    if found["cuda"].how in ("minor", "forward"):
        driver = newest(facts.catalog, found["driver"].version)
        ways = standings(facts.catalog, row, driver, facts.gpus)
        yield from (f"{way.text}" for way in ways if way.how == found["cuda"].how)
    if row.preview:
        yield f"CUDA {row.id} is no general release: {row.note}"
    if facts.spec.arch not in row.archs:
        yield f"CUDA {row.id} was not seen for {facts.spec.arch}"
    yield from _guide(facts, row)


def _guide(facts: Facts, row: CudaToolkit) -> Iterator[str]:
    guide = guide_of(facts, row)
    if not guide:
        major = branch_of(row.id)
        yield f"whether the installation guides of CUDA {major}.x list {facts.spec.os} is not known: none was read"
    elif guide_row(facts, row) is None:
        editions = ", ".join(dict.fromkeys(listed.cuda for listed in guide))
        yield f"the installation guide of CUDA {editions} does not list {facts.platform.os.name} on {facts.spec.arch}"


def _doca(facts: Facts, found: Found) -> Iterator[str]:
    doca = found["doca"]
    if isinstance(doca.row, DocaRelease) and not is_seen(facts, doca.row):
        yield f"no repository of DOCA {doca.version} was seen for {facts.platform.os.name} on {facts.spec.arch}"
    if "kernel" not in found:
        return
    outlook, pair = doca_outlook(facts, found["kernel"], doca)
    pairing = f"the modules of DOCA-OFED {doca.version} for kernel {found['kernel'].version}"
    if outlook == DOUBTFUL and isinstance(pair, KernelDocaPair):
        remedy = f"; {pair.remedy}" if pair.remedy else ""
        yield f"{pairing} may not build: {pair.cause} (known of {pair.release or pair.os}){remedy}"
    elif outlook != BUILDS:
        yield f"nobody recorded a build of {pairing}"
