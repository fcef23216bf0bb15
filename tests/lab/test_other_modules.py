"""A module that no role brings, a site's own: built for the new kernel as well, or the run stops before any reboot.

The node stands on stand-ins (see `standins`) of two kernels; dkms, the compiler and the headers are real, and so is the
module, which is a few lines of C. In a container every kernel counts as one that the node boots now.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest
from interrupt import Project
from standins import Facts, facts, provide, sudo

from provision.lab import Lab, Node
from provision.platforms import platform_for

MODULE, VERSION = "site-data", "1.0"
SOURCE = f"/usr/src/{MODULE}-{VERSION}"
LOG = f"/var/lib/dkms/{MODULE}/{VERSION}/build/make.log"

CODE = """\
#include <linux/module.h>
#ifdef THE_KERNEL_THAT_CHANGED
static int begin(int device) { return device; }
#else
static int begin(void) { return 0; }
#endif
static int __init start(void) { return begin(); }
static void __exit end(void) { }
module_init(start);
module_exit(end);
MODULE_DESCRIPTION("a site's module, for tests");
MODULE_LICENSE("GPL");
"""

CONF = f"""\
PACKAGE_NAME="{MODULE}"
PACKAGE_VERSION="{VERSION}"
AUTOINSTALL=yes
MAKE[0]="make -C /lib/modules/${{kernelver}}/build M=/var/lib/dkms/{MODULE}/{VERSION}/build CONFIG_DEBUG_INFO_BTF_MODULES= modules"
CLEAN="true"
BUILT_MODULE_NAME[0]="{MODULE}"
DEST_MODULE_LOCATION[0]="/updates/dkms"
"""


@pytest.fixture
def node(lab: Lab) -> Iterator[Node]:
    (fresh,) = lab.up(["other-modules"], layer=provide(lab))
    yield fresh
    lab.down(["other-modules"])


@pytest.fixture
def known(node: Node) -> Facts:
    return facts(node)


def bring(node: Node, known: Facts, refuses: str = "none") -> None:
    """The site's module, on the older kernel; `refuses`: a release for which its source does not compile."""
    platform = platform_for("debian13", sudo(node, "uname -m").strip())
    packages = " ".join(quote(package.name) for package in platform.kernel_packages(known.older))
    kbuild = f"obj-m := {MODULE}.o\nifeq ($(KERNELRELEASE),{refuses})\nccflags-y += -DTHE_KERNEL_THAT_CHANGED\nendif\n"
    files = {"dkms.conf": CONF, "Kbuild": kbuild, f"{MODULE}.c": CODE}
    sudo(node, f"DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install {packages}")
    sudo(
        node, "".join(f"mkdir -p {SOURCE}; printf %s {quote(text)} >{SOURCE}/{name}\n" for name, text in files.items())
    )
    sudo(node, f"dkms add {MODULE}/{VERSION} && dkms install {MODULE}/{VERSION} -k {quote(known.older)}")


def status(node: Node, release: str) -> str:
    return sudo(node, f"dkms status {MODULE}/{VERSION} -k {quote(release)}").strip()


def project(folder: Path, node: Node) -> Project:
    return Project(folder, [node], roles=["preflight", "kernel_64k"])


def test_it_is_built_for_the_new_kernel_before_the_initrd_and_once(node: Node, known: Facts, tmp_path: Path) -> None:
    bring(node, known)
    bring_up = project(tmp_path, node)

    run = bring_up.run()

    assert run.code == 0, run.output
    assert status(node, known.release).endswith(": installed")
    file = sudo(node, f"find /lib/modules/{quote(known.release)}/updates -name '{MODULE}.ko*'").strip()
    assert sudo(node, f"modinfo -F vermagic {file}").split()[0] == known.release
    assert run.operations.index("other-modules") < run.operations.index("initrd")
    assert bring_up.run().operations == ()


@pytest.mark.sweep
def test_one_that_was_taken_away_is_built_again(node: Node, known: Facts, tmp_path: Path) -> None:
    bring(node, known)
    bring_up = project(tmp_path, node)
    assert bring_up.run().code == 0

    sudo(node, f"dkms uninstall {MODULE}/{VERSION} -k {quote(known.release)}")

    assert "other-modules" in bring_up.run().operations
    assert status(node, known.release).endswith(": installed")


def test_one_that_refuses_the_new_kernel_stops_the_run_and_the_old_kernel_stays(
    node: Node, known: Facts, tmp_path: Path
) -> None:
    bring(node, known, refuses=known.release)
    booted = node.boot_id()
    bring_up = project(tmp_path, node)

    refused = bring_up.run()

    assert refused.code == 1, refused.output
    (told,) = [line for line in refused.output.splitlines() if "does not build" in line]
    assert f"{MODULE}/{VERSION} does not build for kernel {known.release}: " in told
    assert "error: too few arguments to function" in told
    assert f"Its log: {LOG}." in refused.output
    assert f"dkms remove {MODULE}/{VERSION} --all" in refused.output
    assert "error: too few arguments to function" in sudo(node, f"cat {LOG}")
    assert "reboot" not in refused.titles
    assert node.boot_id() == booted
    assert sudo(node, "readlink -f /vmlinuz /initrd.img").split() == [
        f"/boot/vmlinuz-{known.older}",
        f"/boot/initrd.img-{known.older}",
    ]
    assert sudo(node, "ls /boot/vmlinuz-*").split() == [f"/boot/vmlinuz-{known.older}"]
    assert status(node, known.older).endswith(": installed")

    sudo(node, f"dkms remove {MODULE}/{VERSION} --all; rm -r {SOURCE}")
    again = bring_up.run()
    assert again.code == 0, again.output
