"""Unattended updates of a Debian-family node: never of kernels and drivers, and not while a run is at work.

Security updates go on. The lease is what every program of a run renews (RUN/lease) and what a boot-scoped change
leaves (STATE/reboot-due): where both are old, a killed controller's node updates itself again.
Read in apt 3.0's apt-daily*.service and unattended-upgrades 2.12 of Debian 13 (2026-11-21).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from provision.model.places import RUN, STATE

EXCEPTIONS = "/etc/apt/apt.conf.d/52provision-unattended-upgrades"
"""Read after 50unattended-upgrades, whose own list it lengthens."""

TIMED = ("apt-daily", "apt-daily-upgrade")

LEASE_MINUTES = 20
"""Longer than any step between two signs of life: a transaction, a build of modules, a reboot with slow firmware."""

# A condition, not a mask: the timer goes on, so the next turn comes by itself (systemd.service(5), ExecCondition=:
# exit codes 1 to 254 skip the start, which is no failure).
LEASE = f"""\
# Written by provision: no unattended package work while a run is at work here, which ends by itself.
[Service]
ExecCondition=/bin/sh -c '! find {RUN}/lease {STATE}/reboot-due -mmin -{LEASE_MINUTES} 2>/dev/null | grep -q .'
"""


FAMILIES = (
    "linux-image-", "linux-headers-", "linux-modules-", "linux-tools-", "linux-kbuild-", "linux-generic",
    "linux-nvidia", "linux-.+-nvidia", "nvidia-", "libnvidia-", "cuda-", "doca-", "mlnx-",
)  # fmt: skip
"""How names begin of kernels, whatever their flavour, and of what vendors' packages bring along under names that no
catalog lists (pando85/homelab#4110, read 2026-11-21)."""

_PLAIN = {"*": ".+", "?": ".", "+": "."}
"""unattended-upgrades hands an expression of letters, digits and `-^$+.:` on to apt as it is; about any other one it
asks Python for every package there is (2.12, read 2026-11-21)."""


def exceptions(globs: Iterable[str]) -> str:
    """The text of an apt.conf file: no package of these names is updated unattended.

    unattended-upgrades takes each entry as Python's `re.match` does, so from the beginning of a name, but not to its
    end (2.9.1 and 2.12, read 2026-11-21). A dot stands for itself and for a plus: nothing needs to be escaped, and
    apt.conf, which keeps a backslash as it is, has none to keep. A name of which a family tells is not written: apt
    looks through all packages for every entry, and before every package that is updated (seen 2026-11-21: most of a
    run's time).
    """
    others = (glob for glob in dict.fromkeys(globs) if not any(re.match(family, glob) for family in FAMILIES))
    whole = (f"{''.join(_PLAIN.get(char, char) for char in glob)}$" for glob in others)
    names = "".join(f'    "{expression}";\n' for expression in (*FAMILIES, *whole))
    return (
        "// Written by provision: kernel and driver belong to a set that is changed as a whole, and tested.\n"
        f"Unattended-Upgrade::Package-Blacklist {{\n{names}}};\n"
    )
