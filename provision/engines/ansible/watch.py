"""What a long command is at, told while it runs: Ansible itself gives its output when it has ended.

The program on the node leaves the progress line that pyinfra gets from it in a file, too. That is asked for over a
connection beside the one that waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from threading import Event, Thread

from provision.engines.ansible.work import ActionLink
from provision.engines.events import Events
from provision.engines.render import PROGRESS

LOOK_SECONDS = 5.0

QUESTION = f"cat {PROGRESS} 2>/dev/null || :"


@contextmanager
def watched(link: ActionLink, events: Events, node: str, resource: str, every: float = LOOK_SECONDS) -> Iterator[None]:
    """Tell every so many seconds what the resource is at, to the run's events and to whoever looks on."""
    ended = Event()

    def look() -> None:
        while not ended.wait(every):
            found = _progress(link.peek(QUESTION), resource)
            if found is None or ended.is_set():
                continue
            events.write("progress", node, resource=resource, **found)
            link.tell(f"    [{node}] {resource}: {found['seconds']} s, {found['line']}")

    # A daemon: a node that does not answer must not keep the task, whose own command has its own end.
    Thread(target=copy_context().run, args=(look,), daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _progress(told: str, resource: str) -> dict[str, str] | None:
    """What a progress line says, if it is of this resource."""
    mark, _node, of, *rest = (told.rstrip("\n").split("\t") + [""] * 6)[:6]
    if mark != "@progress" or of != resource:
        return None
    return dict(zip(("seconds", "lines", "line"), map(str.strip, rest), strict=True))
