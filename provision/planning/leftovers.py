"""What an earlier plan told the package manager, and this one does not: its sources and pins are taken away.

Left there, a repository that was removed from the inventory goes on deciding which versions apt offers and takes.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import takewhile

from provision.model import Derived, Entry, Gate, Manual, Packages, Plan
from provision.platforms import Platform
from provision.platforms.settings import files_of


def without_leftovers(plan: Plan, platform: Platform) -> Plan:
    """The same plan, in whose first boot, before any change, goes what no resource of the whole plan writes.

    For the plan of a node only: one role alone knows nothing of what others wrote. A plan without packages has no say.
    """
    if not any(isinstance(entry.resource, Packages) for entry in plan.entries):
        return plan
    ours = platform.package_settings()
    written = dict.fromkeys(file.path for entry in plan.entries for file in files_of(entry.resource))
    keep = tuple(path for path in written if any(fnmatchcase(path, pattern) for pattern in ours))
    drop = Derived(name="stale-sources", inputs=(), command=platform.drop_package_settings(keep))
    gone = Gate(
        name="own-sources",
        test=platform.package_settings_dropped(keep),
        expect="of what we told the package manager there is nothing but what this plan says",
        remedy="Run again, which takes away what is named; a file that you wrote yourself wants another name",
        proves=("stale-sources",),
    )
    first, *rest = plan.boots
    opening = tuple(takewhile(lambda entry: isinstance(entry.resource, (Gate, Manual)), first))
    added = tuple(Entry(role=first[0].role, resource=resource) for resource in (drop, gone))
    return Plan(boots=((*opening, *added, *first[len(opening) :]), *rest))
