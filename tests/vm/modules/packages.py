"""What stands in for packages here: a driver whose kernel half is small enough for an emulated compiler, and OFED.

The driver bears Debian's names, versions and relations; its five modules are those of the lab's archive: `nvidia` says
its version in /proc, `nvidia-peermem` imports what OFED's `ib_core` exports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provision.catalog import load
from provision.lab.archive import Ground, StandIn, archive
from provision.lab.archive.description import texts
from provision.lab.archive.make import filled
from provision.platforms import Platform

LARGE = ("firmware-nvidia-gsp", "libnvidia-ptxjitcompiler1")
"""Not the point here, and minutes to unpack where the processor is emulated; libcuda1 is real, see `modules`."""

REFUSED = """
#ifdef THE_KERNEL_THAT_CHANGED
static int resize(int device, int bar, int size) { return device + bar + size; }
#else
static int resize(int device, int bar) { return device + bar; }
#endif
static int __maybe_unused resized(void) { return resize(0, 0); }
"""
"""Where a kernel's function gained an argument, a source that does not know of it is refused by the compiler."""


def doca(platform: Platform, ground: Ground, release: str) -> tuple[StandIn, ...]:
    """DOCA's repository of one release as the lab's archive has it."""
    return archive(load(), platform, ground)[f"doca/{release}"]


def driver(platform: Platform, version: str, controls: Mapping[str, str], refused_by: str = "") -> Iterator[StandIn]:
    """The open modules' source, and what is large of the rest.

    controls: name -> what Debian's archive says of the real package. refused_by: a kernel for which it does not build.
    """
    source = source_name(platform, version)
    for name, control in controls.items():
        if name == source:
            yield _source(platform, version, name, control, refused_by)
        else:
            yield StandIn(name=name, control=control, stands_for=_of_debian(name))


def source_name(platform: Platform, version: str) -> str:
    return platform.driver_kernel_packages(version, "open")[0].name


def _source(platform: Platform, version: str, name: str, control: str, refused_by: str) -> StandIn:
    module, number = platform.dkms_module(version, "open")
    values = {
        **{"module": module, "module_version": number, "driver": version},
        **{"licence": "Dual MIT/GPL", "kind": "Open Kernel Module"},
    }
    folder = f"/usr/src/{module}-{number}"
    files = {f"{folder}/{path}": filled(content, values) for path, content in texts("dkms", "nvidia").items()}
    files[f"{folder}/dkms.conf"] += _renamed(platform)
    files[f"{folder}/Kbuild"] += (
        f"ifeq ($(KERNELRELEASE),{refused_by or 'none'})\nccflags-y += -DTHE_KERNEL_THAT_CHANGED\nendif\n"
    )
    files[f"{folder}/nvidia.c"] += REFUSED
    scripts = texts("scripts", "dkms").items()
    return StandIn(
        name=name,
        control=control,
        stands_for=_of_debian(name),
        files=files,
        scripts={script: filled(content, values) for script, content in scripts},
    )


def _renamed(platform: Platform) -> str:
    """Debian installs the modules as files of other names than they bear (dkms.conf of the real package)."""
    return "".join(f'DEST_MODULE_NAME[{n}]="{name}"\n' for n, name in enumerate(platform.module_names("open")))


def _of_debian(name: str) -> str:
    return f"{name} of Debian's archive, as the node's own archive described it"
