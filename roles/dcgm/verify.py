"""Does DCGM run, against the driver that is there, and is its quickest diagnosis content?"""

from __future__ import annotations

import pytest
from testinfra.host import Host


def test_its_libraries_and_its_service_are_of_one_version(host: Host) -> None:
    versions = host.check_output("dpkg-query -W -f '${Version}\\n' 'datacenter-gpu-manager-4-*' | sort -u").split()
    assert len(versions) == 1, versions


def test_the_quickest_diagnosis_passes(host: Host) -> None:
    if host.run("nvidia-smi -L").rc != 0:
        pytest.skip("no GPU answers here")
    ran = host.run("dcgmi diag -r 1")
    assert ran.rc == 0 and "Fail" not in ran.stdout, ran.stdout + ran.stderr
