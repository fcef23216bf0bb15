"""Writes the inventory and its plan, as the tool prints it, between the marks of README.md (`make docs`)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
README = CHECKOUT / "README.md"
INVENTORY = "inventories/gh200.py"
WIDTH = "100"

BEGIN = "<!-- begin plan: written by `make docs` -->\n"
END = "<!-- end plan -->\n"


def renewed(page: str) -> str:
    """The page with what stands between its marks written anew."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md lacks the marks {BEGIN.strip()} and {END.strip()}")
    return f"{before}{begin}{block()}{end}{after}"


def block() -> str:
    """The sources are the plan's last part; they are folded away."""
    plan, heading, sources = printed_plan().partition("\nSources\n")
    return "\n".join(
        (
            f"`{INVENTORY}`:\n",
            f"```python\n{(CHECKOUT / INVENTORY).read_text()}```\n",
            f"`provision plan {INVENTORY}`:\n",
            f"```text\n{plan}```\n",
            f"<details><summary>and the sources it ends with</summary>\n\n```text{heading}{sources}```\n\n</details>\n",
        )
    )


def printed_plan() -> str:
    """The plan of nodes that were never read: what stands in the catalog, and nothing of this machine."""
    with tempfile.TemporaryDirectory() as nothing_read:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PROVISION_")}
        return subprocess.run(
            [sys.executable, "-m", "provision", "plan", INVENTORY],
            cwd=CHECKOUT,
            env=ours | {"COLUMNS": WIDTH, "PROVISION_STATE": nothing_read},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout


if __name__ == "__main__":
    README.write_text(renewed(README.read_text()))
