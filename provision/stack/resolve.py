"""The resolver: from what was declared, known and read to one fitting set of versions, or to a conflict."""

from __future__ import annotations

from dataclasses import replace

from provision.catalog import Catalog, Gpu, find_gpus
from provision.model import NodeSpec, Snapshot, Stack
from provision.platforms import Offers, platform_of
from provision.stack.candidates import Facts, candidates
from provision.stack.conflict import NoFit, clash, contradiction, unknown
from provision.stack.rules import rules
from provision.stack.search import search
from provision.stack.tell import told

NVIDIA = "10de"
DISPLAY = "03"
"""PCI base class of display controllers, 3D controllers among them."""


def resolve(spec: NodeSpec, catalog: Catalog, snapshot: Snapshot | None = None) -> Stack:
    """One mutually compatible set of versions: `kernel`, `page_size`, `driver`, `modules`.

    Args:
        spec: what was declared; pins are kept or refused, never bent.
        catalog: what is known.
        snapshot: a reading of the node. With `offers` in it (a first reading) the choice is made from what the node's
            archive offers and what is installed; without, from the catalog's rows alone, and then a driver may be a
            branch (`580`) where only the branch is known. A kernel is always a whole release.

    Pure and deterministic: the same arguments give the same stack.

    Raises: NoFit.
    """
    facts = _facts(spec, catalog, snapshot)
    stack = _fitting(facts)
    if stack is None:
        raise NoFit(clash(facts, lambda changed: _fitting(_declared_otherwise(facts, changed))))
    return stack


def _fitting(facts: Facts) -> Stack | None:
    found = search(facts, candidates(facts), tuple(rules(facts)))
    return None if found is None else told(facts, found)


def _declared_otherwise(facts: Facts, spec: NodeSpec) -> Facts:
    """The same node under another declaration; of another operating system only the catalog can tell."""
    if spec.os == facts.spec.os:
        return replace(facts, spec=spec)
    return replace(facts, spec=spec, platform=platform_of(facts.catalog, spec.os, spec.arch), offers=None)


def _facts(spec: NodeSpec, catalog: Catalog, snapshot: Snapshot | None) -> Facts:
    try:
        platform = platform_of(catalog, spec.os, spec.arch)
    except LookupError as error:
        raise NoFit(unknown(spec, error, "the catalog's operating systems")) from error
    try:
        gpus = () if spec.gpu is None else find_gpus(catalog.gpus, spec.gpu)
    except LookupError as error:
        raise NoFit(unknown(spec, error, "the catalog's GPUs")) from error
    facts = Facts(spec=spec, catalog=catalog, platform=platform, gpus=gpus, offers=None)
    return facts if snapshot is None else _read(facts, snapshot)


def _read(facts: Facts, snapshot: Snapshot) -> Facts:
    """The facts with what was read on the node. Raises: NoFit when it contradicts what was declared."""
    spec = facts.spec
    if (snapshot.os, snapshot.arch) != (spec.os, spec.arch):
        seen = f"the node runs {snapshot.os} on {snapshot.arch}"
        raise NoFit(contradiction(facts, "declared-os", seen, f"os={snapshot.os}, arch={snapshot.arch}"))
    return replace(facts, gpus=_gpus(facts, snapshot), offers=_offers(snapshot))


def _gpus(facts: Facts, snapshot: Snapshot) -> tuple[Gpu, ...]:
    """The rows of the PCI ids that are there; the declared GPU's where the bus tells nothing that the catalog knows."""
    ids = {
        f"{device.vendor}:{device.device}"
        for device in snapshot.pci
        if device.vendor == NVIDIA and device.pci_class.startswith(DISPLAY)
    }
    there = tuple(gpu for gpu in facts.catalog.gpus if gpu.id in ids)
    if facts.spec.hardware == "absent" or not there:
        return facts.gpus
    if facts.gpus and not {gpu.id for gpu in there} & {gpu.id for gpu in facts.gpus}:
        names = ", ".join(dict.fromkeys(gpu.name for gpu in there))
        raise NoFit(contradiction(facts, "declared-gpu", f"the PCI bus shows {names}", f"gpu={names}"))
    return there


def _offers(snapshot: Snapshot) -> Offers | None:
    """What can be had: offered by the archive, or installed already though the archive dropped it."""
    if snapshot.offers is None:
        return None
    installed = {name: (state.version,) for name, state in snapshot.packages.items() if state.installed}
    names = snapshot.offers.keys() | installed.keys()
    return {name: (*snapshot.offers.get(name, ()), *installed.get(name, ())) for name in sorted(names)}
