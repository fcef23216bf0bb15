"""The one loader of the catalog's data files: `data/KIND.yaml` for every kind of row."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from provision.catalog.catalog import Catalog

OWN = ("as_of", "sources")
"""What the catalog holds beside its kinds of rows."""


@cache
def load() -> Catalog:
    """The catalog that is shipped with this version. Raises: pydantic.ValidationError when a data file is broken."""
    folder = files(__package__).joinpath("data")
    data: dict[str, dict[str, Any]] = {
        kind: yaml.load(folder.joinpath(f"{kind}.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
        for kind in Catalog.model_fields
        if kind not in OWN
    }
    return Catalog.model_validate(
        {
            "as_of": data["driver_branches"]["collected"],
            "sources": {key: source for content in data.values() for key, source in content["sources"].items()},
            **{kind: content["rows"] for kind, content in data.items()},
        }
    )
