"""What a node has instead of real packages, asked of the node through testinfra."""

from __future__ import annotations

from testinfra.host import Host

from provision.model import StandIns
from provision.model.places import STANDINS_MARK, STANDS_FOR

INSTALLED = "${db:Status-Status}\\t${Package}\\t${%s}\\n" % STANDS_FOR  # noqa: UP031 - braces belong to dpkg-query


def standins_of(host: Host) -> StandIns | None:
    """None for a node that does not bear the mark, which is every node but some of a lab's."""
    mark = host.file(STANDINS_MARK)
    if not mark.exists:
        return None
    told = (mark.content_string.splitlines() or [""])[0]
    rows = (line.split("\t") for line in host.check_output("dpkg-query -W -f=%s", INSTALLED).splitlines())
    packages = {row[1]: row[2] for row in rows if len(row) == 3 and row[2] and row[0] != "config-files"}
    return StandIns(told=told, packages=packages)
