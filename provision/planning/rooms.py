"""Where roles are found: the working directory's `roles/`, then configured paths, then the installed ones."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

import provision
from provision.planning.role import NoPlan, Role

PATH_VARIABLE = "PROVISION_ROLES"


class BrokenRole(NoPlan):
    """A role's room cannot be used; the text says which file and why."""


class Room(BaseModel):
    """One role's folder, and the folders of the same name that it shadows."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    path: Path
    role: type[Role]
    shadows: tuple[Path, ...] = ()


def search_path() -> tuple[Path, ...]:
    """Folders that hold roles, first match wins."""
    package = Path(provision.__file__).parent
    installed = package / "roles" if (package / "roles").is_dir() else package.parent / "roles"
    configured = [Path(entry) for entry in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if entry]
    wanted = [Path.cwd() / "roles", *configured, installed]
    return tuple(dict.fromkeys(path.resolve() for path in wanted if path.is_dir()))


def rooms(path: Sequence[Path] | None = None) -> dict[str, Room]:
    """Every role that can be found, by name.

    Raises: BrokenRole when a `spec.py` cannot be read or does not hold exactly one role.
    """
    found: dict[str, list[Path]] = {}
    for folder in path if path is not None else search_path():
        for spec in sorted(folder.glob("*/spec.py")):
            found.setdefault(spec.parent.name, []).append(spec.parent)
    return {
        name: Room(name=name, path=places[0], role=_load(places[0]), shadows=tuple(places[1:]))
        for name, places in sorted(found.items())
    }


def _load(room: Path) -> type[Role]:
    file = room / "spec.py"
    module_spec = importlib.util.spec_from_file_location(f"provision_role_{room.name}", file)
    if module_spec is None or module_spec.loader is None:
        raise BrokenRole(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(module_spec)
    # Where annotations are looked up (`Literal` in a variable's type).
    sys.modules[module_spec.name] = module
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:
        raise BrokenRole(f"{file} cannot be read: {type(error).__name__}: {error}") from error
    roles = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Role) and value.__module__ == module.__name__
    ]
    if len(roles) != 1:
        raise BrokenRole(f"{file} must define exactly one role, it defines {len(roles)}")
    return roles[0]
