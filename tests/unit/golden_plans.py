"""Plans of the support table as text that a person reads: `make golden` writes them, test_golden.py compares.

A plan is told without reasons and sources, so that a corrected fact does not touch every file.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

import provision
from provision.cli.plan_view import marks, what
from provision.model import NodeSpec, Plan
from provision.planning import Planned, assemble, rooms
from provision.stack import NoFit

HERE = Path(__file__).parent / "golden"
SHIPPED = Path(provision.__file__).parent.parent / "roles"


def cases() -> dict[str, NodeSpec]:
    """Name of the file, without `.txt` -> what is declared."""
    data = yaml.safe_load((HERE / "cases.yaml").read_text())
    declared: dict[str, dict[str, Any]] = {}
    for row in data["table"]:
        for os in row["os"]:
            for gpu in row["gpu"]:
                declared[f"{gpu.lower()}-{os}-{row['arch']}"] = {"os": os, "arch": row["arch"], "gpu": gpu}
    for row in data["more"]:
        declared[row.pop("name")] = row
    return {name: NodeSpec.model_validate({**data["everywhere"], **row}) for name, row in declared.items()}


def told(spec: NodeSpec) -> str:
    """The plan, or the conflict, one line for each thing."""
    try:
        planned = assemble(spec, rooms([SHIPPED]))
    except NoFit as error:
        return f"{_declared(spec)}\nnothing fits\n" + "".join(
            f"  {line}\n" for line in (error.conflict.asked, *(rule.text for rule in error.conflict.rules))
        )
    return "\n".join((_declared(spec), *_versions(planned), *_boots(planned.plan), ""))


def _declared(spec: NodeSpec) -> str:
    given = spec.model_dump(mode="json", exclude_defaults=True)
    return "\n".join(f"{key}: {value}" for key, value in given.items())


def _versions(planned: Planned) -> Iterator[str]:
    yield "\nversions"
    for name, choice in planned.stack.choices.items():
        yield f"  {name} {choice.version}"


def _boots(plan: Plan) -> Iterator[str]:
    for number, boot in enumerate(plan.boots, 1):
        yield f"\nboot {number}"
        for role, entries in groupby(boot, key=lambda entry: entry.role):
            yield f"  {role}"
            for entry in entries:
                resource = entry.resource
                yield f"    {entry.name}  {resource.kind}  {what(resource)} {marks(resource, frozenset())}".rstrip()


if __name__ == "__main__":
    for file in HERE.glob("*.txt"):
        file.unlink()
    for name, spec in cases().items():
        (HERE / f"{name}.txt").write_text(told(spec))
