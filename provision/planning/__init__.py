"""What should be: roles become a plan."""

from provision.planning.assemble import Planned, Plans, alike, assemble, names_in_order
from provision.planning.boot_files import boot_files
from provision.planning.build import WrongVariables, arrange, build, instance, plan
from provision.planning.module_key import module_key
from provision.planning.order import BrokenOrder, check_order, in_order, order
from provision.planning.repository import vendor_repository
from provision.planning.role import Context, NoPlan, Role
from provision.planning.rooms import BrokenRole, Room, rooms
from provision.planning.source import Need, NoRepository

__all__ = [
    "BrokenOrder",
    "BrokenRole",
    "Context",
    "Need",
    "NoPlan",
    "NoRepository",
    "Planned",
    "Plans",
    "Role",
    "Room",
    "WrongVariables",
    "alike",
    "arrange",
    "assemble",
    "boot_files",
    "build",
    "check_order",
    "in_order",
    "instance",
    "module_key",
    "names_in_order",
    "order",
    "plan",
    "rooms",
    "vendor_repository",
]
