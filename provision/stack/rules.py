"""What must hold of a stack: small predicates over one or two components.

The statement of each rule, and the source it rests on, stand in the catalog (`rules.yaml`) under the same id.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.catalog import ContainerToolkit
from provision.model import Reason
from provision.stack.cuda_rules import cuda_rules
from provision.stack.driver_rules import driver_rules
from provision.stack.facts import Candidate, Domains, Facts
from provision.stack.hardware_rules import hardware_rules
from provision.stack.kernel_rules import kernel_rules
from provision.stack.reasons import from_row
from provision.stack.rule import Rule, about


def rules(facts: Facts) -> tuple[Rule, ...]:
    """The rules that bind this node. A choice that breaks none of them is a stack."""
    bound = (*driver_rules(facts), *kernel_rules(facts), *cuda_rules(facts), *hardware_rules(facts), _CONTAINERS)
    return tuple(rule for rule in bound if set(rule.components) <= set(facts.components))


def _is_good(_facts: Facts, candidate: Candidate) -> bool:
    return not isinstance(candidate.row, ContainerToolkit) or candidate.row.good


def _faults(facts: Facts, domains: Domains) -> Iterator[Reason]:
    for candidate in domains["container_toolkit"]:
        if isinstance(candidate.row, ContainerToolkit) and not candidate.row.good:
            yield from_row(facts, f"container toolkit {candidate.version}: {candidate.row.fault}", candidate.row)


_CONTAINERS = about("container_toolkit", "container-toolkit-good", _is_good, _faults)
