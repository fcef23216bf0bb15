"""Documentation of the action plugin of the same name, which does the work on the controller."""

DOCUMENTATION = """
module: step
author: the provision authors (!UNKNOWN)
short_description: Read a node before a boot, and reboot it where that is the next step
description:
  - Reads the node with one command, unless the last reading of this play still holds, and keeps what is due as a host
    fact.
  - Reboots the node where that is the next step, and waits for it. A new kernel is started on trial first.
  - What is next is decided by the same function, the same plan and the same ledger as in C(provision apply) and
    C(pyinfra).
options:
  boot:
    description: Number of the boot that follows, from 0.
    type: int
  last:
    description: The play is at its end; fail if anything that was asked for is still due.
    type: bool
    default: false
attributes:
  check_mode:
    description: Reads the node once and tells of what would be done.
    support: full
  diff_mode:
    description: What differs is shown by M(provision.core.resource).
    support: none
"""

EXAMPLES = """
- name: Read the node
  provision.core.step:
    boot: 0
"""

RETURN = """
step:
  description: What is next; V(stretch), V(reboot) or V(done).
  type: str
  returned: always
due:
  description: For each boot what is due, with the reason.
  type: list
  elements: list
  returned: always
not_applicable:
  description: Resources that this node cannot hold, with the limit that says so.
  type: dict
  returned: always
"""
