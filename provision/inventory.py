"""Inventories: `fleet(...)` checks every host and key before any connection is made, and hands pyinfra what it wants.

An inventory file is Python; pyinfra reads its attributes as groups. It is the only place before a connection, so a
wrong one ends there: one paragraph that names every mistake of the file, and exit code 2.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from provision.catalog import find_gpus, load
from provision.ledger import Ledger
from provision.model import Frozen, NodeSpec, refusals
from provision.planning import (
    BrokenOrder,
    BrokenRole,
    NoPlan,
    Room,
    WrongVariables,
    alike,
    assemble,
    check_order,
    instance,
    rooms,
)
from provision.stack import NoFit

Host: TypeAlias = str | tuple[str, dict[str, Any]]
Group: TypeAlias = tuple[list[Host], dict[str, Any]]

SPEC_KEYS = frozenset(NodeSpec.model_fields) - {"variables"}
PATH_KEYS = frozenset({"ssh_key", "ssh_config_file", "ssh_known_hosts_file"})
CONNECTION_KEYS = PATH_KEYS | {
    "ssh_user",
    "ssh_port",
    "ssh_hostname",
    "ssh_strict_host_key_checking",
    "ssh_forward_agent",
}
OWN_KEYS = frozenset({"sudo", "sudo_user"})

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?")
NEAR = 0.75
"""How alike a key of somebody else's must be to one of ours to be taken for a misspelling of it."""

SEVERAL = 3
"""Nodes that are named where a sentence is about many."""

REBOOT_RETRIES = {"ssh_connect_retries": 1800, "ssh_connect_retry_min_delay": 0.3, "ssh_connect_retry_max_delay": 0.7}
"""For a node whose reboot an earlier run ordered and did not see the end of; no other node is waited for."""


class WrongInventory(ValueError):
    """An inventory with mistakes; the text names every one of them."""

    def __init__(self, mistakes: Sequence[str], path: Path | None = None) -> None:
        where = f"{path}: " if path else ""
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        # One paragraph, whatever a name or a value holds.
        told = "; ".join(" ".join(text.split()).rstrip(".") for text in mistakes)
        super().__init__(f"{where}{count}: {told}. No machine was touched.")
        self.mistakes = tuple(mistakes)


_collected: ContextVar[list[str] | None] = ContextVar("mistakes of the inventory that is being read", default=None)


class Declared(Frozen):
    """One host of an inventory: its declaration, and pyinfra's data of it."""

    spec: NodeSpec
    data: dict[str, Any]
    groups: tuple[str, ...] = ()
    """Names under which the file holds it."""


def fleet(hosts: Iterable[Host], *, sudo: bool = False, sudo_user: str = "", **keys: Any) -> Group:
    """A group of nodes with one declaration.

    Args:
        hosts: names, or `(name, {key: value})` where a host differs from the rest.
        sudo: become root with sudo, without a password.
        sudo_user: become this user instead of root.
        keys: what is declared (the keys of NodeSpec), role variables (`ROLE_variable`), and how to connect (`ssh_*`).

    Returns: `(hosts, data)`, as pyinfra reads a group.
    Raises: SystemExit(2), after telling all mistakes of the file that calls it.
    """
    caller = Path(sys._getframe(1).f_globals.get("__file__", "inventory"))
    try:
        found = rooms()
    except BrokenRole as error:
        _tell([str(error)], caller)
        return [], {}
    named = [_named(host) for host in ([hosts] if isinstance(hosts, str) else hosts)]
    mistakes = _host_mistakes(named)
    if isinstance(hosts, str):
        mistakes.append(f"hosts are a list: [{hosts!r}]")
    shared = _checked(keys, found, caller.parent)
    checked: list[Host] = []
    for name, own in named:
        data, wrong = _checked({**keys, **own}, found, caller.parent) if own else (dict(shared[0]), shared[1])
        mistakes += [
            message for message in (f"{name}: {text}" if own else text for text in wrong) if message not in mistakes
        ]
        if Ledger(name).is_rebooting():
            data |= REBOOT_RETRIES
        data |= {f"_{key}": own[key] for key in OWN_KEYS & own.keys()}
        checked.append((name, data))
    if mistakes:
        _tell(mistakes, caller)
    privileges: dict[str, Any] = {"_sudo": sudo} | ({"_sudo_user": sudo_user} if sudo_user else {})
    return checked, privileges


def read_inventory(path: Path) -> dict[str, NodeSpec]:
    """Every host of an inventory file and what is declared of it. Raises: WrongInventory."""
    return {name: host.spec for name, host in read_hosts(path).items()}


def read_hosts(path: Path) -> dict[str, Declared]:
    """Every host of an inventory file: what is declared of it and how it is reached, without connecting to any.

    Raises: WrongInventory, also for a declaration that no set of versions fits.
    """
    declared, mistakes = _read(path)
    mistakes += _misfits({name: host.spec for name, host in declared.items()})
    return _whole(declared, mistakes, path)


def read_declared(path: Path) -> dict[str, NodeSpec]:
    """Every host of an inventory file and what is declared of it; whether anything fits it is for the caller to ask.

    Raises: WrongInventory.
    """
    declared, mistakes = _read(path)
    return {name: host.spec for name, host in _whole(declared, mistakes, path).items()}


def _whole(declared: dict[str, Declared], mistakes: list[str], path: Path) -> dict[str, Declared]:
    if mistakes:
        raise WrongInventory(mistakes, path)
    if not declared:
        raise WrongInventory(["it declares no host"], path)
    return declared


def _read(path: Path) -> tuple[dict[str, Declared], list[str]]:
    """The hosts of a file as far as they are declared rightly, and every mistake in the others."""
    mistakes: list[str] = []
    token = _collected.set(mistakes)
    try:
        code = compile(path.read_text(), str(path), "exec")
        namespace: dict[str, Any] = {"__file__": str(path), "__name__": "inventory"}
        exec(code, namespace)  # noqa: S102 - an inventory is a program of its owner, as with pyinfra
    except OSError as error:
        raise WrongInventory([f"cannot be read: {error.strerror}"], path) from error
    except SystemExit as error:
        raise WrongInventory([f"it ends itself with exit code {error.code}"], path) from error
    except Exception as error:
        raise WrongInventory([f"it fails with {type(error).__name__}: {error}"], path) from error
    finally:
        _collected.reset(token)
    declared: dict[str, Declared] = {}
    for group, value in namespace.items():
        if group.startswith("_") or not isinstance(value, (list, tuple)):
            continue
        for name, data in _members(value):
            if data.get("provision", data) is None:
                continue  # its fleet() told what is wrong
            try:
                groups = (*declared[name].groups, group) if name in declared else (group,)
                declared[name] = Declared(spec=host_spec(name, data), data=data, groups=groups)
            except WrongInventory as error:
                mistakes += [text for text in error.mistakes if text not in mistakes]
    return declared, mistakes


def _misfits(specs: Mapping[str, NodeSpec]) -> list[str]:
    """What no set of versions fits; identical declarations are asked once."""
    mistakes: list[str] = []
    found = rooms() if specs else {}
    for spec, nodes in alike(specs):
        if (text := _misfit(spec, found)) is not None:
            mistakes.append(f"{listed(nodes)}: {text}")
    return mistakes


def _misfit(spec: NodeSpec, found: dict[str, Room]) -> str | None:
    try:
        assemble(spec, found)
    except (NoFit, NoPlan, LookupError) as error:
        return str(error)
    return None


def listed(nodes: Sequence[str]) -> str:
    """Names of nodes in a sentence: a fleet's are not all told."""
    more = f" and {len(nodes) - SEVERAL} more" if len(nodes) > SEVERAL else ""
    return f"{', '.join(nodes[:SEVERAL])}{more}"


def host_spec(name: str, data: Mapping[str, Any]) -> NodeSpec:
    """What is declared of a host in its pyinfra data, from `fleet` or from a plain group.

    Raises: WrongInventory.
    """
    if strange := [key for key in data if not isinstance(key, str)]:
        raise WrongInventory([f"{name}: the key {key!r} is not a word" for key in strange])
    if "provision" in data:
        try:
            return NodeSpec.model_validate(data["provision"])
        except ValidationError as error:
            raise WrongInventory([f"{name}: the key 'provision' is fleet()'s own, and not written by hand"]) from error
    found = rooms()
    ours = SPEC_KEYS | _variable_keys(found).keys()
    others = [key for key in data if key not in ours and not key.startswith(("_", "ssh_"))]
    near = {key: get_close_matches(key, ours, 1, NEAR) for key in others}
    mistakes = [f"{name}: {key!r} is not a key, did you mean {match[0]!r}?" for key, match in near.items() if match]
    spec, wrong = _spec({key: data[key] for key in data if key in ours}, found)
    mistakes += [f"{name}: {text}" for text in wrong]
    if mistakes or spec is None:
        raise WrongInventory(mistakes)
    return spec


def _named(host: Host) -> tuple[str, dict[str, Any]]:
    match host:
        case str():
            return host, {}
        case (str(name), dict(own)):
            return name, dict(own)
        case _:
            return f"{type(host).__name__} {host!r}", {}  # has a blank, so it is no host name


def _host_mistakes(named: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    mistakes = [f"{name!r} is not a host name" for name, _ in named if not HOST_NAME.fullmatch(name)]
    names = [name for name, _ in named]
    mistakes += [f"host {name!r} is named twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    return mistakes if named else ["a fleet without hosts"]


def _checked(keys: dict[str, Any], found: dict[str, Room], folder: Path) -> tuple[dict[str, Any], list[str]]:
    """pyinfra data of one host, and what is wrong with its keys."""
    known = SPEC_KEYS | CONNECTION_KEYS | OWN_KEYS | _variable_keys(found).keys()
    mistakes = [_unknown(key, known) for key in keys if key not in known]
    spec, wrong = _spec({key: value for key, value in keys.items() if key in known - CONNECTION_KEYS - OWN_KEYS}, found)
    mistakes += wrong
    connection = {key: _from(folder, key, value) for key, value in keys.items() if key in CONNECTION_KEYS}
    if spec is None or mistakes:
        return {**connection, "provision": None}, mistakes
    # A file that is read whole is judged whole, once for each kind of node; an engine sees one fleet at a time.
    if _collected.get() is None and (misfit := _misfit(spec, found)) is not None:
        return {**connection, "provision": None}, [misfit]
    return {**connection, "provision": spec.model_dump(mode="json")}, []


def checked_spec(keys: Mapping[str, Any], found: dict[str, Room]) -> NodeSpec:
    """A declaration from the keys of an inventory. Raises: WrongInventory, naming every mistake."""
    known = SPEC_KEYS | _variable_keys(found).keys()
    mistakes = unknown_keys(keys, found)
    spec, wrong = _spec({key: value for key, value in keys.items() if key in known}, found)
    if spec is None or mistakes or wrong:
        raise WrongInventory([*mistakes, *wrong])
    return spec


def unknown_keys(keys: Iterable[str], found: Mapping[str, Room]) -> list[str]:
    """What is told of keys that declare nothing; empty when each is known."""
    known = SPEC_KEYS | _variable_keys(found).keys()
    return [_unknown(key, known) for key in keys if key not in known]


def _spec(keys: dict[str, Any], found: dict[str, Room]) -> tuple[NodeSpec | None, list[str]]:
    owners = _variable_keys(found)
    variables: dict[str, dict[str, Any]] = {}
    for key in sorted(keys.keys() & owners.keys()):
        role, variable = owners[key]
        variables.setdefault(role, {})[variable] = keys[key]
    mistakes = [text for role, values in variables.items() if (text := _variable_mistakes(found[role], values))]
    declared = {key: value for key, value in keys.items() if key in SPEC_KEYS}
    try:
        spec = NodeSpec.model_validate({**declared, "variables": variables})
    except ValidationError as error:
        return None, [*mistakes, *refusals(error, NodeSpec)]
    mistakes += _role_mistakes(spec.roles or (), found)
    if spec.gpu is not None:
        try:
            find_gpus(load().gpus, spec.gpu)
        except LookupError as error:
            mistakes.append(str(error.args[0]))
    return (None if mistakes else spec), mistakes


def _variable_mistakes(room: Room, values: dict[str, Any]) -> str:
    try:
        instance(room, values)
    except WrongVariables as error:
        return str(error)
    return ""


def _role_mistakes(names: Sequence[str], found: Mapping[str, Room]) -> list[str]:
    """What is told of declared roles. A wrong order is not put right in silence: whoever wrote it meant something."""
    mistakes = [_unknown_role(name, found) for name in names if name not in found]
    mistakes += [f"role {name!r} is named twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    try:
        check_order({name: found[name].role for name in names if name in found})
    except BrokenOrder as error:
        mistakes.append(f"roles={list(names)}: {error}")
    return mistakes


def _unknown_role(name: str, found: Iterable[str]) -> str:
    near = get_close_matches(name, list(found), 1)
    return f"there is no role {name!r}" + (f", did you mean {near[0]!r}?" if near else f" (found: {', '.join(found)})")


def _unknown(key: str, known: Iterable[str]) -> str:
    near = get_close_matches(key, list(known), 1)
    return f"{key!r} is not a key" + (f", did you mean {near[0]!r}?" if near else "")


def _variable_keys(found: Mapping[str, Room]) -> dict[str, tuple[str, str]]:
    """Inventory key -> role and variable: `kernel_64k_page_size` -> ("kernel_64k", "page_size")."""
    return {f"{name}_{field}": (name, field) for name, room in found.items() for field in room.role.model_fields}


def _from(folder: Path, key: str, value: Any) -> Any:
    """Paths are relative to the inventory file."""
    if key not in PATH_KEYS or not isinstance(value, str):
        return value
    return str(folder / Path(value).expanduser()) if not value.startswith("~") else str(Path(value).expanduser())


def _members(group: Sequence[Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """The hosts of a pyinfra group, each with the data of its group and its own."""
    shared: dict[str, Any] = {}
    hosts: Any = group
    if isinstance(group, tuple):
        if len(group) != 2 or not isinstance(group[1], dict):
            return
        hosts, shared = group
    for host in hosts if isinstance(hosts, Iterable) else ():
        if isinstance(host, (str, tuple)):
            name, own = _named(host)
            yield name.removeprefix("@ssh/"), {**shared, **own}


def _tell(mistakes: list[str], caller: Path) -> None:
    """Collect the mistakes while the whole file is read; when an engine reads it, read it whole and end there."""
    collected = _collected.get()
    if collected is not None:
        collected += [text for text in mistakes if text not in collected]
        return
    try:
        read_inventory(caller)
    except WrongInventory as error:
        sys.stderr.write(f"{error}\n")
    else:
        sys.stderr.write(f"{WrongInventory(mistakes, caller)}\n")
    raise SystemExit(2)
