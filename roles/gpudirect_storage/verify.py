"""Is nvidia-fs the one that was built for this kernel, and does it answer?"""

from __future__ import annotations

import pytest
from testinfra.host import Host

from provision.planning import Planned


def test_the_module_is_for_the_target_kernel(host: Host, planned: Planned) -> None:
    release = planned.stack.version("kernel")
    path = host.check_output(f"find /lib/modules/{release}/ -name nvidia-fs.ko -o -name 'nvidia-fs.ko.*'")
    assert path, f"nvidia-fs.ko is not there for kernel {release}"
    assert host.check_output(f"modinfo -F vermagic {path}").split()[0] == release


def test_the_module_answers(host: Host) -> None:
    if host.run("nvidia-smi -L").rc != 0:
        pytest.skip("no GPU answers here")
    assert "version" in host.file("/proc/driver/nvidia-fs/version").content_string
