"""Security updates by the node's own timer: held off while a run is at work, taken up again by themselves, the set left.

Real here: systemd's timers and apt's services, apt, Debian's unattended-upgrades, the run and its kill. Made for the
test: the timer's pace (every other second instead of every day), packages without contents under the names of real ones
in a repository of the node's own, and twenty minutes that pass at once, because the lease's files are dated back.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from standins import sudo, until

from provision.lab import Lab, Node
from provision.model import NodeSpec, Packages
from provision.model.places import RUN, STATE
from provision.planning import assemble, rooms
from provision.platforms.updates import LEASE_MINUTES

NAME = "updates"
ARCH = os.uname().machine
SPEC = {"os": "debian13", "arch": ARCH, "gpu": "GH200" if ARCH == "aarch64" else "H100", "hardware": "absent"}
EVERYBODYS = ("tzdata-of-a-site", "libstdc++-of-a-site", "linux-libc-dev-of-a-site")
ROLE = '''
from collections.abc import Iterator
from typing import ClassVar

from provision.model import Derived, Resource
from provision.planning import Context, Role


class Long(Role):
    """Work that takes as long as a test likes."""

    component: ClassVar[str] = "long"
    follows: ClassVar[tuple[str, ...]] = ("preflight",)

    def resources(self, ctx: Context) -> Iterator[Resource]:
        yield Derived(
            name="long-work",
            inputs=("/etc/hostname",),
            command="touch /run/at-work\\nwhile [ ! -e /run/enough ]; do sleep 0.2; done",
        )
'''

REPOSITORY = r"""
set -eu
mkdir -p /srv/site /tmp/made
cd /srv/site
for name in $names; do
    for version in 1 2; do
        mkdir -p /tmp/made/DEBIAN
        printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: empty\n' \
            "$name" "$version" >/tmp/made/DEBIAN/control
        dpkg-deb --root-owner-group -Znone --build /tmp/made "$name"_$version.deb >/dev/null
    done
done
apt-ftparchive packages . >Packages
apt-ftparchive -o APT::FTPArchive::Release::Origin=a-site -o APT::FTPArchive::Release::Label=a-site release . >Release
echo 'deb [trusted=yes] file:/srv/site ./' >/etc/apt/sources.list.d/a-site.list
apt-get -qq update
apt-get -qq -y install $(for name in $names; do echo "$name=1"; done) >/dev/null
cat >/etc/apt/apt.conf.d/51a-site <<'END'
Unattended-Upgrade::Origins-Pattern { "origin=a-site"; };
APT::Periodic::Enable "1";
APT::Periodic::Unattended-Upgrade "always";
END
"""

TIMER = """
systemctl unmask apt-daily-upgrade.timer 2>&1
mkdir -p /etc/systemd/system/apt-daily-upgrade.timer.d
cat >/etc/systemd/system/apt-daily-upgrade.timer.d/pace.conf <<'END'
[Timer]
OnCalendar=
OnCalendar=*:*:0/2
RandomizedDelaySec=0
AccuracySec=100ms
Persistent=false
END
systemctl daemon-reload
systemctl start apt-daily-upgrade.timer
"""

ASK = r"""
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.SourceFileLoader("unattended_upgrade", "/usr/bin/unattended-upgrade")
module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
loader.exec_module(module)
module.apt_pkg.init_config()
entries = module.apt_pkg.config.value_list("Unattended-Upgrade::Package-Blacklist")
print(*(name for name in sys.stdin.read().split() if module.is_pkgname_in_blacklist(name, entries)))
"""


def held(**more: object) -> set[str]:
    """Every package that a plan for a node like this would hold."""
    plan = assemble(NodeSpec.model_validate({**SPEC, **more}), rooms()).plan
    packages = (e.resource for e in plan.entries if isinstance(e.resource, Packages) and e.resource.hold)
    return {package.name for one in packages for package in one.packages}


pytestmark = pytest.mark.sweep


@pytest.fixture(scope="module")
def node(lab: Lab) -> Iterator[Node]:
    """Of every package, version 1 is installed and version 2 is waiting."""
    (fresh,) = lab.up([NAME])
    sudo(
        fresh,
        "export DEBIAN_FRONTEND=noninteractive\napt-get -qq update\n"
        "apt-get -qq -y --no-install-recommends install unattended-upgrades apt-utils >/dev/null 2>&1",
    )
    sudo(fresh, f"names='{' '.join(sorted((*EVERYBODYS, *held())))}'\n{REPOSITORY}")
    yield fresh
    lab.down([NAME])


class Controller:
    """`provision apply` of preflight and of the long work, which can be killed with all its processes."""

    def __init__(self, folder: Path, node: Node) -> None:
        (folder / "roles/long").mkdir(parents=True)
        (folder / "roles/long/spec.py").write_text(ROLE)
        keys = {**SPEC, "roles": ["preflight", "long"], "sudo": True, "ssh_config_file": str(node.ssh_config)}
        told = ", ".join(f"{name}={value!r}" for name, value in keys.items())
        (folder / "inventory.py").write_text(f"from provision import fleet\n\nlab = fleet([{NAME!r}], {told})\n")
        self._folder = folder
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVISION_")}

    def start(self) -> subprocess.Popen[bytes]:
        with (self._folder / "output").open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "provision", "apply", "inventory.py"],
                cwd=self._folder,
                env=self._environment | {"PROVISION_STATE": str(self._folder / "state")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return (self._folder / "output").read_text()


def versions(node: Node, *names: str) -> set[str]:
    return set(sudo(node, f"dpkg-query -W -f '${{Version}}\\n' {' '.join(names)}").split())


def test_updates_wait_for_a_run_and_go_on_after_it_without_the_set(node: Node, tmp_path: Path) -> None:
    controller = Controller(tmp_path, node)
    process = controller.start()
    try:
        assert until(node, "[ -e /run/at-work ]", 60), controller.said
        sudo(node, TIMER)

        # While it works: the timer has its turns, and the service's own condition skips them.
        skipped = "systemctl show -P Result apt-daily-upgrade.service | grep -qx exec-condition"
        assert until(node, skipped, 20), sudo(node, "journalctl -u apt-daily-upgrade.service")
        time.sleep(5)
        assert "exec-condition" in sudo(node, "journalctl -o cat -u apt-daily-upgrade.service")
        assert versions(node, *EVERYBODYS) == {"1"}

        # Nobody is there any more to end the lease.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert versions(node, *EVERYBODYS) == {"1"}
        past = f"$(date -d '-{LEASE_MINUTES + 1} minutes' +%Y%m%d%H%M)"
        sudo(
            node,
            f'touch /run/enough; sleep 1; for f in {RUN}/lease {STATE}/reboot-due; do [ ! -e $f ] || touch -t "{past}" $f; done',
        )

        log = "/var/log/unattended-upgrades/unattended-upgrades.log"
        updated = (
            f"dpkg-query -W -f '${{Version}}' {EVERYBODYS[0]} | grep -qx 2 && grep -q 'All upgrades installed' {log}"
        )
        assert until(node, updated, 300), sudo(node, f"journalctl -u apt-daily-upgrade.service; cat {log}")
        sudo(node, "systemctl stop apt-daily-upgrade.timer")
        assert until(node, "! systemctl is-active --quiet apt-daily-upgrade.service", 120)
        assert versions(node, *EVERYBODYS) == {"2"}
        assert versions(node, *held()) == {"1"}
        (chosen,) = sudo(node, f"sed -n 's/.*Packages that will be upgraded: //p' {log}").splitlines()
        assert set(chosen.split()) == set(EVERYBODYS), "Debian offers real packages of the set's names as well"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_the_real_program_excepts_every_package_of_the_set_and_no_other(node: Node) -> None:
    names = (
        held() | held(features=["rdma", "containers", "gdrcopy", "dcgm"], cuda="12") | held(features=["proprietary"])
    )
    told = sudo(node, f"python3 -c '{ASK}'", stdin="\n".join((*names, *EVERYBODYS)))
    assert set(told.split()) == names
