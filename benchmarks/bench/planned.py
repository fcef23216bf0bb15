"""Plans the fleet of an inventory once, and prints what each part took: `planned.py INVENTORY`.

A process of its own, because the catalog and the roles are read once in the life of one.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from provision.catalog import load
from provision.cli.plan import planned
from provision.inventory import read_declared
from provision.planning import rooms


def main(inventory: Path) -> None:
    marks = [time.perf_counter()]
    load()
    marks.append(time.perf_counter())
    found = rooms()
    marks.append(time.perf_counter())
    specs = read_declared(inventory)
    marks.append(time.perf_counter())
    outcome = planned(specs, found)
    marks.append(time.perf_counter())
    whole = sum(len(group.nodes) for group in outcome.groups)
    if outcome.clashes or whole != len(specs):
        raise SystemExit(f"{whole} of {len(specs)} nodes are planned: {'; '.join(map(str, outcome.clashes))}")
    parts = ("catalog read", "roles found", "inventory read and checked", "resolved and planned")
    taken = {part: end - begin for part, begin, end in zip(parts, marks, marks[1:], strict=False)}
    print(json.dumps({**taken, "planned after import": marks[-1] - marks[0]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
