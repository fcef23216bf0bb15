"""sections/pci.sh and infiniband.sh: what is plugged in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.model.machine import IbPort
from provision.model.snapshot import PciDevice
from provision.probe.rows import number, table


def pci(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    return {"pci": tuple(_device(fields) for fields in table(lines, {"device": 8})["device"])}


def infiniband(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    return {"infiniband": tuple(_port(fields) for fields in table(lines, {"port": 10})["port"])}


def _device(fields: Sequence[str]) -> PciDevice:
    address, vendor, device, pci_class, driver, subsystem, group, numa = fields
    node = number(numa)
    return PciDevice(
        address=address,
        vendor=vendor,
        device=device,
        pci_class=pci_class,
        driver=driver,
        subsystem=subsystem,
        iommu_group=group,
        numa_node=None if node == -1 else node,
    )


def _port(fields: Sequence[str]) -> IbPort:
    device, port, state, physical, rate, link_layer, firmware, board, address, netdevs = fields
    return IbPort(
        device=device,
        port=int(port),
        state=state,
        physical=physical,
        rate=rate,
        link_layer=link_layer,
        firmware=firmware,
        board=board,
        address=address,
        netdevs=tuple(netdevs.split()),
    )
