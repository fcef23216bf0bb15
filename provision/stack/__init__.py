"""What fits: one mutually compatible set of versions, or a conflict that tells why there is none."""

from provision.stack.conflict import NoFit
from provision.stack.resolve import resolve

__all__ = ["NoFit", "resolve"]
