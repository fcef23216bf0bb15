"""Where things lie on a node."""

from __future__ import annotations

STATE = "/var/lib/provision"
"""Survives a reboot: stamps (`derived/`), the reboot-due marker, the node's own ledger, the log of the last change."""

LEDGER = f"{STATE}/ledger"
"""What was done on the node: a line as something begins, and one as it ends."""

RUN = "/run/provision"
"""Gone with a reboot: the lock, the lease, what is being done now."""

LAB_MARK = "/etc/provision-lab"
"""Only a throw-away lab node bears it; only such a node may be declared without hardware."""

STANDINS_MARK = "/etc/provision-standins"
"""A node that bears it has stand-ins for packages: everything that shows such a node says so. Its first line tells."""

STANDS_FOR = "X-Provision-Stands-For"
"""In every stand-in's control file: the real package, and where that is known from; one line."""
