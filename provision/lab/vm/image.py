"""A bootable disk per architecture: Debian with its own kernel, GPT, UEFI and GRUB, made without a loop device."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from shlex import quote

from provision.lab import base, bootstrap, kept, mounts, program
from provision.lab.bootstrap import Recipe
from provision.lab.mirror import Mirror
from provision.lab.vm import foreign, tools
from provision.lab.vm.machine import Board, Machine
from provision.model import digest
from provision.model.places import LAB_MARK

PACKAGES = ("udev", "initramfs-tools", "zstd", "pciutils", "qemu-guest-agent")

DISK_GIB = 20
"""Of which only what is written takes room."""
ESP_MIB = 96

ADDRESS, GATEWAY = "10.0.2.15/24", "10.0.2.2"
"""QEMU's user network (`-netdev user`, QEMU's documentation, "Network emulation"); a fixed address saves asking."""

# Before the kernel is installed: an initrd of the four modules that the machine needs, which is built in seconds where
# a full one takes emulated minutes.
PREPARE = """
set -eu
root=$1
mkdir -p "$root/etc/initramfs-tools/conf.d"
printf '%s\\n' MODULES=list COMPRESS=zstd COMPRESSLEVEL=1 >"$root/etc/initramfs-tools/conf.d/provision-lab"
printf '%s\\n' virtio_pci virtio_blk virtio_net ext4 >"$root/etc/initramfs-tools/modules"
"""

# After the base's own.  GRUB's modules lie under /boot/grub as grub-install puts them: the real menu loads them there.
# ssh waits for a host key of its own, which the lab brings.
# e2scrub, fstrim, dpkg-db-backup: emulated seconds that nobody asked for.
CUSTOMIZE = """
printf '%s\\n' 'A throw-away virtual machine of provision lab: no GPU.' >"$root{mark}"
printf '%s\\n' 'LABEL=root / ext4 defaults,errors=remount-ro 0 1' 'LABEL=ESP /boot/efi vfat umask=0077,nofail 0 1' \\
  >"$root/etc/fstab"
cat >"$root/etc/systemd/network/10-provision-lab.network" <<'END'
[Match]
Type=ether
[Network]
Address={address}
Gateway={gateway}
LinkLocalAddressing=no
IPv6AcceptRA=no
END
mkdir -p "$root/etc/systemd/system/ssh.service.d"
printf '%s\\n' '[Unit]' 'ConditionPathExists=/etc/ssh/ssh_host_ed25519_key' \\
  >"$root/etc/systemd/system/ssh.service.d/provision-lab.conf"
chroot "$root" systemctl --quiet enable systemd-networkd
chroot "$root" systemctl --quiet mask sshd-keygen.service e2scrub_all.timer e2scrub_reap.service \\
  fstrim.timer dpkg-db-backup.timer
cat >"$root/etc/default/grub" <<'END'
GRUB_DEFAULT=saved
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX="console={console}"
GRUB_TERMINAL=console
END
mkdir -p "$root/boot/grub/{grub}" "$root/boot/efi"
cp "$root/usr/lib/grub/{grub}"/*.mod "$root/usr/lib/grub/{grub}"/*.lst "$root/boot/grub/{grub}/"
release=$(basename "$root"/boot/vmlinuz-*)
release=${{release#vmlinuz-}}
cat >"$root/boot/grub/grub.cfg" <<END
search --no-floppy --label --set=root root
linux /boot/vmlinuz-$release root=LABEL=root ro console={console} quiet
initrd /boot/initrd.img-$release
boot
END
"""

# In the tools root, with the root folder and the disk to be under /here.
DISK = """
set -eu
cd /here
truncate -s {gib}G disk.raw
sgdisk --clear --new=1:2048:+{esp}M --typecode=1:ef00 --change-name=1:ESP \\
  --new=2:0:0 --typecode=2:8300 --change-name=2:root disk.raw >sgdisk.log
first=$(sgdisk --info=2 disk.raw | sed -n 's/^First sector: \\([0-9]*\\).*/\\1/p')
last=$(sgdisk --info=2 disk.raw | sed -n 's/^Last sector: \\([0-9]*\\).*/\\1/p')
cat >early.cfg <<'END'
search --no-floppy --label --set=root root
set prefix=($root)/boot/grub
configfile $prefix/grub.cfg
END
{make}truncate -s {esp}M esp.raw
mkfs.fat -F 32 -n ESP esp.raw >mkfs.log
mmd -i esp.raw ::/EFI ::/EFI/BOOT
{put}dd if=esp.raw of=disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
# Without a block size mke2fs takes the blocks for 1 KiB ones and fills a quarter of the disk.
mke2fs -q -t ext4 -b 4096 -L root -E "offset=$((first * 512)),assume_storage_prezeroed=1" -d root disk.raw \\
  $(((last - first + 1) / 8))
"""

MAKE_LOADER = """\
modules=
for name in {modules}; do
  [ ! -e "root/usr/lib/grub/{grub}/$name.mod" ] || modules="$modules $name"
done
# shellcheck disable=SC2086 # a list of words
grub-mkimage --format={grub} --directory=root/usr/lib/grub/{grub} --prefix=/boot/grub --config=early.cfg \\
  --output=loader.efi $modules
"""
PUT_LOADER = "mcopy -i esp.raw loader.efi ::/EFI/BOOT/{loader}\n"

PUT_SIGNED = "mcopy -i esp.raw {file} ::/{place}\n"
# Debian's signed GRUB looks for its settings in this folder, wherever it was started from (its `prefix`).
PUT_SETTINGS = "mmd -i esp.raw ::/EFI/debian\nmcopy -i esp.raw early.cfg ::/EFI/debian/grub.cfg\n"

GRUB_MODULES = (
    "part_gpt fat ext2 search search_label search_fs_uuid configfile normal linux boot echo test true loadenv gzio "
    "zstdio serial terminal all_video regexp reboot halt sleep efifwsetup"
)


def recipe(machine: Machine, wrapper: tuple[str, ...] = ()) -> Recipe:
    board = machine.board
    own = CUSTOMIZE.format(mark=LAB_MARK, address=ADDRESS, gateway=GATEWAY, console=board.console, grub=board.grub)
    kernel = (f"linux-image-{board.debian}", f"grub-efi-{board.debian}")
    return Recipe(
        title=f"the root of {machine.kind} machines",
        packages=(*base.PACKAGES, *PACKAGES, *kernel, *board.packages),
        prepare=PREPARE,
        customize=base.CUSTOMIZE + own,
        options=(f"--architecture={board.debian}", "--skip=check/qemu"),
        wrapper=wrapper,
    )


def recipe_digest(machine: Machine, mirror: Mirror) -> str:
    return digest(bootstrap.recipe_digest(recipe(machine), mirror) + disk_program(machine.board))


def provide(folder: Path, root_of_tools: Path, machine: Machine, mirror: Mirror, say: Callable[[str], None]) -> Path:
    """The folder with the `disk.raw` of such machines, built under `folder` if it holds none of this recipe."""

    def build(part: Path, lock: int) -> None:
        part.mkdir()
        native = machine.arch == os.uname().machine
        wrapper = () if native else foreign.wrapper(folder, root_of_tools, machine.arch)
        bootstrap.make(part / "root", recipe(machine, wrapper), mirror, say, lock)
        base.check(part / "root")
        say(f"making the disk of {machine.kind} machines")
        program.run(*tools.inside(root_of_tools, {"here": part}, "sh", "-c", disk_program(machine.board)))
        for file in part.iterdir():
            if file.is_file() and file.name != "disk.raw":
                file.unlink()
        for tree in (part / "root", part / "base-recipe"):
            mounts.remove_tree(tree)

    return kept.provide(folder / f"image-{machine.kind}-{recipe_digest(machine, mirror)}", LOCK, build)


LOCK = "image.lock"


def disk_program(board: Board) -> str:
    grub, loader = quote(board.grub), quote(board.loader)
    if board.signed:
        copied = (
            PUT_SIGNED.format(file=quote(f"root/{file}"), place=quote(place)) for place, file in board.signed.items()
        )
        make, put = "", "".join((*copied, PUT_SETTINGS))
    else:
        make, put = MAKE_LOADER.format(grub=grub, modules=GRUB_MODULES), PUT_LOADER.format(loader=loader)
    return DISK.format(gib=DISK_GIB, esp=ESP_MIB, grub=grub, make=make, put=put)
