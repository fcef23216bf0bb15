"""What must hold between GPUs, what connects them, how their memory is used and how they are divided."""

from __future__ import annotations

from collections.abc import Iterator

from provision.catalog import Fabric
from provision.model import Reason
from provision.stack.driver_rules import at_least
from provision.stack.facts import Candidate, Domains, Facts
from provision.stack.reasons import from_row
from provision.stack.rule import Rule, about

MANAGER = "fabricmanager"
FABRICS: dict[Fabric, str] = {
    "none": "none",
    "nvswitch": MANAGER,
    "nvlink5": f"nvlsm+{MANAGER}",
    "rack": "imex",
}
"""What connects the GPUs -> what must run on the host for it."""
MEMORY_MODES = ("numa", "cdmm")
"""A coherent GPU's memory is a NUMA node of the system, or (Coherent Driver-based Memory Management) the driver's."""


def hardware_rules(facts: Facts) -> Iterator[Rule]:
    """The rules over the hardware that bind this node."""
    features = facts.spec.features
    if "mig" in features and facts.gpus:
        yield about("driver", "mig-gpu", lambda facts, _: _has_mig(facts), _no_mig)
        yield about("driver", "mig-driver", _serves_mig, _mig_from)
    if _asks_for_manager(facts):
        yield about("fabric", "fabricmanager-wanted", lambda _, fabric: MANAGER in fabric.version)
    if facts.spec.fabricmanager is False:
        yield about("fabric", "fabricmanager-refused", lambda _, fabric: MANAGER not in fabric.version)
    if facts.gpus:
        yield about("fabric", "fabric-gpu", _is_built_so, _built)
    if facts.switches is not None:
        yield about("fabric", "fabric-bus", _fits_the_bus, _bus)
    if "cdmm" in features:
        yield about("memory_mode", "cdmm-wanted", lambda _, mode: mode.version == "cdmm")
        yield Rule("cdmm-driver", ("driver", "memory_mode"), _has_cdmm)
    if facts.gpus:
        yield about(
            "memory_mode", "cdmm-coherent", lambda facts, mode: facts.coherent or mode.version != "cdmm", _split
        )


def _asks_for_manager(facts: Facts) -> bool:
    return facts.spec.fabricmanager is True or MANAGER in facts.spec.features


# MIG


def _has_mig(facts: Facts) -> bool:
    return any(gpu.mig for gpu in facts.gpus)


def _no_mig(facts: Facts, _: Domains) -> Iterator[Reason]:
    for gpu in facts.gpus[:1]:
        yield from_row(facts, f"{gpu.name} is not among the GPUs that MIG is for", gpu)


def _serves_mig(facts: Facts, driver: Candidate) -> bool:
    floors = [gpu.mig_from for gpu in facts.gpus if gpu.mig_from is not None]
    return not floors or any(at_least(facts, driver.version, floor) for floor in floors)


def _mig_from(facts: Facts, _: Domains) -> Iterator[Reason]:
    for gpu in facts.gpus[:1]:
        yield from_row(facts, f"{gpu.name} has MIG from driver {gpu.mig_from} on", gpu)


# What connects the GPUs


def _is_built_so(facts: Facts, fabric: Candidate) -> bool:
    """Nothing runs on the host when that was declared, or when the bus shows that another host has the switches."""
    left_out = facts.spec.fabricmanager is False or facts.switches is False
    built = {FABRICS[name] for gpu in facts.gpus for name in gpu.fabrics}
    return fabric.version in built or (left_out and fabric.version == FABRICS["none"])


def _built(facts: Facts, _: Domains) -> Iterator[Reason]:
    for gpu in facts.gpus[:1]:
        kinds = " or ".join(dict.fromkeys(FABRICS[name] for one in facts.gpus for name in one.fabrics))
        yield from_row(facts, f"on the host, {gpu.name} machines run {kinds.replace('none', 'neither')}", gpu)


def _fits_the_bus(facts: Facts, fabric: Candidate) -> bool:
    """Only switches of the older kind are PCI functions; of the others the bus says nothing."""
    if fabric.version == MANAGER:
        return bool(facts.switches)
    return not facts.switches or facts.spec.fabricmanager is False


def _bus(facts: Facts, _: Domains) -> Iterator[Reason]:
    seen = "shows" if facts.switches else "shows no"
    yield Reason(text=f"the PCI bus {seen} NVSwitch", source="the node's snapshot", verified=True)


# Memory of coherent GPUs


def _has_cdmm(facts: Facts, driver: Candidate, mode: Candidate) -> bool:
    floor = facts.catalog.rule["cdmm-driver"].driver
    return mode.version != "cdmm" or not floor or at_least(facts, driver.version, floor)


def _split(facts: Facts, _: Domains) -> Iterator[Reason]:
    for gpu in facts.gpus[:1]:
        yield from_row(facts, f"{gpu.device} has memory of its own, apart from the processor's", gpu)
