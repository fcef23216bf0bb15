"""`verify`: run the suite against the nodes of an inventory, one process for each node, and keep the evidence.

Not one process with pytest-xdist's `--dist loadgroup`: with pytest 9.2 xdist 3.8 ignores the groups, and spreads a
node's tests over all workers (seen 2026-11-21).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from provision.verify.nodes import targets
from provision.verify.summary import Check, Summary

SUMMARY = "verify.json"
JUNIT = "verify.xml"
SUITE = "provision.verify.suite"
AT_ONCE = 4
"""Nodes that are asked at the same time."""

RAN = frozenset({0, 1})
"""pytest's exit codes of a run that came to its end."""


def verify(inventory: Path, nodes: Sequence[str], out: Path) -> int:
    """Verify nodes against their plans.

    Args:
        inventory: the inventory file.
        nodes: names in it; all of them when empty.
        out: folder for the evidence: `verify.json` (Summary), `verify.xml` (JUnit), `NODE.verify.log`.

    Returns: 0 all holds or is not applicable, 1 something does not hold, 4 nobody knows: a node was not reached.
    Raises: WrongInventory.
    """
    chosen = list(targets(inventory, nodes))
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="pv-") as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        summaries = list(pool.map(partial(_verify_node, inventory, out, Path(folder)), chosen))
        _join_junit(sorted(Path(folder).glob("*.xml")), out / JUNIT)
    summary = Summary.joined(summaries)
    (out / SUMMARY).write_text(summary.model_dump_json(indent=1) + "\n")
    return summary.exit_code


def _verify_node(inventory: Path, out: Path, folder: Path, node: str) -> Summary:
    log, summary = out / f"{node}.verify.log", folder / f"{node}.json"
    command = [*_pytest(), f"--junitxml={folder / f'{node}.xml'}", f"--provision-summary={summary}"]
    command += [f"--provision-inventory={inventory}", f"--provision-nodes={node}", "--pyargs", SUITE]
    with log.open("w") as file:
        ended = subprocess.run(
            command, env=_environment(), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False
        )
    if ended.returncode in RAN and summary.exists():
        return Summary.model_validate_json(summary.read_text())
    told = f"the verification did not come to its end, look at {log}: {_last_line(log)}"
    return Summary(checks=(Check(node=node, resource="reached", outcome="unknown", evidence=told),))


def _pytest() -> list[str]:
    settings = Path(__file__).parent / "suite" / "pytest.ini"
    return [
        *(sys.executable, "-m", "pytest", "-c", str(settings), "--rootdir", str(Path.cwd())),
        *("-p", "provision.verify.plugin", "-v", "--tb=short"),
    ]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def _join_junit(parts: Sequence[Path], whole: Path) -> None:
    root = ElementTree.Element("testsuites")
    for part in parts:
        root.extend(ElementTree.parse(part).getroot())  # noqa: S314 - written by our own pytest
    ElementTree.ElementTree(root).write(whole, encoding="utf-8", xml_declaration=True)


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
