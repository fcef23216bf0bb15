"""Every resource of a node's plan holds on that node."""

from __future__ import annotations

from collections.abc import Callable

from testinfra.host import Host

from provision.model import Entry
from provision.planning import Planned
from provision.verify.assertions import assert_resource


def test_reached(host: Host) -> None:
    """The node answers, with the privileges that the inventory declares."""
    assert host.run("true").rc == 0


def test_resource(host: Host, planned: Planned, entry: Entry, record_property: Callable[[str, object], None]) -> None:
    record_property("evidence", assert_resource(host, planned.plan, entry.resource))
