"""Are the modules that will load the ones that were chosen, for the kernel that will load them?"""

from __future__ import annotations

import pytest
from testinfra.host import Host

from provision.planning import Planned
from provision.platforms import platform_for


def _modinfo(host: Host, planned: Planned, field: str) -> dict[str, str]:
    """Module file -> what modinfo says of it, for every module file of the driver."""
    release = planned.stack.version("kernel")
    names = platform_for(planned.spec.os, planned.spec.arch).module_names(planned.stack.version("modules"))
    told = {}
    for name in names:
        path = host.check_output(f"find /lib/modules/{release}/ -name {name}.ko -o -name '{name}.ko.*'")
        assert path, f"{name}.ko is not there for kernel {release}"
        told[name] = host.check_output(f"modinfo -F {field} {path}")
    return told


def test_the_modules_are_at_the_chosen_version(host: Host, planned: Planned) -> None:
    assert set(_modinfo(host, planned, "version").values()) == {planned.stack.version("driver")}


def test_the_modules_are_for_the_target_kernel(host: Host, planned: Planned) -> None:
    release = planned.stack.version("kernel")
    assert {magic.split()[0] for magic in _modinfo(host, planned, "vermagic").values()} == {release}


def test_open_modules_carry_an_open_licence(host: Host, planned: Planned) -> None:
    if planned.stack.version("modules") != "open":
        pytest.skip("the proprietary modules were chosen")
    assert all("GPL" in licence for licence in _modinfo(host, planned, "license").values())


def test_nouveau_is_kept_off(host: Host) -> None:
    assert "blacklist nouveau" in host.check_output("modprobe --showconfig")
