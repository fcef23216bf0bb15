"""What a virtual machine is made of, and QEMU's arguments for it. Nothing here touches anything."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from provision.lab.error import InputError
from provision.model import Frozen
from provision.model.spec import Arch

TRANSLATION_MIB = 256
"""QEMU keeps translated code in so much memory of this machine."""


Firmware = Literal["plain", "secure"]
"""`secure`: UEFI that enforces Secure Boot with Microsoft's keys, which Debian's shim, GRUB and kernel satisfy."""
FIRMWARES: tuple[Firmware, ...] = get_args(Firmware)


class Board(Frozen):
    """What differs between architectures and firmwares."""

    debian: str
    emulator: str
    machine: str
    cpu: str
    console: str
    firmware: str
    variables: str
    grub: str
    loader: str
    options: tuple[str, ...] = ()
    """More arguments of QEMU."""
    packages: tuple[str, ...] = ()
    """What the disk needs beside kernel and GRUB."""
    signed: dict[str, str] = Field(default_factory=dict)
    """Place on the EFI partition -> file of the packages; without any, the loader is made here, signed by nobody."""


BOARDS: dict[Arch, Board] = {
    "x86_64": Board(
        debian="amd64",
        emulator="qemu-system-x86_64",
        machine="q35,hpet=off,smbus=off,usb=off,vmport=off",
        # Few instructions that software emulation is slow at.
        cpu="Nehalem",
        console="ttyS0",
        firmware="/usr/share/OVMF/OVMF_CODE_4M.fd",
        variables="/usr/share/OVMF/OVMF_VARS_4M.fd",
        grub="x86_64-efi",
        loader="BOOTX64.EFI",
    ),
    "aarch64": Board(
        debian="arm64",
        emulator="qemu-system-aarch64",
        machine="virt,gic-version=3",
        cpu="neoverse-n1",
        console="ttyAMA0",
        firmware="/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd",
        variables="/usr/share/AAVMF/AAVMF_VARS.fd",
        grub="arm64-efi",
        loader="BOOTAA64.EFI",
    ),
}

# Variables may be written in System Management Mode alone: without it a guest's root could switch Secure Boot off
# (edk2, OvmfPkg/README, "SMM support"; QEMU's cfi.pflash01 has `secure` for it; from memory).
SECURE_BOARDS: dict[Arch, Board] = {
    "x86_64": BOARDS["x86_64"].model_copy(
        update={
            "machine": "q35,smm=on,hpet=off,smbus=off,usb=off,vmport=off",
            "options": (
                *("-global", "driver=cfi.pflash01,property=secure,value=on"),
                *("-global", "ICH9-LPC.disable_s3=1"),
            ),
            "firmware": "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
            "variables": "/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
            # What is judged here is modules: an emulated processor unpacks a compiler in ten minutes, this one in one.
            "packages": ("shim-signed", "grub-efi-amd64-signed", "dkms", "linux-headers-amd64"),
            # shim starts `grubx64.efi` beside itself, or MokManager, `mmx64.efi`, where keys await enrolment.
            "signed": {
                "EFI/BOOT/BOOTX64.EFI": "usr/lib/shim/shimx64.efi.signed",
                "EFI/BOOT/mmx64.efi": "usr/lib/shim/mmx64.efi.signed",
                "EFI/BOOT/grubx64.efi": "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
            },
        }
    ),
}


class Machine(Frozen):
    """A saved state fits only the machine that it was saved from, down to every device."""

    arch: Arch
    memory_mib: int = 2048
    cpus: int = 2
    firmware: Firmware = "plain"

    @property
    def board(self) -> Board:
        return BOARDS[self.arch] if self.firmware == "plain" else SECURE_BOARDS[self.arch]

    @property
    def kind(self) -> str:
        """What it is called in names of files and in messages."""
        return self.arch if self.firmware == "plain" else f"{self.arch}-{self.firmware}"


def machine_of(arch: Arch, firmware: Firmware) -> Machine:
    """The machine of an architecture and a firmware. Raises: InputError."""
    if firmware == "secure" and arch not in SECURE_BOARDS:
        raise InputError(f"The lab has machines with Secure Boot for {' and '.join(SECURE_BOARDS)}, not for {arch}.")
    return Machine(arch=arch, firmware=firmware)


def architecture(text: str) -> Arch:
    found = next((arch for arch in BOARDS if arch == text), None)
    if found:
        return found
    raise InputError(f"{text!r} is no architecture of a lab machine: {' or '.join(BOARDS)}.")


def firmware(text: str) -> Firmware:
    found = next((one for one in FIRMWARES if one == text), None)
    if found:
        return found
    raise InputError(f"{text!r} is no firmware of a lab machine: {' or '.join(FIRMWARES)}.")


class Wiring(Frozen):
    """How one run of a machine is tied to this one; a saved state does not depend on it.

    forward: where QEMU listens for ssh, as `ADDRESS:PORT`; nowhere by default.
    cache: `writeback` obeys the guest's flushes, so that a power cut means something; `unsafe` ignores them.
    incoming: wait for a saved state.
    """

    forward: str = ""
    cache: Literal["writeback", "unsafe"] = "writeback"
    incoming: bool = False


def argv(machine: Machine, wiring: Wiring) -> tuple[str, ...]:
    """QEMU's command line inside the tools root, where the node's folder is /here.

    The console is standard output; /here/qmp, /here/events and /here/agent are sockets.
    """
    board = machine.board
    network = "user,id=net" + (f",hostfwd=tcp:{wiring.forward}-:22" if wiring.forward else "")
    return (
        board.emulator,
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", board.machine, "-cpu", board.cpu),
        *board.options,
        *("-accel", f"tcg,thread=multi,tb-size={TRANSLATION_MIB}"),
        *("-smp", str(machine.cpus), "-m", str(machine.memory_mib)),
        *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={board.firmware}"),
        *("-drive", "if=pflash,unit=1,format=raw,file=/here/machine/vars.fd"),
        *("-drive", f"if=none,id=disk,format=qcow2,cache={wiring.cache},discard=unmap,file=/here/machine/disk.qcow2"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *("-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile="),
        *("-device", "virtio-rng-pci"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", "socket,id=agent,path=/here/agent,server=on,wait=off"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-qmp", "unix:/here/qmp,server=on,wait=off", "-qmp", "unix:/here/events,server=on,wait=off"),
        *(("-incoming", "defer") if wiring.incoming else ()),
    )
