"""What NVIDIA's CUDA installation guides list of operating systems."""

from __future__ import annotations

from provision.catalog import CudaToolkit, SupportedSystem, branch_of
from provision.stack.facts import Facts
from provision.stack.outlook import starts_with


def rows_of(facts: Facts) -> list[SupportedSystem]:
    """What any guide says of the node's operating system, the newest edition first."""
    rows = [row for row in facts.catalog.supported_systems if _about(facts, row)]
    return sorted(rows, key=lambda row: [int(part) if part.isdigit() else -1 for part in row.cuda.split(".")])[::-1]


def guide_of(facts: Facts, toolkit: CudaToolkit) -> list[SupportedSystem]:
    """The guide of a toolkit's minor, else those of its major; empty when none was read."""
    rows = facts.catalog.supported_systems
    own = [row for row in rows if starts_with(row.cuda, toolkit.minor)]
    return own or [row for row in rows if branch_of(row.cuda) == branch_of(toolkit.id)]


def guide_row(facts: Facts, toolkit: CudaToolkit) -> SupportedSystem | None:
    """What that guide says of the node's operating system; None where it is silent."""
    return next((row for row in guide_of(facts, toolkit) if _about(facts, row)), None)


def _about(facts: Facts, row: SupportedSystem) -> bool:
    """Where a guide names a major only (`rhel9`), it means every point release of it."""
    os = facts.spec.os
    return row.arch == facts.spec.arch and (os == row.os or os.startswith(f"{row.os}."))
