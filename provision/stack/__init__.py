"""What fits: one mutually compatible set of versions, or a conflict that tells why there is none."""

from provision.stack.compatibility import Standing, standing
from provision.stack.conflict import NoFit
from provision.stack.facts import DRIVER_NODE
from provision.stack.resolve import resolve

__all__ = ["DRIVER_NODE", "NoFit", "Standing", "resolve", "standing"]
