"""What is declared of a host in Ansible's variables, and how Ansible is told to reach a host of an inventory file."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from shlex import quote
from typing import Any

from pydantic_core import to_jsonable_python

from provision.inventory import Declared, WrongInventory, host_spec, unknown_keys
from provision.model import NodeSpec
from provision.planning import Room

PREFIX = "provision_"
"""Keys of an inventory are variables under this prefix: `provision_driver`; a role's own have the role's name."""

FLEET = "provision"
"""The variable in which an inventory file's own declaration travels."""

STATE = "provision_state"
"""The host fact that tells a play's tasks of each other, see `provision.engines.ansible.kept`."""

ALONE = "provision_role"
"""The variable by which a role's own tasks say that they are about this role alone."""

DIRECT = {
    "ssh_hostname": "ansible_host",
    "ssh_user": "ansible_user",
    "ssh_port": "ansible_port",
    "ssh_key": "ansible_ssh_private_key_file",
    "_sudo": "ansible_become",
    "_sudo_user": "ansible_become_user",
}


def declared(
    host: str, variables: Mapping[str, Any], found: Mapping[str, Room], template: Callable[[Any], Any]
) -> NodeSpec:
    """What is declared of a host.

    Args:
        host: its name.
        variables: all variables that Ansible has for it.
        found: the roles that can be found.
        template: evaluates a variable's Jinja.

    Raises: WrongInventory, in the words of an inventory file's mistakes.
    """
    keys: dict[str, Any] = {}
    if FLEET in variables:
        keys = _keys(host_spec(host, {FLEET: _plain(template(variables[FLEET]))}))
    for name in variables:
        key = _key(name, found)
        if not key:
            continue
        value = _plain(template(variables[name]))
        # A role at work brings its defaults/main.yml among the variables, above whatever an inventory file declared.
        if key not in keys or not _is_default(key, value, found):
            keys[key] = value
    if ALONE in variables:
        keys["roles"] = [_plain(template(variables[ALONE]))]
    if not keys:
        raise WrongInventory([f"{host}: nothing is declared of it; provision_os and provision_arch are the least"])
    # What begins like a role's may be somebody else's (`dcgm_exporter_port`); what has our own prefix is ours.
    ours = [key for name in variables if name.startswith(PREFIX) and (key := _key(name, found))]
    mistakes = [f"{host}: {text}" for text in unknown_keys(ours, found)]
    try:
        spec = host_spec(host, keys)
    except WrongInventory as error:
        mistakes += [text for text in error.mistakes if text not in mistakes]
        raise WrongInventory(mistakes) from None
    if mistakes:
        raise WrongInventory(mistakes)
    return spec


def chosen_roles(found: Collection[str], variables: Mapping[str, Any]) -> frozenset[str] | None:
    """The roles that `--tags` and `--skip-tags` leave; None where they leave all, and for a role's own tasks."""
    run, skipped = variables["ansible_run_tags"], variables["ansible_skip_tags"]
    if ALONE in variables:
        return None
    wanted = set(found) if {"all", "tagged"} & set(run) else set(found) & set(run)
    left = wanted - set(skipped)
    return None if left == set(found) else frozenset(left)


def connection(host: Declared) -> dict[str, Any]:
    """Ansible's variables for a host of an inventory file."""
    data = host.data
    result: dict[str, Any] = {FLEET: host.spec.model_dump(mode="json")}
    result |= {DIRECT[key]: data[key] for key in DIRECT if key in data}
    # pyinfra's own default for a host that is not known yet.
    options = [f"-o StrictHostKeyChecking={data.get('ssh_strict_host_key_checking', 'accept-new')}"]
    if "ssh_known_hosts_file" in data:
        options.append(f"-o UserKnownHostsFile={data['ssh_known_hosts_file']}")
    if data.get("ssh_forward_agent"):
        options.append("-o ForwardAgent=yes")
    if "ssh_config_file" in data:
        options.append(f"-F {quote(str(data['ssh_config_file']))}")
    return result | {"ansible_ssh_common_args": " ".join(options)}


def _key(variable: str, found: Mapping[str, Room]) -> str:
    """The inventory's key for a variable; empty where it is none of ours."""
    if variable.startswith(PREFIX):
        return "" if variable in {STATE, ALONE} else variable.removeprefix(PREFIX)
    return variable if variable.startswith(tuple(f"{name}_" for name in found)) else ""


def _is_default(key: str, value: Any, found: Mapping[str, Room]) -> bool:
    """Is it a role's own variable, and what that is where nobody says?"""
    for name, room in found.items():
        field = room.role.model_fields.get(key.removeprefix(f"{name}_")) if key.startswith(f"{name}_") else None
        if field is not None and not field.is_required():
            return bool(value == to_jsonable_python(field.get_default(call_default_factory=True)))
    return False


def _keys(spec: NodeSpec) -> dict[str, Any]:
    """A declaration as an inventory writes it."""
    own = spec.model_dump(mode="json", exclude_defaults=True, exclude={"variables"})
    return own | {f"{role}_{name}": value for role, values in spec.variables.items() for name, value in values.items()}


def _plain(value: Any) -> Any:
    """Without Ansible's tags, which follow a value from where it came."""
    return json.loads(json.dumps(value))
