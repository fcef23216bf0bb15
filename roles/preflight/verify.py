"""Does the node still look like the one that preflight let through?"""

from __future__ import annotations

from testinfra.host import Host

from provision.planning import Planned


def test_the_machine_is_the_declared_one(host: Host, planned: Planned) -> None:
    system = host.system_info
    assert f"{system.distribution}{system.release}".startswith(planned.spec.os.rstrip("0123456789."))
    assert host.check_output("uname -m") == planned.spec.arch


def test_the_package_database_is_consistent(host: Host) -> None:
    assert host.check_output("dpkg --audit") == ""
