"""Statements, each with what it rests on."""

from __future__ import annotations

from provision.catalog import Row
from provision.model import Reason
from provision.stack.facts import Facts

NODE_ARCHIVE = "the node's own archive, asked in its first reading"


def from_row(facts: Facts, text: str, row: Row) -> Reason:
    """A statement that rests on a row of the catalog."""
    return Reason(text=text, source=facts.catalog.cite(row.source), verified=row.verified, fact=facts.catalog.ref(row))


def from_rule(facts: Facts, rule_id: str) -> Reason:
    """The statement of a rule, about this node."""
    row, spec = facts.catalog.rule[rule_id], facts.spec
    words = {
        "gpu": facts.gpu_name,
        "os": facts.platform.os.name,
        "arch": facts.platform.arch,
        "driver": spec.driver,
        "kernel": spec.kernel,
        "cuda": spec.cuda,
        "doca": spec.doca,
        "gcc": spec.gcc,
    }
    return from_row(facts, row.text.format(**words), row)


def archive(facts: Facts, text: str, row: Row) -> Reason:
    """A statement about what is offered: by the node's own archive, or by what the catalog knows of it."""
    if facts.offers is not None:
        return Reason(text=text, source=NODE_ARCHIVE, verified=True)
    return from_row(facts, text, row)
