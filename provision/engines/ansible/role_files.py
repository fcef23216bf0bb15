"""What Ansible and its users read of a role, written from the role's model: `provision roles render`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from provision.engines.ansible.declared import ALONE, PREFIX
from provision.engines.ansible.stage import BOOTS
from provision.model import NodeSpec
from provision.planning import Role, Room, order

HEAD = "# Written by `provision roles render` from spec.py; change that, and render again.\n"

WORDS = {
    "boolean": "True or false.",
    "integer": "A whole number.",
    "number": "A number.",
    "array": "A list.",
    "object": "A dictionary.",
}
"""What is said of a JSON schema's types that are not text."""


def files(room: Room) -> dict[str, str]:
    """The generated files of a role: path below its folder -> text."""
    return {
        "README.md": readme(room),
        "defaults/main.yml": _yaml(defaults(room), "# A pin has no default: what is not chosen is resolved.\n"),
        "meta/argument_specs.yml": _yaml(argument_specs(room)),
        "meta/main.yml": _yaml(_meta(room)),
        "tasks/main.yml": _yaml(tasks(room)),
    }


def stale(room: Room) -> tuple[str, ...]:
    """Generated files of a role that are not as they would be written now."""
    return tuple(
        path
        for path, text in files(room).items()
        if not (room.path / path).is_file() or (room.path / path).read_text() != text
    )


def defaults(room: Room) -> dict[str, Any]:
    """The role's variables that have a value without being chosen."""
    return {f"{room.name}_{name}": value for name, value in _values(room.role) if value is not None}


def argument_specs(room: Room) -> dict[str, Any]:
    """What `ansible-doc -t role` shows; a value is checked by the role's own model."""
    schema = room.role.model_json_schema()["properties"]
    chosen = dict(_values(room.role))
    own = {
        f"{room.name}_{name}": _option(schema[name], field, chosen.get(name))
        for name, field in room.role.model_fields.items()
    }
    declared = NodeSpec.model_json_schema()["properties"]
    common = {
        f"{PREFIX}{name}": _option(declared[name], field, None)
        for name, field in NodeSpec.model_fields.items()
        if name not in {"variables", "roles"}
    }
    main = {
        "short_description": summary(room.role),
        "description": [*_paragraphs(room.role), "Variables are checked by provision itself before any connection."],
        "options": {**own, **common},
    }
    return {"argument_specs": {"main": main}}


def tasks(room: Room) -> list[dict[str, Any]]:
    """This role's part of the plan, for use alone."""
    block: list[dict[str, Any]] = []
    for boot in range(BOOTS):
        block.append(_step(f"Read the node before boot {boot + 1}, and reboot it if that is next", {"boot": boot}))
        block.append(_loop(boot, f"__{room.name}_done"))
    block.append(_step("Nothing is due", {"last": True}))
    name = f"Bring the node to what {room.name} wants of it"
    return [{"name": name, "vars": {ALONE: room.name}, "block": block}]


def readme(room: Room) -> str:
    """The role's page."""
    return "\n".join(
        [
            f"<!-- {HEAD.lstrip('# ').rstrip()} -->",
            f"# {room.name}",
            "",
            *_blocks(_paragraphs(room.role)),
            "## Variables",
            "",
            *_table(room),
            "",
            "What is declared of a node beside these (`os`, `arch`, `gpu`, pins) are the keys of an inventory; in a",
            f"playbook without one of ours they are `{PREFIX}os`, `{PREFIX}arch`, `{PREFIX}gpu` and so on.",
            "",
            "## Order",
            "",
            *_order(room.role),
            "",
            "## Alone",
            "",
            "```yaml",
            "- hosts: all",
            "  gather_facts: false",
            "  roles:",
            f"    - role: provision.core.{room.name}",
            "```",
            "",
            "```python",
            "from provision.pyinfra import role",
            "",
            f'role("{room.name}")',
            "```",
            "",
        ]
    )


def summary(role: type[Role]) -> str:
    """The first line of the role's docstring."""
    return next(iter(_paragraphs(role)), "")


def _paragraphs(role: type[Role]) -> list[str]:
    return [" ".join(part.split()) for part in (role.__doc__ or "").split("\n\n") if part.strip()]


def _values(role: type[Role]) -> Iterable[tuple[str, Any]]:
    for name, field in role.model_fields.items():
        if not field.is_required():
            yield name, to_jsonable_python(field.get_default(call_default_factory=True))


def _option(schema: Mapping[str, Any], field: FieldInfo, default: Any) -> dict[str, Any]:
    """Text is `str`, which takes anything, and all else `raw`: what a type of Ansible's does not take is refused in
    Ansible's words before the role's model is asked, and a mistake is to be told alike wherever it is made."""
    kind = _type(schema)
    told = [field.description or "See the role's page.", *([WORDS[kind]] if kind in WORDS else [])]
    option: dict[str, Any] = {"type": "str" if kind == "string" else "raw", "description": told}
    if default is not None:
        option["default"] = default
    return option


def _type(schema: Mapping[str, Any]) -> str:
    """The JSON schema's own type; empty where only our model knows."""
    given = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    return str(given[0].get("type", "")) if len(given) == 1 else ""


def _meta(room: Room) -> dict[str, Any]:
    return {
        "galaxy_info": {
            "author": "the provision authors",
            "description": summary(room.role),
            "license": "Apache-2.0",
            "min_ansible_version": "2.19",
        },
        "dependencies": [],
    }


def _step(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "provision.core.step": dict(arguments)}


def _loop(boot: int, done: str) -> dict[str, Any]:
    return {
        "name": f"Boot {boot + 1}",
        "provision.core.resource": {"name": "{{ item.name }}"},
        "loop": f"{{{{ query('provision.core.plan', boot={boot}) }}}}",
        "loop_control": {"label": "{{ item.title }}", "break_when": [f"{done} is failed"]},
        "register": done,
    }


def _table(room: Room) -> list[str]:
    chosen = dict(_values(room.role))
    rows = [
        f"| `{room.name}_{name}` | {_shown(name, chosen)} | {field.description or ''} |"
        for name, field in room.role.model_fields.items()
    ]
    return ["| variable | default | |", "| --- | --- | --- |", *rows] if rows else ["It has none of its own."]


def _shown(name: str, chosen: Mapping[str, Any]) -> str:
    if name not in chosen:
        return "must be given"
    return "" if chosen[name] is None else f"`{chosen[name]!r}`"


def _order(role: type[Role]) -> list[str]:
    rules = [rule for rule in order().rules if role.component in {rule.before, rule.after}]
    told = [f"- {rule.before} before {rule.after}: {rule.why} [{rule.source}]" for rule in rules]
    follows = [f"- after {component}" for component in role.follows]
    return [*told, *follows] or ["No rule says where it stands."]


def _blocks(paragraphs: Iterable[str]) -> list[str]:
    return [line for paragraph in paragraphs for line in (paragraph, "")]


class _Dumper(yaml.SafeDumper):
    """Lists indented under their key, as ansible-lint wants them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _yaml(data: Any, comment: str = "") -> str:
    return f"---\n{HEAD}{comment}" + yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
