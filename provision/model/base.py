"""The base of every model at a border: frozen, and strict about unknown keys."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def canonical(model: BaseModel) -> str:
    """One text per meaning: keys sorted, defaults left out, so a new field with a default changes nothing.

    A discriminator (`kind`) is a default too; it is kept, because two kinds may look alike without it. A field that
    models leave out of their data (`exclude`) is no part of the meaning.
    """
    return json.dumps(_canonical(model), sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    """The short name of a canonical text: 16 hexadecimal digits of its sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    if isinstance(value, BaseModel):
        set_fields = {
            name: getattr(value, name)
            for name, field in type(value).model_fields.items()
            if not field.exclude
            and (name == "kind" or getattr(value, name) != field.get_default(call_default_factory=True))
        }
        return {name: _canonical(item) for name, item in set_fields.items()}
    if isinstance(value, dict):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(_canonical(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    return value
