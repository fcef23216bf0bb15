"""`provision apply`: bring nodes to their declared state, and tell how it went."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from provision.cli.apply_view import conclude
from provision.cli.arguments import InventoryFile, Limit, limited, mistakes_told
from provision.cli.engine import (
    FULL,
    INTERRUPTED,
    LOG,
    ansible_code,
    ansible_command,
    follow,
    has_ansible,
    pyinfra_command,
)
from provision.cli.exits import Exit
from provision.cli.progress import view
from provision.cli.records import Record
from provision.cli.report import declared_now
from provision.cli.summary import NodeReport, reports
from provision.engines.events import new_run, read
from provision.inventory import read_inventory
from provision.ledger import Ledger, Reading, now

app = typer.Typer(rich_markup_mode=None)

SUMMARY = "summary.jsonl"

_OTHER_KEY = re.compile(r"Host key for (\S+) (?:does not match|has changed)")
"""paramiko's words, and ssh's."""

_UNREACHABLE = re.compile(r"fatal: \[(?P<node>[^]]+)\]: UNREACHABLE! => (?P<told>\{.*\})")
"""Ansible's line (its default callback) about a node that it could not reach."""


class Engine(StrEnum):
    PYINFRA = "pyinfra"
    ANSIBLE = "ansible"


@app.command()
def apply(  # noqa: PLR0913, PLR0917 - one for each option
    inventory: InventoryFile,
    limit: Limit = None,
    retry: Annotated[bool, typer.Option("--retry", help="try again on nodes that a run stopped for a person")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="ask the archives again and choose versions anew")] = False,
    dry: Annotated[
        bool, typer.Option("--dry", help="tell what is due, change nothing; exit code 3 if anything is")
    ] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="then ask for every resource by itself, the classic way: nothing may be found"),
    ] = False,
    engine: Annotated[Engine, typer.Option("--engine", help="what carries the plan out")] = Engine.PYINFRA,
) -> None:
    """Bring the nodes to their declared state.

    Interrupted at any point, the same command again finishes the work.
    """
    if dry and full:
        _refuse("--full checks what a run left, and --dry leaves a node as it is: give one of them")
    if engine is Engine.ANSIBLE and full:
        _refuse("--full asks through pyinfra's operations: give it without --engine ansible")
    if engine is Engine.ANSIBLE and not has_ansible():
        _refuse("--engine ansible needs ansible-core: pip install ansible-core")
    with mistakes_told():
        nodes = list(limited(read_inventory(inventory), limit, inventory))
    run = new_run()
    for node in nodes:
        if refresh:
            Reading(node).forget()
        if retry:
            note_retry(Ledger(node), run.name)
    console = Console(highlight=False)
    with view(console, nodes) as shown:
        chosen = nodes if limit else ()
        if engine is Engine.ANSIBLE:
            code = ansible_code(follow(ansible_command(inventory, chosen, dry), run, shown.show))
        else:
            code = follow(pyinfra_command(inventory, chosen, dry, FULL if full else ()), run, shown.show)
    found = with_log(reports(read(run), nodes), (run / LOG).read_text(errors="replace"))
    found = with_standins(found, Record(run))
    declared_now(inventory, nodes).keep(run)
    (run / SUMMARY).write_text("".join(f"{one.model_dump_json()}\n" for one in found))
    conclude(console, found, run, dry=dry, interrupted=code == INTERRUPTED)
    raise typer.Exit(exit_code(code, found, dry))


def _refuse(told: str) -> NoReturn:
    typer.echo(told, err=True)
    raise typer.Exit(Exit.WRONG_INPUT)


def note_retry(ledger: Ledger, run: str) -> None:
    """A person asks to try again: reboots spent and stops made before count no more.

    A reboot whose end nobody saw stays the last entry, because the node is waited for by it.
    """
    entries = ledger.entries()
    if entries and not ledger.is_rebooting():
        detail = "a person asked to try again"
        ledger.add(entries[-1].model_copy(update={"at": now(), "run": run, "step": "retry", "detail": detail}))


def exit_code(engine: int, found: Sequence[NodeReport], dry: bool) -> Exit:
    """From the engine's exit code and what its events told of each node."""
    outcomes = {one.outcome for one in found}
    if engine == Exit.WRONG_INPUT:
        return Exit.WRONG_INPUT
    if engine == Exit.DONE and outcomes <= {"converged"}:
        return Exit.DONE
    if any(one.wrong_input for one in found) and all(_is_untouched(one) for one in found):
        return Exit.WRONG_INPUT
    if engine == Exit.DONE and dry and outcomes <= {"converged", "unfinished"}:
        return Exit.DRIFT
    return Exit.FAILED


def _is_untouched(one: NodeReport) -> bool:
    return not one.operations and (one.wrong_input or one.outcome == "converged")


def with_log(found: Sequence[NodeReport], log: str) -> tuple[NodeReport, ...]:
    """Reports in which a node that no event tells of has what the engine said about it as evidence."""
    said = last_words(log, [one.node for one in found if one.outcome == "unreachable"])
    return tuple(
        one.model_copy(update={"evidence": said[one.node] + advice(one.node, said[one.node])})
        if one.node in said
        else one
        for one in found
    )


def with_standins(found: Sequence[NodeReport], run: Record) -> tuple[NodeReport, ...]:
    """Reports that say which nodes have stand-ins, by the newest reading of each."""
    seen = {one.node: run.snapshot(one.node, "after") or run.snapshot(one.node, "before") for one in found}
    newest = {node: snapshot or Reading(node).load() for node, snapshot in seen.items()}
    marked = {node: snapshot.standins for node, snapshot in newest.items() if snapshot and snapshot.standins}
    return tuple(one.model_copy(update={"standins": marked[one.node]}) if one.node in marked else one for one in found)


def advice(node: str, words: str) -> str:
    """What to do about a connection that could not be made, by what pyinfra 3.10 said of it."""
    stranger = _OTHER_KEY.search(words)
    if stranger:
        return (
            f"\n{node} shows another ssh host key than is known: it was installed anew, or somebody is in between. "
            f"Nothing was sent to it. If it was installed anew, `ssh-keygen -R {stranger[1]}` (with `-f` for a "
            "known_hosts file of your own), check the new key with one `ssh` by hand, and run again"
        )
    return f"\nNothing was sent to it; run again when `ssh {node}` works"


def last_words(log: str, nodes: Sequence[str]) -> dict[str, str]:
    """The last line that the engine's log has about each of these nodes."""
    said = dict.fromkeys(nodes, "")
    for line in Text.from_ansi(log).plain.splitlines():
        name, bracket, words = line.strip().removeprefix("[").partition("] ")
        if bracket and name in said:
            said[name] = words.strip()
        unreached = _UNREACHABLE.match(line.strip())
        if unreached and unreached["node"] in said:
            said[unreached["node"]] = " ".join(str(json.loads(unreached["told"]).get("msg", "")).split())
    return said
