"""The key that modules built on a node are signed with: under Secure Boot a person has to make it known, once."""

from __future__ import annotations

from provision.model import Manual
from provision.planning.role import Context


def module_key(ctx: Context) -> Manual:
    """Every role that has modules built yields it, behind the boot's files; planning unites them.

    The build makes the key; whoever enrols it restarts the machine, and then it must boot. The menus are
    MokManager's (rhboot/shim 72fd4b70, MokManager.c, read 2026-11-21).
    """
    return Manual(
        name="module-key-enrolment",
        title="Secure Boot does not know the key that dkms signed the modules with",
        instruction="As root type `mokutil --import FILE` with the file that is named; it asks twice for a password of "
        "your own, needed once. Restart. At the machine's console (screen, serial or BMC: nobody can do it over ssh) "
        "press any key within ten seconds (`mokutil --timeout -1` beforehand makes it wait for you), choose Enroll "
        "MOK, compare the fingerprint under View key 0, choose Continue, then Yes, type the password, and choose "
        "Reboot. Then run again",
        test=ctx.platform.module_key_known(),
        needs=("boot", "modules"),
    )
