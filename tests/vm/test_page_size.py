"""A GH200's machine with 4 KiB pages ends on the largest pages that its distribution ships, with the fewest reboots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bring_up import OS, Applied, BringUp, clone

from provision.lab import Lab, VirtualMachine
from provision.model.spec import Arch
from provision.platforms import platform_for

ARCH: Arch = "aarch64"
SMALL = 4096
BUSY_MINUTES = 30
"""Until a kernel on trial is reset: an emulated machine on a busy host takes its time."""


@pytest.mark.parametrize(("reboots", "how"), [("single", BringUp.apply), ("staged", BringUp.deploy)])
def test_a_node_ends_on_larger_pages_after_the_fewest_reboots(
    vm_lab: Lab, tmp_path: Path, reboots: str, how: Callable[[BringUp], Applied]
) -> None:
    largest = platform_for(OS, ARCH).largest_page_size()
    with clone(vm_lab, f"pages-{reboots}", ARCH) as node:
        assert page_size(node) == SMALL < largest
        bring_up = BringUp(
            tmp_path,
            node,
            gpu="GH200",  # asks for the largest pages there are, and for arguments of its own
            roles=["preflight", "kernel_64k", "loaded_at_boot"],
            reboots=reboots,
            kernel_64k_trial_minutes=BUSY_MINUTES,
        )
        fewest = bring_up.planned().reboots

        applied = how(bring_up)

        assert (applied.code, applied.reboots, applied.boots) == (0, fewest, fewest), applied.output
        assert page_size(node) == largest
        assert node.ssh("uname -r").stdout.strip() == bring_up.planned().kernel
        assert node.ssh("cat /sys/module/dummy/refcnt").returncode == 0
        again = how(bring_up)
        assert (again.code, again.reboots, again.boots) == (0, 0, 0), again.output


def page_size(node: VirtualMachine) -> int:
    return int(node.ssh("getconf PAGE_SIZE").stdout)
