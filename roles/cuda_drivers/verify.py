"""Does the user half of the driver fit its kernel half?"""

from __future__ import annotations

import pytest
from testinfra.host import Host

from provision.model import Packages
from provision.planning import Planned


def test_the_loader_finds_the_chosen_libcuda(host: Host, planned: Planned) -> None:
    found = host.check_output("ldconfig -p | awk '$1 == \"libcuda.so.1\" { print $NF; exit }'")
    assert found, "the loader finds no libcuda.so.1"
    assert host.check_output(f"readlink -f {found}").endswith(f".so.{planned.stack.version('driver')}")


def test_nvidia_smi_is_that_of_the_driver(host: Host, planned: Planned) -> None:
    # Without a GPU nvidia-smi ends with an error, so it is asked whose it is.
    program = host.check_output("readlink -f /usr/bin/nvidia-smi")
    owner = host.check_output(f"dpkg-query -S {program}").partition(":")[0]
    assert host.package(owner).version.startswith(planned.stack.version("driver"))


def test_what_cuda_opens_is_loaded_at_every_boot(host: Host) -> None:
    loaded = host.check_output("cat /etc/modules-load.d/*.conf").split()
    assert {"nvidia-uvm", "nvidia-modeset"} <= set(loaded)


def test_persistence_mode_would_be_on(host: Host, planned: Planned) -> None:
    if "persistence" not in planned.plan.by_name:
        pytest.skip("the persistence daemon of this repository is not known")
    started = host.check_output("systemctl show -p ExecStart --value nvidia-persistenced.service")
    assert "--persistence-mode" in started
    assert "--no-persistence-mode" not in started


def test_the_driver_is_held(host: Host, planned: Planned) -> None:
    held = set(host.check_output("apt-mark showhold").split())
    resource = planned.plan.by_name["driver-packages"].resource
    assert isinstance(resource, Packages)
    assert {package.name for package in resource.packages} <= held
