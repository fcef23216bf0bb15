"""The names are Ubuntu's, NVIDIA's and DOCA's; the packages say that they stand for them; the order is the kernel's."""

from __future__ import annotations

from testinfra.host import Host

from provision.lab.archive import MARK
from provision.model import Packages
from provision.planning import Planned


def test_the_node_says_that_it_is_ubuntu_by_name_only(host: Host, planned: Planned) -> None:
    assert f"{host.system_info.distribution}{host.system_info.release}" == planned.spec.os
    assert "by name only" in host.file(MARK).content_string


def test_every_package_of_the_plan_says_what_it_stands_for(host: Host, planned: Planned) -> None:
    resources = [entry.resource for entry in planned.plan.entries]
    names = [package.name for one in resources if isinstance(one, Packages) for package in one.packages]
    told = host.check_output("dpkg-query -W -f '${Package}=${X-Provision-Stands-For}\\n'").splitlines()
    says = dict(line.split("=", maxsplit=1) for line in told)
    assert "doca-ofed" in names
    assert [name for name in names if not says[name]] == []


def test_ofed_is_built_before_the_driver_and_each_once(done: list[str]) -> None:
    assert (done.count("ofed-build"), done.count("module-build")) == (1, 1)
    assert done.index("ofed-build") < done.index("module-build")
