"""What brings each feature: one table, so that none is promised which nothing keeps.

A feature that is declared, and of which the plan has no role, is refused: a list of `roles` may leave it out, or a
site's role of the same name may bring something else. Not so a flavour of the modules: it says which versions fit each
other, and a kernel that fits modules which come later is a plan of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from provision.model import NodeSpec
from provision.model.spec import Feature
from provision.planning.role import NoPlan, Role

COMPONENTS: dict[Feature, str] = {
    "rdma": "ofed",
    "containers": "containers",
    "gdrcopy": "gdrcopy",
    "gds": "gds",
    "dcgm": "dcgm",
    "mig": "driver",
    "cdmm": "modules",
    "fabricmanager": "driver",
}
"""Feature -> the component (`order.yaml`) whose role makes it true on the node."""

FLAVOURS: frozenset[Feature] = frozenset({"open", "proprietary"})


def check_features(spec: NodeSpec, roles: Iterable[Role]) -> None:
    """Raises: NoPlan, where nothing in the plan would do what a declared feature says."""
    brought = {role.component for role in roles}
    idle = [feature for feature in spec.features if feature not in FLAVOURS and COMPONENTS[feature] not in brought]
    if not idle:
        return
    told = ", ".join(f"{feature} (by a role that brings {COMPONENTS[feature]})" for feature in idle)
    raise NoPlan(
        f"nothing in this plan would do what these features say: {told}. Add the role to `roles`, leave `roles` out to "
        "have every role that the features ask for, or leave the feature out"
    )
