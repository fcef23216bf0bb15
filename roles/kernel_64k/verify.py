"""Is the target kernel whole, and would it boot?"""

from __future__ import annotations

from testinfra.host import Host

from provision.planning import Planned


def test_the_initrd_belongs_to_the_target_kernel(host: Host, planned: Planned) -> None:
    release = planned.stack.version("kernel")
    listing = host.run(f"lsinitramfs /boot/initrd.img-{release}")
    assert listing.rc == 0, listing.stderr
    assert f"lib/modules/{release}/modules.dep" in listing.stdout or f"lib/modules/{release}" in listing.stdout


def test_every_kernel_in_boot_has_its_initrd(host: Host) -> None:
    images = host.check_output("find /boot -maxdepth 1 -name 'vmlinuz-*' -printf '%f\\n'").split()
    assert images
    for image in images:
        assert host.file(f"/boot/initrd.img-{image.removeprefix('vmlinuz-')}").size > 0


def test_the_headers_are_those_of_the_target_kernel(host: Host, planned: Planned) -> None:
    release = planned.stack.version("kernel")
    header = host.file(f"/lib/modules/{release}/build/include/generated/utsrelease.h")
    assert f'"{release}"' in header.content_string


def test_no_trial_waits_for_its_confirmation(host: Host) -> None:
    assert not host.file("/run/provision-trial").exists, "this node resets itself unless its kernel is confirmed"
