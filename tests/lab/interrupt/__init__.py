"""Interrupting a bring-up: a run that kills itself at one remote command, and what is looked at afterwards."""

from interrupt.case import Case, Reference, every_case, faults, midway_cases, reference
from interrupt.project import Engine, Kill, Project, Run
from interrupt.state import differences, read_state

__all__ = [
    "Case",
    "Engine",
    "Kill",
    "Project",
    "Reference",
    "Run",
    "differences",
    "every_case",
    "faults",
    "midway_cases",
    "read_state",
    "reference",
]
