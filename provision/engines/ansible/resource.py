"""One resource of a boot: carried out with the program that pyinfra sends, or foretold.

None of Ansible's own modules stands behind a resource: `apt` dies with its controller, `copy` does not wait for the
disk, and each would leave what goes with a change (the reboot-due marker, the removal of stamps, the ledger, the lease)
to a second command, between which a run can be killed. A node needs no Python for it, either.
"""

from __future__ import annotations

import base64
import time
from shlex import quote
from typing import NamedTuple

from provision.engines.ansible.kept import Kept
from provision.engines.ansible.watch import watched
from provision.engines.ansible.work import Work
from provision.engines.link import Lost, Unanswered
from provision.engines.node import Refused
from provision.engines.render import apply_program
from provision.model import File, Gate, Manual, Packages, Resource
from provision.probe import program
from provision.steps import Due, transaction

MOST_SHOWN = 1 << 20
"""Bytes of a file of which a difference is shown."""


class Outcome(NamedTuple):
    """What became of one resource, or would."""

    changed: bool = False
    message: str = ""
    skipped: bool = False
    failed: bool = False


def apply(work: Work, name: str) -> Outcome:
    """Bring one resource to its desired state, where the last reading said that it is due. Raises: Refused, Lost."""
    found = needed(work)
    due = {one.entry.name: one for one in found.now}
    if name in found.limits:
        return _not_applicable(found, name)
    if name not in due:
        why = found.why(name)
        return Outcome(skipped=True, message=f"not yet: {why}") if why else Outcome()
    together = transaction(found.now) if isinstance(due[name].entry.resource, Packages) else ()
    if together and together[0].entry.name != name:
        return Outcome(changed=True, message=f"in one transaction with {together[0].entry.name}")
    return carry_out(work, due[name], together)


def foretell(work: Work, name: str) -> Outcome:
    """What `apply` would do: the reading answers, and nothing is sent. Raises: Refused."""
    found = needed(work)
    why = found.why(name)
    if name in found.limits:
        return _not_applicable(found, name)
    if isinstance(_resource(work, name), (Gate, Manual)):
        return Outcome(message=f"would be asked: {why}" if why else "")
    return Outcome(changed=bool(why), message=why)


def diff(work: Work, name: str) -> list[dict[str, str]]:
    """What differs about a resource that is due: the reason, and of a file its text."""
    found, resource = needed(work), _resource(work, name)
    why = found.why(name)
    if not why or name in found.limits or isinstance(resource, (Gate, Manual)):
        return []
    told = {"prepared": f"{name}: {why}\n"}
    if not isinstance(resource, File):
        return [told]
    header = {"before_header": resource.path, "after_header": resource.path}
    return [told, {**header, "before": _text(work, resource.path), "after": resource.content}]


def needed(work: Work) -> Kept:
    """What the last reading said. Raises: Refused, where there was none."""
    found = work.kept()
    if found is None:
        raise Refused(f"{work.node.name}: it was not read in this play; provision.core.step stands before this task")
    return found


def carry_out(work: Work, due: Due, together: tuple[Due, ...] = ()) -> Outcome:
    """Send what brings one resource to its desired state. Raises: Lost."""
    name, node, events = due.entry.name, work.node.name, work.events
    names = [one.entry.name for one in together]
    events.write("begin", node, resource=name, role=due.entry.role, why=due.why, together=names)
    begun = time.monotonic()
    try:
        with watched(work.link, events, node, name):
            answer = work.link.send(apply_program(work.plan, due, work.node.sender, together))
    except Lost as error:
        told = (
            f"{node}: the connection was lost during {name}: {error}. "
            f"Unless it is down, what was begun goes on there by itself; run again when {node} answers"
        )
        events.write("lost", node, resource=name, evidence=told)
        raise Lost(told) from error
    seconds = round(time.monotonic() - begun, 2)
    if answer.code == 0:
        events.write("ok", node, resource=name, seconds=seconds)
        return Outcome(changed=not isinstance(due.entry.resource, Gate), message=due.why)
    evidence = answer.errors.strip()
    events.write("failed", node, resource=name, seconds=seconds, evidence=evidence)
    return Outcome(failed=True, message=evidence or f"{name} ended with exit code {answer.code}")


def _not_applicable(found: Kept, name: str) -> Outcome:
    return Outcome(skipped=True, message=f"not applicable: {found.limits[name]}")


def _resource(work: Work, name: str) -> Resource:
    entry = work.plan.by_name.get(name)
    if entry is None:
        raise Refused(f"{work.node.name}: its plan has no resource {name!r}")
    return entry.resource


def _text(work: Work, path: str) -> str:
    """A file's text as it is on the node; empty when there is none, or none that can be shown."""
    name = quote(path)
    size = f"$(stat -L -c %s {name})"
    try:
        answer = work.node.link.ask(program(f"[ ! -f {name} ] || [ {size} -gt {MOST_SHOWN} ] || base64 {name}"))
        return base64.b64decode(answer).decode()
    except (Unanswered, ValueError):
        return ""
