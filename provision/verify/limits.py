"""What a node cannot hold, asked of the node through testinfra."""

from __future__ import annotations

from testinfra.host import Host

from provision.model import Limit, NodeSpec
from provision.model.places import LAB_MARK

CONTAINER_LIMITS: frozenset[Limit] = frozenset({"boot", "modules", "sysctl"})
HARDWARE: frozenset[Limit] = frozenset({"hardware"})


def limits_of(host: Host, spec: NodeSpec) -> frozenset[Limit]:
    """A container has its host's kernel; only a node that bears the lab's mark may be declared without hardware."""
    return (CONTAINER_LIMITS if _is_container(host) else frozenset()) | (
        HARDWARE if spec.hardware == "absent" and host.file(LAB_MARK).exists else frozenset()
    )


def _is_container(host: Host) -> bool:
    found = host.run("systemd-detect-virt -cq || [ -e /run/systemd/container ] || [ -e /.dockerenv ]")
    return bool(found.rc == 0)
