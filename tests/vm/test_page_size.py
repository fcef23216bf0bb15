"""A machine with 4 KiB pages ends on the largest pages that its distribution ships, and its page size is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from bring_up import OS, BringUp, clone, kernels

from provision.lab import Lab
from provision.model.spec import Arch
from provision.platforms import platform_for

ARCH: Arch = "aarch64"


@pytest.mark.parametrize("reboots", ["single", "staged"])
def test_larger_pages_after_one_reboot(vm_lab: Lab, tmp_path: Path, reboots: str) -> None:
    platform = platform_for(OS, ARCH)
    with clone(vm_lab, "pages", ARCH) as node:
        assert node.ssh("getconf PAGE_SIZE").stdout.strip() == "4096"
        kernel = next(one for one in kernels(node) if platform.page_size(one) == platform.largest_page_size())
        bring_up = BringUp(
            tmp_path,
            node,
            roles=["preflight", "kernel_64k"],
            kernel=kernel,
            features=["proprietary"],  # no open module of Debian 13 builds for every kernel that it carries
            reboots=reboots,
            kernel_64k_trial_minutes=30,
        )
        applied = bring_up.apply()
        assert (applied.code, applied.reboots) == (0, 1), applied.output
        assert node.ssh("getconf PAGE_SIZE").stdout.strip() == str(platform.largest_page_size())
        assert bring_up.apply().reboots == 0
        print(f"{reboots}: {kernel} after {applied.seconds} s")
