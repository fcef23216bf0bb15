"""Does the user half of the driver fit its kernel half?"""

from __future__ import annotations

from testinfra.host import Host

from provision.planning import Planned


def test_the_loader_finds_the_chosen_libcuda(host: Host, planned: Planned) -> None:
    found = host.check_output("ldconfig -p | awk '$1 == \"libcuda.so.1\" { print $NF; exit }'")
    assert found, "the loader finds no libcuda.so.1"
    assert host.check_output(f"readlink -f {found}").endswith(f".so.{planned.stack.version('driver')}")


def test_nvidia_smi_is_that_of_the_driver(host: Host, planned: Planned) -> None:
    answer = host.run("nvidia-smi --version")
    version = planned.stack.version("driver")
    # Without a GPU nvidia-smi ends with an error, but it is the chosen one that says so.
    assert version in answer.stdout or host.package("nvidia-smi").version.startswith(version)
