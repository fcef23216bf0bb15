"""Who verifies, and how each is called: the same assertions on the same nodes, from the same plugin."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote, urlencode

from bench import contenders
from bench.contenders import Contender, Subject
from bench.route import Route
from bench.table import OURS
from provision.ledger import STATE_VARIABLE
from provision.verify import suite
from provision.verify.run import SUITE, SUMMARY
from provision.verify.summary import Summary

STOCK = "testinfra"
NAMES = (OURS, STOCK)
EVIDENCE = "evidence"


def ours(route: Route, subject: Subject, folder: Path) -> Contender:
    project = contenders.ours(route, subject.spec, subject.state, folder)
    argv = (sys.executable, "-m", "provision", "verify", "inventory.py", "--out", EVIDENCE)
    return project.model_copy(update={"argv": argv})


def stock(route: Route, subject: Subject, folder: Path) -> Contender:
    """`pytest --hosts=ssh://…`: a connection for every command, because testinfra 10.2 names no control path."""
    project = contenders.ours(route, subject.spec, subject.state, folder)
    options = urlencode({"ssh_config": str(route.ssh_config), "sudo": "true"}, quote_via=quote)
    (folder / EVIDENCE).mkdir(exist_ok=True)
    argv = (
        *(sys.executable, "-m", "pytest", "-q", "-c", str(Path(suite.__path__[0]) / "pytest.ini")),
        *("-p", "provision.verify.plugin", "--provision-inventory=inventory.py"),
        *(f"--provision-summary={EVIDENCE}/{SUMMARY}", "--rootdir", str(folder), "--pyargs", SUITE),
        "--hosts=" + ",".join(f"ssh://{name}?{options}" for name in route.names),
    )
    environment = {STATE_VARIABLE: str(subject.state)}
    return project.model_copy(update={"name": STOCK, "argv": argv, "environment": environment})


def every(route: Route, subject: Subject, folder: Path, wanted: Sequence[str] = NAMES) -> Sequence[Contender]:
    """Both, ours first, or those that are wanted."""
    found = (ours(route, subject, folder / "provision"), stock(route, subject, folder / "testinfra"))
    return [one for one in found if one.name in wanted]


def outcomes(one: Contender) -> dict[str, str]:
    """What each check of its last run came to."""
    summary = Summary.model_validate_json((one.folder / EVIDENCE / SUMMARY).read_text(encoding="utf-8"))
    return {f"{check.node} {check.role} {check.resource}": check.outcome for check in summary.checks}


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("provision", "pytest-testinfra", "pytest")}
