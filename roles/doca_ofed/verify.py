"""Is the network's stack the one that was chosen, and would its modules be the ones that load?"""

from __future__ import annotations

import pytest
from testinfra.host import Host

from provision.planning import Planned
from provision.platforms import platform_for


def _own(planned: Planned) -> str:
    """The path of OFED's InfiniBand core, or a skip where this node has none."""
    if "ofed-build" not in planned.plan.by_name:
        pytest.skip("no OFED with kernel modules was chosen")
    return f"/lib/modules/{planned.stack.version('kernel')}/updates"


def test_ofed_says_which_one_it_is(host: Host, planned: Planned) -> None:
    _own(planned)
    assert host.check_output("ofed_info -s").strip()


def test_the_infiniband_core_that_would_load_is_ofeds_own(host: Host, planned: Planned) -> None:
    updates = _own(planned)
    release = planned.stack.version("kernel")
    assert host.check_output(f"modinfo -k {release} -n ib_core").startswith(updates)


def test_the_distributions_own_dkms_is_in_use(host: Host, planned: Planned) -> None:
    _own(planned)
    version = host.package("dkms").version
    sources = host.check_output(f"apt-cache madison dkms | awk -F '|' '$2 ~ / {version} / {{ print $3 }}'")
    assert "doca" not in sources.lower(), f"dkms {version} comes from {sources}"


def test_peer_memory_would_find_its_symbols(host: Host, planned: Planned) -> None:
    _own(planned)
    modules = planned.stack.version("modules")
    name = platform_for(planned.spec.os, planned.spec.arch).module_names(modules)[-1].replace("-", "_")
    dependencies = host.check_output(
        f"modprobe -S {planned.stack.version('kernel')} --show-depends {name} | awk '{{ print $2 }}'"
    )
    assert "/ib_core.ko" in dependencies
