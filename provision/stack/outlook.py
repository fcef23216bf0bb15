"""How sure it is that something builds for a kernel."""

from __future__ import annotations

from provision.catalog import DocaPrebuilt, Kernel, KernelDocaPair, KernelDriverPair
from provision.stack.facts import Candidate, Facts

BUILDS, UNKNOWN, DOUBTFUL, FAILS = range(4)
"""BUILDS: seen. UNKNOWN: nobody tried. DOUBTFUL: a failure was inferred, or one of an older release of this kernel is
known. FAILS: seen, or between two releases that were seen to fail."""


def build_outlook(facts: Facts, modules: Candidate, kernel: Candidate) -> tuple[int, KernelDriverPair | None]:
    """How sure it is that these modules build for this kernel, and the row that says so."""
    told: tuple[int, KernelDriverPair | None] = (UNKNOWN, None)
    for pair in _driver_pairs(facts, modules, kernel):
        newer, older = _newer(facts, kernel.version, pair.last), _newer(facts, pair.first, kernel.version)
        if not newer and not older:
            if pair.builds:
                return (BUILDS if pair.verified else UNKNOWN), pair
            told = (FAILS if pair.verified else DOUBTFUL), pair
        elif newer and not pair.builds and told[0] == UNKNOWN:
            told = DOUBTFUL, pair
    return told


def doca_outlook(facts: Facts, kernel: Candidate, doca: Candidate) -> tuple[int, KernelDocaPair | DocaPrebuilt | None]:
    """How sure it is that the modules of this DOCA-OFED build for this kernel, and the row that says so.

    A failure that has a remedy is doubtful, not sure.
    """
    for ready in facts.catalog.doca_prebuilt:
        if starts_with(doca.version, ready.doca) and ready.os == facts.spec.os and kernel.version in ready.releases:
            return BUILDS, ready
    told: tuple[int, KernelDocaPair | None] = (UNKNOWN, None)
    for pair in facts.catalog.kernel_doca_pairs:
        if not starts_with(doca.version, pair.doca) or pair.os not in ("", facts.spec.os):
            continue
        if pair.release in ("", kernel.version):
            good, bad = (BUILDS, FAILS) if pair.verified else (UNKNOWN, DOUBTFUL)
            return (good if pair.builds else DOUBTFUL if pair.remedy else bad), pair
        if not pair.builds and _same_flavour(facts, kernel, pair.release):
            told = (DOUBTFUL, pair) if _newer(facts, kernel.version, pair.release) else told
    return told


def starts_with(version: str, pin: str) -> bool:
    """Is `version` what `pin` asks for, part by part? `13.0.2` is a 13 and a 13.0, and no 13.0.20."""
    parts = pin.split(".")
    return version.split(".")[: len(parts)] == parts


def _driver_pairs(facts: Facts, modules: Candidate, kernel: Candidate) -> tuple[KernelDriverPair, ...]:
    """What is recorded of these modules and this flavour of kernel."""
    key = (flavour(kernel).id, modules.version, modules.driver)
    return tuple(p for p in facts.catalog.kernel_driver_pairs if (p.kernel, p.modules, p.driver) == key)


def flavour(kernel: Candidate) -> Kernel:
    """The row of the flavour that a kernel is of."""
    assert isinstance(kernel.row, Kernel)
    return kernel.row


def _same_flavour(facts: Facts, kernel: Candidate, release: str) -> bool:
    try:
        return facts.platform.kernel_row(release).id == flavour(kernel).id
    except LookupError:
        return False


def _newer(facts: Facts, release: str, other: str) -> bool:
    return release != other and facts.platform.newest_first((release, other))[0] == release
