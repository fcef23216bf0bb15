"""Does nvcc compile with the chosen host compiler, and does what it made compute on a GPU?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest
from testinfra.host import Host

from provision.catalog import branch_of
from provision.planning import Planned
from provision.platforms import carried, platform_for

SOURCE = Path(__file__).with_name("saxpy.cu")


@pytest.fixture
def folder(host: Host) -> Iterator[str]:
    made = host.check_output("mktemp -d /var/tmp/saxpy.XXXXXX")
    yield made
    host.check_output(f"rm -r {quote(made)}")


def test_a_saxpy_compiles_and_is_right_where_a_gpu_is(host: Host, planned: Planned, folder: str) -> None:
    platform, stack = platform_for(planned.spec.os, planned.spec.arch), planned.stack
    nvcc = carried(platform, "cuda_toolkit", stack.version("cuda")).program
    compiler = carried(platform, "host_compiler", branch_of(stack.version("gcc"))).program
    gpu = host.run("nvidia-smi -L").rc == 0
    # Machine code for the GPU that is there: by minor-version compatibility a driver does not compile a newer PTX.
    flags = "-arch=native" if gpu else ""
    host.check_output(f"printf %s {quote(SOURCE.read_text())} >{quote(folder)}/saxpy.cu")
    made = host.run(f"cd {quote(folder)} && {quote(nvcc)} {flags} -ccbin {quote(compiler)} -o saxpy saxpy.cu")
    assert made.rc == 0, made.stdout + made.stderr
    if gpu:
        ran = host.run(f"{quote(folder)}/saxpy")
        assert ran.rc == 0 and "saxpy is right" in ran.stdout, ran.stdout + ran.stderr


def test_a_login_shell_finds_the_toolkit(host: Host, planned: Planned) -> None:
    told = host.check_output("env -i HOME=/ PATH=/usr/bin:/bin sh -lc 'nvcc --version'")
    minor = ".".join(planned.stack.version("cuda").split(".")[:2])
    assert f"release {minor}," in told
