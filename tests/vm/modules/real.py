"""NVIDIA's own open modules from Debian's archive, built by DKMS in a container: an emulated compiler would take hours."""

from __future__ import annotations

from modules.ground import ARCH, OS, Facts, sudo
from provision.lab import Lab
from provision.model import digest
from provision.platforms import platform_for

FOLDER = "updates/dkms"


def built(lab: Lab, facts: Facts) -> str:
    """The module files in base64 of a tar, below `updates/dkms`; built once per kernel and driver, and kept."""
    kept = lab.store / f"nvidia-{digest(f'{facts.release} {facts.driver}')}.tar"
    if not kept.exists():
        part = kept.with_suffix(".part")
        part.write_text(_build(lab, facts), encoding="ascii")
        part.replace(kept)
    return kept.read_text(encoding="ascii")


def _build(lab: Lab, facts: Facts) -> str:
    platform = platform_for(OS, ARCH)
    source = platform.driver_kernel_packages(facts.driver, "open")[0].name
    (node,) = lab.up(["builder"])
    try:
        names = " ".join(package.name for package in platform.kernel_packages(facts.release))
        sudo(
            node,
            f"""
mkdir -p /etc/dkms
touch /etc/dkms/no-autoinstall
apt-get -qq update
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y --no-install-recommends install {names} dkms make </dev/null
cd /root
apt-get -q -o APT::Sandbox::User=root download "{source}=$(apt-cache madison {source} | awk '{{ print $3; exit }}')"
dpkg-deb -x {source}_*.deb /
""",
        )
        sudo(node, platform.build_modules(facts.driver, "open", facts.release))
        return sudo(node, f"tar -C /lib/modules/{facts.release} -c {FOLDER} | base64")
    finally:
        lab.down(["builder"])
