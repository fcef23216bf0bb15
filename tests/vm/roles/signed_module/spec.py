"""signed_module: a module of a few lines that dkms builds for the kernel of the plan; stands for a vendor's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from provision.model import Derived, File, Gate, Module, Resource
from provision.planning import Context, Role, module_key

NAME = "provision_proof"

FILES = {
    "conf": f"""\
PACKAGE_NAME={NAME}
PACKAGE_VERSION=1.0
BUILT_MODULE_NAME={NAME}
DEST_MODULE_LOCATION=/updates
MAKE="make -C $kernel_source_dir M=$dkms_tree/$PACKAGE_NAME/$PACKAGE_VERSION/build modules"
""",
    "kbuild": f"obj-m := {NAME}.o\n",
    "source": """\
#include <linux/module.h>
static int __init begin(void) { return 0; }
static void __exit end(void) { }
module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Stands for a vendor's module that dkms builds and signs");
""",
}

PLACES = {"conf": "dkms.conf", "kbuild": "Kbuild", "source": f"{NAME}.c"}


class SignedModule(Role):
    """Built, signed and loaded as the roles with drivers do it, by the programs that they use."""

    component: ClassVar[str] = "modules"

    def builds(self, ctx: Context) -> tuple[str, ...]:
        return (NAME,)

    def resources(self, ctx: Context) -> Iterator[Resource]:
        release = ctx.stack.version("kernel")
        for file, text in FILES.items():
            yield File(name=f"proof-{file}", path=f"/usr/src/{NAME}-1.0/{PLACES[file]}", content=text)
        yield Derived(
            name="proof-build",
            inputs=tuple(f"proof-{file}" for file in FILES),
            command=ctx.platform.build_ofed((NAME,), release),
            log=ctx.platform.ofed_log((NAME,)),
        )
        yield Gate(
            name="proof-built",
            test=ctx.platform.ofed_built((NAME,), release),
            expect=f"{NAME} is built and installed for kernel {release}",
            remedy="See the build log that is named",
            proves=("proof-build",),
        )
        yield module_key(ctx)
        yield Module(name="proof-loaded", module=NAME, loaded=True)
