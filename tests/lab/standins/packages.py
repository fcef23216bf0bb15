"""What each stand-in package holds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field

from provision.model import Frozen
from provision.platforms import Platform

DESCRIPTION = """\
Description: stand-in for tests
 This package bears the name, version and relations of a real one and holds next to nothing. Made by provision's
 tests (tests/lab/standins); it drives no hardware and boots no machine.
"""


class StandIn(Frozen):
    """`control`: fields without description. `libraries`: path -> soname; they are linked on the node."""

    name: str
    control: str
    files: dict[str, str] = Field(default_factory=dict)
    links: dict[str, str] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    scripts: dict[str, str] = Field(default_factory=dict)

    def entries(self) -> Iterator[tuple[str, str, bool]]:
        """Path below the package's own folder, content, and whether that is what a link points to."""
        yield "DEBIAN/control", self.control.strip() + "\n" + DESCRIPTION, False
        yield from ((f"DEBIAN/{name}", text, False) for name, text in self.scripts.items())
        yield from ((path.lstrip("/"), text, False) for path, text in self.files.items())
        yield from ((path.lstrip("/"), target, True) for path, target in self.links.items())


def older(release: str) -> tuple[str, str]:
    """What to replace in a kernel's release, version and package names, and by what, to get those of one before it."""
    match = re.match(r"(\d+\.\d+\.)([1-9]\d*)", release)
    if match is None:
        raise ValueError(f"no kernel before {release} can be named")
    return match[0], f"{match[1]}{int(match[2]) - 1}"


def image(release: str, name: str, control: str) -> StandIn:
    """A kernel image. The scripts make the calls of Debian's own (linux-image of Debian 13, read 2026-11-21)."""
    modules = f"/usr/lib/modules/{release}"
    head = f"#!/bin/sh -e\nversion={release}\nimage=/boot/vmlinuz-$version\n"
    return StandIn(
        name=name,
        control=control,
        files={
            f"/boot/vmlinuz-{release}": "a stand-in for a kernel\n",
            f"/boot/System.map-{release}": "0000000000000000 T stand_in\n",
            f"/boot/config-{release}": "# a stand-in for a kernel's configuration\nCONFIG_RD_GZIP=y\nCONFIG_RD_ZSTD=y\n",
            f"{modules}/modules.order": "kernel/stand-in.ko\n",
            f"{modules}/modules.builtin": "",
            f"{modules}/modules.builtin.modinfo": "",
        },
        # An object with nothing in it: depmod needs one to write a modules.dep that is not empty.
        libraries={f"{modules}/kernel/stand-in.ko": ""},
        scripts={
            "preinst": head
            + '[ "$1" != abort-upgrade ] || exit 0\n'
            + '[ "$1" != install ] || { mkdir -p /lib/modules/$version; touch /lib/modules/$version/.fresh-install; }\n'
            + 'linux-run-hooks image preinst $version $image -- "$@"\n',
            "postinst": head
            + '[ "$1" = configure ] || exit 0\ndepmod $version\n'
            + "change=upgrade\n[ ! -f /lib/modules/$version/.fresh-install ] || change=install\n"
            + "linux-update-symlinks $change $version $image\nrm -f /lib/modules/$version/.fresh-install\n"
            + 'linux-run-hooks image postinst $version $image -- "$@"\n',
            "prerm": head
            + '[ "$1" = remove ] || exit 0\nlinux-check-removal $version\n'
            + 'linux-run-hooks image prerm $version $image -- "$@"\n',
            "postrm": head
            + "rm -f /lib/modules/$version/.fresh-install\n"
            + '[ "$1" = upgrade ] || linux-update-symlinks remove $version $image\n'
            + 'linux-run-hooks image postrm $version $image -- "$@"\n'
            + '[ "$1" = purge ] || exit 0\nrm -f /lib/modules/$version/modules.*\nrmdir /lib/modules/$version || true\n',
        },
    )


def follower(name: str, control: str, real: str) -> StandIn:
    """A package of the older kernel's headers that is nothing but the same package of the real kernel."""
    links = {f"/usr/src/{name}": real} if name.startswith("linux-headers-") else {}
    fields = re.sub(r"(?m)^(Depends|Recommends|Breaks|Replaces|Conflicts|Provides):.*\n?", "", control)
    return StandIn(name=name, control=f"{fields.strip()}\nDepends: {real}", links=links)


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
    """The driver's DKMS source: five modules. The scripts are those of dh_dkms 3.2 (read 2026-11-21).

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
    return StandIn(
        name=platform.driver_kernel_packages(driver, flavour)[0].name,
        control=control,
        files={
            f"{folder}/dkms.conf": f'PACKAGE_NAME="{module}"\nPACKAGE_VERSION="{version}"\nAUTOINSTALL=yes\n'
            f'MAKE[0]="make modules KERNEL_UNAME=${{kernelver}}"\nCLEAN="true"\n{places}',
            f"{folder}/Makefile": "modules:\n\t$(MAKE) -C /lib/modules/$(KERNEL_UNAME)/build M=$(CURDIR) CONFIG_DEBUG_INFO_BTF_MODULES= modules\n",
            f"{folder}/Kbuild": f"obj-m := {objects}\n{knows}"
            f"ifeq ($(KERNELRELEASE),{changed_in or 'none'})\nccflags-y += -DTHE_KERNEL_THAT_CHANGED\nendif\n",
            **{f"{folder}/{name}.c": SOURCE % driver for name in built},
        },
        scripts={
            "postinst": '#!/bin/sh\nset -e\n[ "$1" = configure ] || exit 0\n'
            f'/usr/lib/dkms/common.postinst {module} {version} /usr/share/{module}-dkms "" $2\n',
            "prerm": '#!/bin/sh\nset -e\ncase "$1" in remove|upgrade|deconfigure)\n'
            f'  [ -z "$(dkms status -m {module} -v {version})" ] || dkms remove -m {module} -v {version} --all ;;\n'
            "esac\n",
        },
    )


def driver_part(name: str, control: str, driver: str, libraries: str) -> StandIn:
    """Any other package of the driver: its library where it is one, a program that says what it is, or nothing."""
    shared = {"libcuda1": "libcuda.so.1", "libnvidia-ml1": "libnvidia-ml.so.1"}.get(name)
    if name == "nvidia-smi":
        told = f"#!/bin/sh\necho 'nvidia-smi {driver}: a stand-in, there is no GPU' >&2\nexit 9\n"
        return StandIn(name=name, control=control, files={"/usr/bin/nvidia-smi": told})
    if shared is None:
        return StandIn(name=name, control=control)
    real = f"{shared.removesuffix('.1')}.{driver}"
    return StandIn(
        name=name,
        control=control,
        libraries={f"{libraries}/{real}": shared},
        links={f"{libraries}/{shared}": real},
        scripts={"triggers": "activate-noawait ldconfig\n"},
    )
