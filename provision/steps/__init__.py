"""What is due: drift, and the next step."""

from provision.steps.drift import Due, NotApplicable, drift, limit_of, not_applicable
from provision.steps.facts import admitted, contradictions
from provision.steps.next_step import Done, Reboot, Step, Stop, Stretch, next_step, proven_trial, transaction
from provision.steps.reach import Reach
from provision.steps.resource import difference
from provision.steps.stamp import boot_scoped, dependents, desired

__all__ = [
    "Done",
    "Due",
    "NotApplicable",
    "Reach",
    "Reboot",
    "Step",
    "Stop",
    "Stretch",
    "admitted",
    "boot_scoped",
    "contradictions",
    "dependents",
    "desired",
    "difference",
    "drift",
    "limit_of",
    "next_step",
    "not_applicable",
    "proven_trial",
    "transaction",
]
