"""sections/memory.sh and sysctls.sh: CPUs, memory and its nodes, and kernel settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from provision.model.machine import Memory, NumaNode
from provision.probe.rows import last, number, table

SHAPES = {"cpus": 1, "cpu": 1, "memory": 1, "transparent_hugepages": 1, "node": 4, "hugepages": 3}


def memory(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    rows = table(lines, SHAPES)
    reserved: dict[str, dict[int, int]] = defaultdict(dict)
    for node, size, pages in rows["hugepages"]:
        reserved[node][int(size)] = int(pages)
    nodes = tuple(
        NumaNode(
            node=int(node),
            cpus=cpus,
            memory_kib=number(total) or 0,
            free_kib=number(free) or 0,
            hugepages=reserved[node],
        )
        for node, cpus, total, free in sorted(rows["node"], key=lambda row: int(row[0]))
    )
    return {
        "memory": Memory(
            cpus=number(last(rows, "cpus")) or 0,
            cpu=last(rows, "cpu"),
            total_kib=number(last(rows, "memory")) or 0,
            transparent_hugepages=last(rows, "transparent_hugepages"),
            nodes=nodes,
        )
    }


def sysctls(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    rows = table(lines, {"sysctl": 2})["sysctl"]
    return {"sysctls": {name.replace("/", "."): " ".join(value.split()) for name, value in rows}}
