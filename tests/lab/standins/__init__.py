"""Stand-ins: a small apt archive on a node, so that a whole bring-up by the real roles takes seconds and no network.

What is a stand-in, and says so in its description: the kernel image, the driver's packages, and an older kernel with
its headers. They bear the names, versions and relations that the node's own archive gives the real ones, and next to
no content: a text in place of a kernel, one empty module, five tiny modules in the driver's source. They are packed,
indexed and signed by `provision.lab.archive`, whose stand-ins of Ubuntu's and NVIDIA's packages they are kin to.

What is real: apt, dpkg, the signature over the archive, dkms and the compiler, the headers that the modules are built
against (taken by each kernel for its own), initramfs-tools, linux-base and its hooks, systemd, sshd, and
every other package that these depend on. The initrd holds no modules (MODULES=list) and is compressed in haste.
"""

from standins.layer import PLACE, Facts, facts, provide, serve, spec, sudo, until

__all__ = ["PLACE", "Facts", "facts", "provide", "serve", "spec", "sudo", "until"]
