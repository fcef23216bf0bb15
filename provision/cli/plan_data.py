"""A plan as data: what `provision plan --json` prints (docs/json.md). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from pydantic import JsonValue

from provision.cli.plan_view import Clash, Group
from provision.model import Plan, Reason, Stack


def as_data(groups: Iterable[Group], clashes: Iterable[Clash]) -> dict[str, JsonValue]:
    """Everything, under the number of the schema; keys are only ever added under one number."""
    return {
        "schema": 1,
        "groups": [group_as_data(group) for group in groups],
        "conflicts": [clash_as_data(clash) for clash in clashes],
    }


def group_as_data(group: Group) -> dict[str, JsonValue]:
    planned = group.planned
    return {
        "nodes": list(group.nodes),
        "declared": planned.spec.model_dump(mode="json", exclude_defaults=True),
        "versions_from": "archive" if group.reading and group.reading.offers is not None else "catalog",
        "plan_digest": planned.plan.digest,
        "stack": _stack(planned.stack),
        "plan": _stretches(planned.plan),
        "warnings": list(planned.stack.warnings),
        "needs": [need.model_dump(mode="json") for need in planned.needs],
        **({"standins": group.standins.model_dump(mode="json")} if group.standins else {}),
    }


def clash_as_data(clash: Clash) -> dict[str, JsonValue]:
    conflict = clash.conflict
    return {
        "nodes": list(clash.nodes),
        "asked": conflict.asked,
        "rules": [reason_as_data(rule) for rule in conflict.rules],
        "nearest": list(conflict.nearest),
    }


def reason_as_data(reason: Reason) -> dict[str, JsonValue]:
    return {"text": reason.text, "source": reason.source, "verified": reason.verified, "fact": reason.fact}


def _stack(stack: Stack) -> dict[str, JsonValue]:
    return {
        name: {"version": choice.version, "why": [reason_as_data(reason) for reason in choice.reasons]}
        for name, choice in stack.choices.items()
    }


def _stretches(plan: Plan) -> list[JsonValue]:
    """The resources in order: of one boot and role, as long as they follow each other."""
    return [
        {"role": role, "boot": boot, "resources": [entry.resource.model_dump(mode="json") for entry in entries]}
        for boot, members in enumerate(plan.boots)
        for role, entries in groupby(members, key=lambda entry: entry.role)
    ]
