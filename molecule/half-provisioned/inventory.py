"""A node that somebody else began with. Ubuntu by name only: its packages are stand-ins."""

import json
import os
from pathlib import Path

from provision import fleet

checkout = Path(__file__).resolve().parents[2]
state = Path(os.environ.get("PROVISION_LAB", checkout / ".lab")).absolute()
doca = checkout / ".provision" / "molecule" / "half-provisioned" / "doca.json"  # written when the node is made

half = fleet(
    ["mol-half"],
    os="ubuntu24.04",
    arch=os.uname().machine,
    gpu="H100",
    hardware="absent",
    driver="580",
    features=["rdma"],
    ssh_config_file=str(state / "ssh_config"),
    ssh_strict_host_key_checking="yes",
    sudo=True,
    **(json.loads(doca.read_text()) if doca.exists() else {}),
)
