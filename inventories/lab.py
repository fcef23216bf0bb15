"""Nodes of the lab on this machine (`provision lab up gpu1`, or `--vm`): real packages, no GPU."""

import os
from pathlib import Path

from provision import fleet
from provision.lab import Lab

checkout = Path(__file__).resolve().parent.parent
state = Path(os.environ.get("PROVISION_LAB", checkout / ".lab")).absolute()
arch = {node.name: node.arch for node in Lab(state).nodes()}

lab = fleet(
    [
        (name, {"arch": arch.get(name, os.uname().machine)})
        for name in os.environ.get("PROVISION_LAB_NODES", "gpu1").split()
    ],
    os="debian13",
    gpu="H100",
    hardware="absent",
    ssh_config_file=str(state / "ssh_config"),
    ssh_strict_host_key_checking="yes",  # the lab knows its nodes' keys; pyinfra would take any new one
    sudo=True,
)
