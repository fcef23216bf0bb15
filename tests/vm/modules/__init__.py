"""Kernel modules on a machine with a kernel of its own: the archive and the state that the tests start from.

Stand-ins bear the vendors' names, versions and relations, and hold tiny C sources whose symbols have versions: whether
they may be loaded is decided by the kernel.
"""

from modules.ground import ARCH, BAD, OS, Start, keys, provide, serve, sudo
from modules.real import built

__all__ = ["ARCH", "BAD", "OS", "Start", "built", "keys", "provide", "serve", "sudo"]
