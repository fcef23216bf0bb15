"""Nodes of the lab on this machine (`provision lab up gpu1`): real packages, no GPU."""

import os
from pathlib import Path

from provision import fleet

checkout = Path(__file__).resolve().parent.parent

lab = fleet(
    os.environ.get("PROVISION_LAB_NODES", "gpu1").split(),
    os="debian13",
    arch=os.uname().machine,
    gpu="H100",
    hardware="absent",
    ssh_config_file=str(Path(os.environ.get("PROVISION_LAB", checkout / ".lab")).absolute() / "ssh_config"),
    ssh_strict_host_key_checking="yes",  # the lab knows its nodes' keys; pyinfra would take any new one
    sudo=True,
)
