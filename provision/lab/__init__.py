"""Throw-away Debian nodes on this machine, each with its own address, sshd and reboots.

By systemd-nspawn, in a second or two: proves what systemd, apt, dpkg, sshd and units do; kernel, kernel modules, vm
sysctls and the PCI bus are the host's. By QEMU, in seconds from a saved state and minutes by a boot: proves those, too.
"""

from provision.lab.container import Container
from provision.lab.error import LabError
from provision.lab.lab import Lab
from provision.lab.node import Node
from provision.lab.vm.node import VirtualMachine

__all__ = ["Container", "Lab", "LabError", "Node", "VirtualMachine"]
