"""Writes down which DOCA a node with stand-ins is to have, and how its archive's repository of it is signed.

doca.py OS FOLDER NODE; FOLDER/doca.json holds keys of an inventory.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from provision.catalog import load
from provision.lab import Lab
from provision.lab.archive import served
from provision.lab.lab import default_state
from provision.model import NodeSpec
from provision.stack import resolve


def main(system: str, folder: Path, name: str) -> None:
    declared = {"os": system, "arch": os.uname().machine, "gpu": "H100", "features": ["rdma"], "hardware": "absent"}
    release = resolve(NodeSpec.model_validate(declared), load()).version("doca")
    signed = served(Lab(default_state()).node(name), "doca", version=release).model_dump(mode="json")
    keys = {f"doca_ofed_{key}": value for key, value in signed.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "doca.json").write_text(json.dumps({"doca": release, **keys}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
