"""Documentation of the action plugin of the same name, which does the work on the controller."""

DOCUMENTATION = """
module: resource
author: the provision authors (!UNKNOWN)
short_description: Bring one resource of a node's plan to its desired state
description:
  - Carries out what M(provision.core.step) found to be due, with one command; everything else is left as it is.
  - All packages of a boot are brought in one transaction, at the first of them.
options:
  name:
    description: Name of the resource in the node's plan.
    type: str
    required: true
attributes:
  check_mode:
    description: The last reading answers; nothing is sent.
    support: full
  diff_mode:
    description: Shows a file's text, and of anything else the reason.
    support: full
"""

EXAMPLES = """
- name: Bring on what is due in the first boot
  provision.core.resource:
    name: "{{ item.name }}"
  loop: "{{ query('provision.core.plan', boot=0) }}"
  loop_control:
    label: "{{ item.title }}"
    break_when:
      - done is failed
  register: done
"""

RETURN = """
msg:
  description: Why the resource was due, why it is not applicable, or how it failed.
  type: str
  returned: when there is something to tell
"""
