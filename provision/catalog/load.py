"""The one loader of the catalog's data files: `data/KIND.yaml` for every kind of row."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from provision.catalog.catalog import Catalog

OWN = ("as_of", "sources")
"""What the catalog holds beside its kinds of rows."""


@cache
def load() -> Catalog:
    """The catalog that is shipped with this version.

    Raises: pydantic.ValidationError when a data file is broken, ValueError when a name is two sources.
    """
    folder = files(__package__).joinpath("data")
    data: dict[str, dict[str, Any]] = {
        kind: yaml.load(folder.joinpath(f"{kind}.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
        for kind in Catalog.model_fields
        if kind not in OWN
    }
    return Catalog.model_validate(
        {
            "as_of": data["driver_branches"]["collected"],
            "sources": merged_sources({kind: content["sources"] for kind, content in data.items()}),
            **{kind: content["rows"] for kind, content in data.items()},
        }
    )


def merged_sources(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All sources by their names, which every file may use. Raises: ValueError when a name is two sources."""
    found: dict[str, Any] = {}
    for kind, table in tables.items():
        for key, source in table.items():
            if found.setdefault(key, source) != source:
                raise ValueError(f"catalog: source {key} of {kind}.yaml is another one elsewhere")
    return found
