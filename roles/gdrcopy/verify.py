"""Is gdrdrv the one that was built for this kernel and driver, and does a copy work?"""

from __future__ import annotations

import pytest
from testinfra.host import Host

from provision.planning import Planned


def test_the_module_is_for_the_target_kernel(host: Host, planned: Planned) -> None:
    release = planned.stack.version("kernel")
    path = host.check_output(f"find /lib/modules/{release}/ -name gdrdrv.ko -o -name 'gdrdrv.ko.*'")
    assert path, f"gdrdrv.ko is not there for kernel {release}"
    assert host.check_output(f"modinfo -F vermagic {path}").split()[0] == release


def test_a_copy_is_right(host: Host) -> None:
    if host.run("nvidia-smi -L").rc != 0:
        pytest.skip("no GPU answers here")
    if not host.exists("gdrcopy_sanity"):
        pytest.skip("gdrcopy-tests is not on this node")
    ran = host.run("gdrcopy_sanity")
    assert ran.rc == 0, ran.stdout + ran.stderr
