"""`--set key=value`: what is declared of a node, changed or made up on the command line. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from provision.inventory import SPEC_KEYS, WrongInventory, checked_spec
from provision.model import NodeSpec
from provision.planning import Room

LISTS = frozenset({"features", "roles"})
"""Keys that take several words, separated by commas."""


def settings(texts: Iterable[str]) -> dict[str, str]:
    """Key and value of every `key=value`; of one key the last counts. Raises: WrongInventory."""
    each = tuple(texts)
    if wrong := [text for text in each if "=" not in text]:
        raise WrongInventory([f"--set {text}: it takes key=value" for text in wrong])
    return {key.strip(): value.strip() for key, _, value in (text.partition("=") for text in each)}


def declared_by(changes: Mapping[str, str], found: dict[str, Room], spec: NodeSpec | None = None) -> NodeSpec:
    """A declaration with these changes. An empty value takes back what was declared.

    Args:
        changes: keys as in an inventory; `ROLE_variable` is a key too.
        found: the roles that can be found.
        spec: what is changed; without, everything comes from the changes.

    Raises: WrongInventory, naming every wrong key and value with what is close.
    """
    keys = {} if spec is None else _keys(spec)
    for key, text in changes.items():
        keys.pop(key, None)
        if text:
            keys[key] = _value(key, text)
    return checked_spec(keys, found)


def _keys(spec: NodeSpec) -> dict[str, Any]:
    """A declaration as an inventory writes it."""
    own = spec.model_dump(exclude_defaults=True, exclude={"variables"})
    return own | {f"{role}_{name}": value for role, values in spec.variables.items() for name, value in values.items()}


def _value(key: str, text: str) -> Any:
    if key in LISTS:
        return tuple(word for part in text.split(",") if (word := part.strip()))
    return text if key in SPEC_KEYS else _variable(text)


def _variable(text: str) -> Any:
    """A role's variable: JSON where it is some, otherwise the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
