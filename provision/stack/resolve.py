"""The resolver: from what was declared, known and read to one fitting set of versions, or to a conflict."""

from __future__ import annotations

from dataclasses import replace

from provision.catalog import Catalog, Gpu, find_gpus
from provision.model import NodeSpec, Snapshot, Stack
from provision.platforms import Offers, bus, platform_of
from provision.stack.candidates import candidates
from provision.stack.conflict import NoFit, clash, contradiction, foreign, unknown
from provision.stack.facts import DRIVER_NODE, Facts, Found
from provision.stack.rules import rules
from provision.stack.search import search
from provision.stack.tell import told

NVIDIA = "10de"
DISPLAY = "03"
"""PCI base class of display controllers, 3D controllers among them."""
BRIDGE = "0680"
"""PCI class of NVSwitches; NVIDIA makes no other bridge of this class."""


def resolve(
    spec: NodeSpec, catalog: Catalog, snapshot: Snapshot | None = None, wanted: frozenset[str] = DRIVER_NODE
) -> Stack:
    """One mutually compatible set of versions.

    Args:
        spec: what was declared; pins are kept or refused, never bent.
        catalog: what is known.
        snapshot: a reading of the node. With `offers` in it (a first reading) the choice is made from what the node's
            archive offers and what is installed; without, from the catalog's rows alone, and then a driver may be a
            branch (`580`) where only the branch is known. A kernel is always a whole release.
        wanted: the components that the node's roles ask for: `kernel`, `driver`, `cuda`, `doca`, `container_toolkit`.

    Returns: `kernel` with `page_size`; `driver` with `modules`, `fabric` and, for coherent GPUs, `memory_mode`; `cuda`
    with `gcc` and, where it runs by forward compatibility, `cuda_compat`; `doca`; `container_toolkit`. Beside what is
    wanted there is what a pin (`cuda`, `gcc`, `cuda_compat`, `doca`) or a feature (`rdma`, `containers`) asks for.

    Pure and deterministic: the same arguments give the same stack.

    Raises: NoFit.
    """
    facts = _facts(spec, catalog, snapshot, wanted)
    found = _fitting(facts)
    if found is None:
        raise NoFit(clash(facts, lambda changed: _fitting(_declared_otherwise(facts, changed))))
    return told(facts, found)


def _fitting(facts: Facts) -> Found | None:
    return search(facts, candidates(facts), rules(facts))


def _declared_otherwise(facts: Facts, spec: NodeSpec) -> Facts:
    """The same node under another declaration; of another operating system only the catalog can tell."""
    # What was asked for by a pin stays wanted without it.
    same = replace(facts, spec=spec, wanted=facts.wanted | set(facts.components))
    if spec.os == facts.spec.os:
        return same
    return replace(same, platform=platform_of(facts.catalog, spec.os, spec.arch), offers=None)


def _facts(spec: NodeSpec, catalog: Catalog, snapshot: Snapshot | None, wanted: frozenset[str]) -> Facts:
    try:
        platform = platform_of(catalog, spec.os, spec.arch)
    except LookupError as error:
        raise NoFit(unknown(spec, error, "the catalog's operating systems")) from error
    try:
        gpus = () if spec.gpu is None else find_gpus(catalog.gpus, spec.gpu)
    except LookupError as error:
        raise NoFit(unknown(spec, error, "the catalog's GPUs")) from error
    facts = Facts(spec=spec, catalog=catalog, platform=platform, gpus=gpus, offers=None, wanted=wanted)
    if gpus and not any(spec.arch in gpu.archs for gpu in gpus):
        raise NoFit(foreign(facts))
    return facts if snapshot is None else _read(facts, snapshot)


def _read(facts: Facts, snapshot: Snapshot) -> Facts:
    """The facts with what was read on the node. Raises: NoFit when it contradicts what was declared."""
    spec = facts.spec
    if (snapshot.os, snapshot.arch) != (spec.os, spec.arch):
        seen = f"the node runs {snapshot.os} on {snapshot.arch}"
        raise NoFit(contradiction(facts, "declared-os", seen, f"os={snapshot.os}, arch={snapshot.arch}"))
    gpus, switches = _gpus(facts, snapshot), _switches(facts, snapshot)
    return replace(facts, gpus=gpus, offers=_offers(snapshot), switches=switches)


def _gpus(facts: Facts, snapshot: Snapshot) -> tuple[Gpu, ...]:
    """The rows of the PCI ids that are there; the declared GPU's where the bus tells nothing that the catalog knows."""
    ids = _nvidia(snapshot, DISPLAY)
    there = tuple(gpu for gpu in facts.catalog.gpus if gpu.id in ids)
    if facts.spec.hardware == "absent" or not there:
        return facts.gpus
    if facts.gpus and not {gpu.id for gpu in there} & {gpu.id for gpu in facts.gpus}:
        names = ", ".join(dict.fromkeys(gpu.name for gpu in there))
        raise NoFit(contradiction(facts, "declared-gpu", f"the PCI bus shows {names}", f"gpu={names}"))
    return there


def _switches(facts: Facts, snapshot: Snapshot) -> bool | None:
    """Are there NVSwitches on the bus? A bus on which no GPU is seen either tells nothing."""
    if facts.spec.hardware == "absent" or not _nvidia(snapshot, DISPLAY):
        return None
    return bool(_nvidia(snapshot, BRIDGE))


def _nvidia(snapshot: Snapshot, pci_class: str) -> set[str]:
    """Ids of NVIDIA's PCI functions of a class that this machine has for itself."""
    return {
        f"{device.vendor}:{device.device}"
        for device in snapshot.pci
        if device.vendor == NVIDIA and device.pci_class.startswith(pci_class) and device.driver not in bus.FOR_GUESTS
    }


def _offers(snapshot: Snapshot) -> Offers | None:
    """What can be had: offered by the archive, or installed already though the archive dropped it."""
    if snapshot.offers is None:
        return None
    installed = {name: (state.version,) for name, state in snapshot.packages.items() if state.installed}
    names = snapshot.offers.keys() | installed.keys()
    return {name: (*snapshot.offers.get(name, ()), *installed.get(name, ())) for name in sorted(names)}
