"""The resources of one boot of a host's plan."""

from __future__ import annotations

DOCUMENTATION = """
name: plan
author: the provision authors (!UNKNOWN)
short_description: The resources of one boot of a host's plan
description:
  - What C(provision.core.resource) is looped over, in order.
  - Under C(--tags) and C(--skip-tags) only the items of the roles asked for, what derives from them, and every gate
    that stands before one of these.
options:
  _terms:
    description: Not used.
  boot:
    description: Number of the boot, from 0. A boot that the plan does not have has no resources.
    type: int
    default: 0
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
_raw:
  description: Role, name, kind and title of each resource; the title tells also when it is not applicable.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.provision.core.plugins.plugin_utils.needed import lacking

if not lacking():
    from provision.engines.ansible import run
    from provision.engines.ansible.declared import chosen_roles, declared
    from provision.engines.ansible.items import items, plan_of
    from provision.engines.ansible.kept import kept
    from provision.inventory import WrongInventory
    from provision.planning import NoPlan, rooms
    from provision.stack import NoFit


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        if sentence := lacking():
            raise AnsibleLookupError(sentence)
        self.set_options(var_options=variables, direct=kwargs)
        values, found = variables or {}, rooms()
        host = values["inventory_hostname"]
        try:
            spec = declared(host, values, found, self._templar.template)
            plan = plan_of(host, spec, found)
        except (WrongInventory, NoFit, NoPlan, LookupError) as error:
            raise AnsibleLookupError(str(error)) from None
        roles = chosen_roles(found, values)
        left = kept(values.get("ansible_facts", {}), run.folder().name)
        return list(items(plan, self.get_option("boot"), roles, left))
