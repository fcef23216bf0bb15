"""Throw-away Debian nodes on this machine: systemd-nspawn, own address, own sshd, a real reboot in a second or two.

Proves what systemd, apt, dpkg, sshd and units do. Kernel, kernel modules, vm sysctls and the PCI bus are the host's.
"""

from provision.lab.error import LabError
from provision.lab.lab import Lab
from provision.lab.node import Node

__all__ = ["Lab", "LabError", "Node"]
