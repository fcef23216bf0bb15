"""Inventory files of provision, as pyinfra reads them too."""

from __future__ import annotations

DOCUMENTATION = """
name: fleet
author: the provision authors (!UNKNOWN)
short_description: Inventory files of provision
description:
  - Reads the Python file that C(pyinfra) and C(provision) read, from any directory.
  - A mistake in it ends Ansible before any connection is made, with exit code 2 and one paragraph that names every one.
options: {}
"""

EXAMPLES = """
# ansible.cfg
# [inventory]
# enable_plugins = provision.core.fleet
#
# ansible-playbook -i inventories/gh200.py site.yml
"""

import sys
from pathlib import Path
from typing import Any, NoReturn

from ansible.plugins.inventory import BaseInventoryPlugin

from ansible_collections.provision.core.plugins.plugin_utils.needed import lacking

if not lacking():
    from provision.engines.ansible.declared import connection
    from provision.inventory import WrongInventory, read_hosts
    from provision.planning import BrokenRole


class InventoryModule(BaseInventoryPlugin):
    NAME = "provision.core.fleet"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(".py")

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        if sentence := lacking():
            _leave(sentence)
        try:
            hosts = read_hosts(Path(path))
        except (WrongInventory, BrokenRole) as error:
            _leave(str(error))
        for name, host in hosts.items():
            for group in host.groups:
                self.inventory.add_group(group)
                self.inventory.add_host(name, group=group)
            for key, value in connection(host).items():
                self.inventory.set_variable(name, key, value)


def _leave(sentence: str) -> NoReturn:
    """Ansible would go on to the next plugin, and to "no hosts matched"."""
    sys.stderr.write(f"{sentence}\n")
    raise SystemExit(2)
