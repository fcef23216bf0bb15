"""What is decided (components, candidates) and what a decision may look at (facts)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

from provision.catalog import Catalog, Gpu, Row
from provision.model import NodeSpec
from provision.platforms import Offers, Platform
from provision.stack.compatibility import How

Component = Literal["modules", "driver", "kernel", "cuda", "gcc", "doca", "container_toolkit", "fabric", "memory_mode"]
COMPONENTS: tuple[Component, ...] = get_args(Component)
"""In the order in which they are chosen: what stands first is bent last."""

DRIVER_NODE = frozenset({"kernel", "page_size", "modules", "driver"})
"""What a node gets whose roles ask for nothing else."""

K64 = 65536
BASE_PAGE = 4096


@dataclass(frozen=True)
class Candidate:
    """One possible choice. `modules` are of one driver version; a toolkit runs on its driver in one way."""

    component: Component
    version: str
    driver: str = ""
    how: How | None = None
    row: Row | None = field(default=None, compare=False)
    """The row of the catalog that it comes from; None for what was only declared or read."""


Domains = dict[Component, tuple[Candidate, ...]]
Found = dict[Component, Candidate]


@dataclass(frozen=True)
class Facts:
    """All that the rules may look at."""

    spec: NodeSpec
    catalog: Catalog
    platform: Platform
    gpus: tuple[Gpu, ...]
    """Rows of the declared GPU, or of those that are there; empty when neither is known."""
    offers: Offers | None
    """What the node's archive offers and what is installed; None when it was not asked."""
    wanted: frozenset[str] = DRIVER_NODE
    """The components that the node's roles ask for; a pin or a feature asks for its own."""
    switches: bool | None = None
    """Are there NVSwitches on the PCI bus? None: it was not read, or shows no GPU."""

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """The components that are chosen for this node."""
        return tuple(component for component in COMPONENTS if self._has(component))

    def _has(self, component: Component) -> bool:
        spec, features = self.spec, self.spec.features
        match component:
            case "modules" | "driver" | "fabric":
                return bool(self.wanted & {"modules", "driver"})
            case "kernel":
                return bool(self.wanted & {"kernel", "page_size"})
            case "cuda" | "gcc":
                return "cuda" in self.wanted or bool(spec.cuda or spec.gcc or spec.cuda_compat)
            case "doca":
                return "doca" in self.wanted or bool(spec.doca) or "rdma" in features
            case "container_toolkit":
                return "container_toolkit" in self.wanted or "containers" in features
            case "memory_mode":
                return self._has("driver") and (self.coherent or "cdmm" in features)

    @property
    def gpu_name(self) -> str:
        return self.spec.gpu or " and ".join(dict.fromkeys(gpu.name for gpu in self.gpus))

    @property
    def coherent(self) -> bool:
        return any(gpu.coherent for gpu in self.gpus)

    @property
    def wanted_page_size(self) -> int:
        """Bytes. 64K on Grace, and on an arm64 machine of which no GPU is declared; elsewhere what the machine has."""
        grace = self.coherent or not self.gpus
        return K64 if self.platform.arch == "aarch64" and grace else BASE_PAGE
