"""Brings one resource to its desired state. Documented in modules/resource.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.provision.core.plugins.plugin_utils.needed import lacking
from ansible_collections.provision.core.plugins.plugin_utils.task import NodeAction

if not lacking():
    from provision.engines.ansible.resource import apply, diff, foretell
    from provision.engines.ansible.work import Work


class ActionModule(NodeAction):
    def arguments(self) -> dict[str, Any]:
        _result, checked = self.validate_argument_spec({"name": {"type": "str", "required": True}})
        return dict(checked)

    def act(self, work: Work, arguments: dict[str, Any]) -> dict[str, Any]:
        name = arguments["name"]
        shown = {"diff": told} if self._task.diff and (told := diff(work, name)) else {}
        outcome = (foretell if self._task.check_mode else apply)(work, name)
        result: dict[str, Any] = {"changed": outcome.changed, **shown}
        if outcome.message:
            result["msg"] = outcome.message
        if outcome.skipped:
            result |= {"skipped": True, "skip_reason": outcome.message}
        if outcome.failed:
            result["failed"] = True
        return result
