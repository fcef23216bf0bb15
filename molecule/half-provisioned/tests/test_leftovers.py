"""What was left behind is overcome where it concerns the plan, and left alone where it does not."""

from __future__ import annotations

from testinfra.host import Host

from provision.model import Packages
from provision.planning import Planned


def _packages(planned: Planned, *names: str) -> list[str]:
    """Names of the packages whose version the plan chooses."""
    resources = [planned.plan.by_name[name].resource for name in names]
    packages = [package for one in resources if isinstance(one, Packages) for package in one.packages]
    return [package.name for package in packages if package.version != "*"]


def test_what_was_unpacked_is_installed_whole_and_built_once(host: Host, planned: Planned, done: list[str]) -> None:
    (source,) = _packages(planned, "module-packages")
    assert host.check_output(f"dpkg-query -W -f '${{db:Status-Abbrev}}' {source}").strip() in {"ii", "hi"}
    assert done.count("module-build") == 1


def test_the_driver_is_the_distributions_though_apt_prefers_nvidias(host: Host, planned: Planned) -> None:
    assert host.file("/etc/apt/preferences.d/cuda-repository-pin-600").exists
    for name in _packages(planned, "module-packages", "driver-packages"):
        policy = host.check_output(f"apt-cache policy {name}")
        installed = policy.partition(" *** ")[2].splitlines()[1]
        assert "/archive" in installed, policy


def test_options_are_ours_and_the_other_tools_file_is_untouched(host: Host) -> None:
    ours = host.file("/etc/modprobe.d/provision-nvidia.conf")
    assert ours.is_file and not ours.is_symlink
    assert host.file("/opt/site/nvidia.conf").content_string == "options nvidia NVreg_EnableGpuFirmware=0\n"
    assert "NVreg_EnableGpuFirmware" not in host.check_output("modprobe --showconfig")
