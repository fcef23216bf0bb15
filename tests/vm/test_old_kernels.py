"""Old kernels are taken off a machine that really runs the newest: packages, files in /boot, and the boot menu."""

from __future__ import annotations

from bring_up import OS, kernels

from provision.lab import VirtualMachine
from provision.platforms import platform_for


def test_old_kernels_go_and_the_running_one_and_its_fallback_stay(machine: VirtualMachine) -> None:
    platform = platform_for(OS, machine.arch)
    running = machine.ssh("uname -r").stdout.strip()
    flavour = platform.kernel_row(running).flavour
    offered = [release for release in kernels(machine) if platform.kernel_row(release).flavour == flavour]
    fallback, oldest = [release for release in offered if release != running][:2]
    images = " ".join(f"linux-image-{release}" for release in (fallback, oldest))
    installed = machine.sudo(
        f"DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install {images} </dev/null",
        seconds=1800,
    )
    assert installed.returncode == 0, installed.stdout[-2000:] + installed.stderr[-2000:]
    before = machine.sudo("cat /boot/grub/grub.cfg").stdout
    assert all(f"vmlinuz-{release} " in before for release in (running, fallback, oldest))

    done = machine.sudo("sh -s", stdin=platform.prune_kernels(running, 1), seconds=1800)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"kernel {oldest} is taken off" in done.stdout
    left = machine.sudo("cd /boot; ls vmlinuz-*").stdout.split()
    assert sorted(left) == sorted(f"vmlinuz-{release}" for release in (running, fallback))
    menu = machine.sudo("cat /boot/grub/grub.cfg").stdout
    assert f"vmlinuz-{oldest} " not in menu
    assert all(f"vmlinuz-{release} " in menu for release in (running, fallback))
    assert machine.sudo(f"ls /lib/modules/{oldest} /boot/initrd.img-{oldest}").returncode != 0
    assert machine.sudo(f"dpkg-query -W linux-image-{oldest}").returncode != 0
