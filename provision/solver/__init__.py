"""Proves a plan before a node is touched: the package manager's own solver, over the archive's signed indices."""

from provision.solver.prove import NotHere, Outcome, Proof, SolvedBoot, prove
from provision.solver.root import Unfetched

__all__ = ["NotHere", "Outcome", "Proof", "SolvedBoot", "Unfetched", "prove"]
