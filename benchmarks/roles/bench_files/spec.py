"""Files and nothing but files: makes a plan as long as those that other tools are usually measured with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from provision.model import File, Resource
from provision.planning import Context, Role


class BenchFiles(Role):
    """Small configuration files."""

    component: ClassVar[str] = "bench_files"
    follows: ClassVar[tuple[str, ...]] = ("preflight",)

    count: int = Field(default=0, ge=0, description="how many files")

    def resources(self, ctx: Context) -> Iterator[Resource]:  # noqa: ARG002 - the same on every node
        for number in range(self.count):
            content = f"# file {number}\n" + f"key{number} = value\n" * 20
            yield File(name=f"bench-file-{number}", path=f"/etc/bench.d/{number}.conf", content=content)
