"""Reading a node: one program, one round trip, one typed snapshot."""

from provision.probe.fingerprint import fingerprint
from provision.probe.full import full_probe_program
from provision.probe.parse import Unreadable, parse
from provision.probe.program import BOOT_ID, probe_program
from provision.probe.remote import LOCK, program

__all__ = ["BOOT_ID", "LOCK", "Unreadable", "fingerprint", "full_probe_program", "parse", "probe_program", "program"]
