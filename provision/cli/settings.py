"""`--set key=value`: what is declared of a node, changed or made up on the command line. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from provision.inventory import SPEC_KEYS, WrongInventory, checked_spec
from provision.model import NodeSpec
from provision.planning import Room


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
    keys, lists = {} if spec is None else _keys(spec), _lists(found)
    for key, text in changes.items():
        keys.pop(key, None)
        if text:
            keys[key] = _listed(text) if key in lists else _value(key, text)
    return checked_spec(keys, found)


def _keys(spec: NodeSpec) -> dict[str, Any]:
    """A declaration as an inventory writes it."""
    own = spec.model_dump(exclude_defaults=True, exclude={"variables"})
    return own | {f"{role}_{name}": value for role, values in spec.variables.items() for name, value in values.items()}


def _lists(found: Mapping[str, Room]) -> frozenset[str]:
    """Keys that take several words: of every node, and of the roles that are found."""
    fields = dict(NodeSpec.model_fields)
    for name, room in found.items():
        fields |= {f"{name}_{variable}": field for variable, field in room.role.model_fields.items()}
    return frozenset(key for key, field in fields.items() if _takes_several(field.annotation))


def _takes_several(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    return origin in {list, tuple, set, frozenset} or any(
        _takes_several(part) for part in get_args(annotation) if origin in {Union, UnionType}
    )


def _listed(text: str) -> Any:
    """Words separated by commas; JSON where it is a list of that, for words that hold a comma themselves."""
    if text.startswith("["):
        return _variable(text)
    return [word for part in text.split(",") if (word := part.strip())]


def _value(key: str, text: str) -> Any:
    return text if key in SPEC_KEYS else _variable(text)


def _variable(text: str) -> Any:
    """A role's variable: JSON where it is some, otherwise the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
