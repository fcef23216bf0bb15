"""Throw-away virtual machines on this machine: QEMU, UEFI, GRUB; a kernel, a boot menu and modules of their own."""
