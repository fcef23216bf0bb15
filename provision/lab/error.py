"""What goes wrong in the lab, told to a person: one paragraph with the evidence and the next thing to do."""

from __future__ import annotations


class LabError(Exception):
    """The message is the whole story; the command line prints it and nothing else."""


class InputError(LabError):
    """What was asked for cannot be: nothing was tried."""
