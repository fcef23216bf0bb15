"""cuda_toolkit: nvcc and the libraries of one CUDA release."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import ClassVar

from provision.catalog import branch_of
from provision.model import Alternatives, File, Gate, NodeSpec, Package, Packages, Resource
from provision.planning import Context, Role
from provision.platforms import carried, whole_driver

PULL_A_TOOLKIT = ("cuda", "cuda-[0-9]*", "cuda-toolkit", "cuda-toolkit-[0-9]*")
"""Metapackages that follow the newest release, or bring a driver with theirs (Azure/azhpc-images, NVIDIA/deepops, read
2026-11-21)."""

DEFAULT = "/usr/local/cuda"
"""What programs look for; NVIDIA's packages make it an alternative (seen on an Ubuntu machine, 2026-11-20)."""

# NVCC_CCBIN is read from CUDA 13.0 on; -ccbin by NVCC_PREPEND_FLAGS is older (installation guides of 13.0 and 13.2).
PROFILE = """\
# Written by provision: where the CUDA toolkit is, and the host compiler that its nvcc accepts.
export CUDA_HOME={home}
[ ! -d "$CUDA_HOME/bin" ] || PATH=$CUDA_HOME/bin:$PATH
export CUDAHOSTCXX={compiler} NVCC_CCBIN={compiler}
"""


class CudaToolkit(Role):
    """One CUDA release and the host compiler that its nvcc accepts; never a package that brings another driver."""

    component: ClassVar[str] = "toolkit"

    @classmethod
    def wanted(cls, spec: NodeSpec) -> bool:
        return spec.cuda is not None

    def resources(self, ctx: Context) -> Iterator[Resource]:
        release, driver = ctx.stack.version("cuda"), ctx.stack.version("driver")
        toolkit = carried(ctx.platform, "cuda_toolkit", release)
        compiler = carried(ctx.platform, "host_compiler", branch_of(ctx.stack.version("gcc")))
        packages = (*toolkit.packages, *_compatibility(ctx))
        own = whole_driver(ctx.platform, driver, ctx.spec.driver_repository, ctx.stack.version("modules"))
        yield Gate(
            name="toolkit-without-driver",
            test=ctx.platform.brings_no_other_driver(packages, own, driver),
            expect=f"the toolkit's packages bring no driver, and nothing of one but what the plan brings of {driver}",
            remedy="Another package source is in the way; `apt-get -s install` of what is named tells which",
            precondition=True,
        )
        yield Packages(name="toolkit-packages", packages=packages, hold=True, metas=PULL_A_TOOLKIT)
        yield Packages(name="toolkit-compiler", packages=compiler.packages)
        link = toolkit.repository != "archive"
        if link:
            yield Alternatives(name="toolkit-default", alternative="cuda", link=DEFAULT, path=toolkit.home)
        home = DEFAULT if link else toolkit.home
        yield File(
            name="toolkit-profile",
            path="/etc/profile.d/provision-cuda.sh",
            content=PROFILE.format(home=quote(home), compiler=quote(compiler.program)),
        )
        minor = ".".join(release.split(".")[:2])
        yield Gate(
            name="toolkit-release",
            test=f"told=$({quote(toolkit.program)} --version | grep release) || "
            f"""{{ echo "{toolkit.program} does not answer"; exit 1; }}; echo "$told"; """
            f"""case $told in *"release {minor},"*) ;; *) exit 1 ;; esac; {quote(compiler.program)} -dumpversion""",
            expect=f"nvcc is of CUDA {minor}, and its host compiler is there",
            remedy="Another toolkit took its place; `update-alternatives --display cuda` tells which",
        )


def _compatibility(ctx: Context) -> tuple[Package, ...]:
    """The forward-compatibility package, where the stack says that the toolkit runs on its driver only with it."""
    if "cuda_compat" not in ctx.stack.choices:
        return ()
    return carried(ctx.platform, "cuda_compat", ctx.stack.version("cuda")).packages
