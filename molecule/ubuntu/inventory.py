"""A node that is Ubuntu by name only: its packages are stand-ins, from the archive that it carries."""

import json
import os
from pathlib import Path

from provision import fleet

checkout = Path(__file__).resolve().parents[2]
state = Path(os.environ.get("PROVISION_LAB", checkout / ".lab")).absolute()
doca = checkout / ".provision" / "molecule" / "ubuntu" / "doca.json"  # written when the node is made

ubuntu = fleet(
    ["mol-ubuntu"],
    os="ubuntu24.04",
    arch=os.uname().machine,
    gpu="H100",
    hardware="absent",
    features=["rdma"],
    ssh_config_file=str(state / "ssh_config"),
    ssh_strict_host_key_checking="yes",
    sudo=True,
    **(json.loads(doca.read_text()) if doca.exists() else {}),
)
