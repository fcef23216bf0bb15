"""A driver that does not build for the new kernel leaves a node that boots the old one, and says what failed.

The node stands on stand-ins (see `standins`): in its archive's suite `bad` the driver's source calls a function of the
newer kernel with an argument too few, so the compiler itself refuses it; `fixed` brings a source that knows better.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest
from interrupt import Project, Run, read_state
from standins import Facts, facts, provide, serve, sudo

from provision.lab import Lab, Node
from provision.platforms import platform_for

NAME = "failed-build"
PLAIN_APT = "export DEBIAN_FRONTEND=noninteractive; apt-get -q -y --no-install-recommends install "


@pytest.fixture
def node(lab: Lab) -> Iterator[Node]:
    (fresh,) = lab.up([NAME], layer=provide(lab))
    serve(fresh, "bad")
    yield fresh
    lab.down([NAME])


@pytest.fixture
def known(node: Node) -> Facts:
    return facts(node)


def kernel_packages(node: Node, release: str) -> str:
    platform = platform_for("debian13", sudo(node, "uname -m").strip())
    return " ".join(quote(package.name) for package in platform.kernel_packages(release))


def source_package(node: Node, known: Facts) -> str:
    platform = platform_for("debian13", sudo(node, "uname -m").strip())
    return quote(platform.driver_kernel_packages(known.driver, known.modules)[0].name)


def kernels(node: Node) -> dict[str, bool]:
    """Every kernel in /boot, and whether it has its initrd."""
    lines = sudo(node, 'for k in /boot/vmlinuz-*; do echo "${k#/boot/vmlinuz-}"; done').split()
    return {release: node.sudo(f"lsinitramfs /boot/initrd.img-{quote(release)}").returncode == 0 for release in lines}


def boots_the_old_kernel(node: Node, known: Facts) -> None:
    assert sudo(node, "readlink -f /vmlinuz").strip() == f"/boot/vmlinuz-{known.older}"
    assert sudo(node, "readlink -f /initrd.img").strip() == f"/boot/initrd.img-{known.older}"
    assert kernels(node) == {known.older: True}
    assert (
        sudo(node, "dpkg --audit; dpkg-query -W -f '${db:Status-Status} ${Package}\\n' | grep -v '^installed ' || :")
        == ""
    )


def tells_what_failed(run: Run, node: Node, known: Facts) -> None:
    assert run.code == 1, run.output
    module, version = platform_for("debian13", sudo(node, "uname -m").strip()).dkms_module(known.driver, known.modules)
    (told,) = [line for line in run.output.splitlines() if "does not build" in line]
    assert f"{module}/{version} does not build for kernel {known.release}: " in told
    assert "error: too few arguments to function" in told


def converges_once_the_archive_has_a_better_source(node: Node, project: Project, known: Facts) -> None:
    serve(node, "fixed")
    sudo(node, f"{PLAIN_APT} --only-upgrade --allow-change-held-packages {source_package(node, known)}")
    run = project.run()
    assert run.code == 0, run.output
    assert kernels(node) == {known.older: True, known.release: True}
    assert sudo(node, "readlink -f /vmlinuz").strip() == f"/boot/vmlinuz-{known.release}"
    assert sudo(node, f"dkms status -k {quote(known.release)}").strip().endswith(": installed")
    assert "system running" in read_state(node)
    assert project.run().operations == ()


def test_kernel_after_driver(node: Node, known: Facts, tmp_path: Path) -> None:
    project = Project(tmp_path, [node], kernel=known.older)
    before = project.run()
    assert before.code == 0, before.output
    project.declare([node])

    failed = project.run()

    tells_what_failed(failed, node, known)
    boots_the_old_kernel(node, known)
    assert sudo(node, f"dkms status -k {quote(known.older)}").strip().endswith(": installed"), (
        "it had its driver before"
    )
    converges_once_the_archive_has_a_better_source(node, project, known)


def test_driver_after_kernel(node: Node, known: Facts, tmp_path: Path) -> None:
    sudo(node, PLAIN_APT + kernel_packages(node, known.release))
    assert kernels(node) == {known.older: True, known.release: True}
    project = Project(tmp_path, [node])

    failed = project.run()

    tells_what_failed(failed, node, known)
    boots_the_old_kernel(node, known)
    converges_once_the_archive_has_a_better_source(node, project, known)


def test_a_node_left_in_the_trap_of_plain_apt(node: Node, known: Facts, tmp_path: Path) -> None:
    sudo(node, PLAIN_APT + f"{kernel_packages(node, known.older)} {source_package(node, known)}")
    trapped = node.sudo(PLAIN_APT + kernel_packages(node, known.release))
    assert trapped.returncode != 0, "Debian's own hooks build the driver, and fail"
    assert kernels(node) == {known.older: True, known.release: False}
    assert sudo(node, "readlink -f /vmlinuz").strip() == f"/boot/vmlinuz-{known.release}"
    project = Project(tmp_path, [node])

    failed = project.run()

    tells_what_failed(failed, node, known)
    boots_the_old_kernel(node, known)
    converges_once_the_archive_has_a_better_source(node, project, known)
