"""NVIDIA's real packages, built once."""

from __future__ import annotations

from testinfra.host import Host

from provision.lab.archive import MARK
from provision.model import Packages
from provision.planning import Planned


def test_the_modules_are_built_once(done: list[str], host: Host) -> None:
    assert done.count("module-build") == 1
    logs = host.check_output("find /var/lib/dkms -name make.log").split()
    assert len(logs) == 1


def test_the_driver_is_that_of_the_distributions_archive(host: Host, planned: Planned) -> None:
    assert not host.file(MARK).exists
    resource = planned.plan.by_name["module-packages"].resource
    assert isinstance(resource, Packages)
    for package in resource.packages:
        assert "Debian" in host.check_output(f"dpkg-query -W -f '${{Maintainer}}' {package.name}")


def test_one_reboot_was_enough(ledger: list[tuple[str, str, str]]) -> None:
    assert [word for _, word, _ in ledger].count("reboot") == 1
