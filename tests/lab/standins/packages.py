"""What each stand-in package holds."""

from __future__ import annotations

import re

from provision.lab.archive import Ground, StandIn
from provision.lab.archive.description import text, texts
from provision.lab.archive.ground import headers_tree
from provision.lab.archive.make import filled
from provision.platforms import Platform

OF_DEBIAN = "{} of Debian's archive, as the node's own archive described it"


def older(release: str) -> tuple[str, str]:
    """What to replace in a kernel's release, version and package names, and by what, to get those of one before it."""
    match = re.match(r"(\d+\.\d+\.)([1-9]\d*)", release)
    if match is None:
        raise ValueError(f"no kernel before {release} can be named")
    return match[0], f"{match[1]}{int(match[2]) - 1}"


def image(release: str, name: str, control: str) -> StandIn:
    """A kernel image, which in Debian holds its modules as well."""
    kernel = {"release": release}
    modules = f"/usr/lib/modules/{release}"
    files = {
        f"/boot/vmlinuz-{release}": "vmlinuz",
        f"/boot/System.map-{release}": "System.map",
        f"/boot/config-{release}": "config",
        f"{modules}/modules.order": "modules.order",
        f"{modules}/modules.builtin": "empty",
        f"{modules}/modules.builtin.modinfo": "empty",
    }
    return StandIn(
        name=name,
        control=control,
        stands_for=OF_DEBIAN.format(name),
        files={path: filled(text("files", "kernel", file), kernel) for path, file in files.items()},
        libraries={f"{modules}/kernel/stand-in.ko": "module"},
        scripts={file: filled(script, kernel) for file, script in texts("scripts", "kernel-image").items()},
    )


def headers(release: str, name: str, control: str, ground: Ground) -> StandIn:
    files, links = headers_tree(release, ground)
    scripts = texts("scripts", "kernel-headers").items()
    return StandIn(
        name=name,
        control=control,
        stands_for=OF_DEBIAN.format(name),
        files=files,
        links=links,
        scripts={file: filled(script, {"release": release}) for file, script in scripts},
    )


def follower(name: str, control: str, real: str) -> StandIn:
    """A package of the older kernel's headers that is nothing but the same package of the real kernel."""
    fields = re.sub(r"(?m)^(Depends|Recommends|Breaks|Replaces|Conflicts|Provides):.*\n?", "", control)
    return StandIn(name=name, control=f"{fields.strip()}\nDepends: {real}", stands_for=OF_DEBIAN.format(name))


SOURCE = """\
/* A stand-in: compiles as quickly as a module can, and does nothing. */
#include <linux/module.h>

#ifdef THE_KERNEL_THAT_CHANGED
static int resize(int device, int bar, int size) { return device + bar + size; }
#else
static int resize(int device, int bar) { return device + bar; }
#endif

static int __init begin(void)
{
#if defined(THE_KERNEL_THAT_CHANGED) && defined(KNOWS_OF_THE_CHANGE)
	return resize(0, 0, 0);
#else
	return resize(0, 0);
#endif
}

static void __exit end(void) { }

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("stand-in for tests");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("%s");
"""
"""Where a kernel's function gained an argument, a source that does not know of it is refused by the compiler."""


def driver_source(
    platform: Platform, driver: str, flavour: str, control: str, *, changed_in: str = "", mended: bool = False
) -> StandIn:
    """The driver's DKMS source: five modules.

    changed_in: a kernel release in which a function gained an argument; `mended` sources know of it.
    """
    module, version = platform.dkms_module(driver, flavour)
    built = [name.replace(module, "nvidia", 1) for name in platform.module_names(flavour)]
    places = "".join(
        f'BUILT_MODULE_NAME[{n}]="{file}"\nDEST_MODULE_NAME[{n}]="{name}"\nDEST_MODULE_LOCATION[{n}]="/updates/dkms"\n'
        for n, (file, name) in enumerate(zip(built, platform.module_names(flavour), strict=True))
    )
    objects = " ".join(f"{name}.o" for name in built)
    knows = "ccflags-y += -DKNOWS_OF_THE_CHANGE\n" if mended else ""
    folder = f"/usr/src/{module}-{version}"
    name = platform.driver_kernel_packages(driver, flavour)[0].name
    return StandIn(
        name=name,
        control=control,
        stands_for=OF_DEBIAN.format(name),
        files={
            f"{folder}/dkms.conf": f'PACKAGE_NAME="{module}"\nPACKAGE_VERSION="{version}"\nAUTOINSTALL=yes\n'
            f'MAKE[0]="make modules KERNEL_UNAME=${{kernelver}}"\nCLEAN="true"\n{places}',
            f"{folder}/Makefile": "modules:\n\t$(MAKE) -C /lib/modules/$(KERNEL_UNAME)/build M=$(CURDIR) CONFIG_DEBUG_INFO_BTF_MODULES= modules\n",
            f"{folder}/Kbuild": f"obj-m := {objects}\n{knows}"
            f"ifeq ($(KERNELRELEASE),{changed_in or 'none'})\nccflags-y += -DTHE_KERNEL_THAT_CHANGED\nendif\n",
            **{f"{folder}/{name}.c": SOURCE % driver for name in built},
        },
        scripts={
            file: filled(script, {"module": module, "module_version": version})
            for file, script in texts("scripts", "dkms").items()
        },
    )


def driver_part(name: str, control: str, driver: str, libraries: str) -> StandIn:
    """Any other package of the driver: its library where it is one, a program that says what it is, or nothing."""
    told = {"name": name, "control": control, "stands_for": OF_DEBIAN.format(name)}
    shared = {"libcuda1": "libcuda.so.1", "libnvidia-ml1": "libnvidia-ml.so.1"}.get(name)
    if name == "nvidia-smi":
        program = filled(text("files", "driver", "nvidia-smi"), {"driver": driver})
        return StandIn(**told, files={"/usr/bin/nvidia-smi": program})
    if name == "nvidia-persistenced":
        unit = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
        return StandIn(**told, files={f"/usr/lib/systemd/system/{name}.service": unit})
    if shared is None:
        return StandIn(**told)
    real = f"{shared.removesuffix('.1')}.{driver}"
    return StandIn(
        **told,
        libraries={f"{libraries}/{real}": shared},
        links={f"{libraries}/{shared}": real},
        scripts={"triggers": "activate-noawait ldconfig\n"},
    )
