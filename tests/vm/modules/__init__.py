"""Kernel modules on a machine with a kernel of its own: the archive and the state that the tests start from.

Stand-ins bear the vendors' names, versions and relations, and hold tiny C sources whose symbols have versions: whether
they may be loaded is decided by the kernel.

`start`, a fixture of this tier, is the state: an archive on a machine that never had a driver.
`declared`                   the inventory of a machine on it, and its bring-up
`bring_up.layered`           a machine that was brought somewhere once, kept for as long as its plan is the same
"""

from modules.ground import ARCH, BAD, OS, Start, declared, provide, serve, sudo
from modules.real import built

__all__ = ["ARCH", "BAD", "OS", "Start", "built", "declared", "provide", "serve", "sudo"]
