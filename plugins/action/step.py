"""Reads the node before a boot, and reboots it where that is the next step. Documented in modules/step.py."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display

from ansible_collections.provision.core.plugins.plugin_utils.needed import lacking
from ansible_collections.provision.core.plugins.plugin_utils.task import NodeAction

if not lacking():
    from provision.engines.ansible.declared import STATE
    from provision.engines.ansible.stage import BOOTS, Stage, advance, finish, foresee
    from provision.engines.ansible.work import Work


class ActionModule(NodeAction):
    def arguments(self) -> dict[str, Any]:
        _result, checked = self.validate_argument_spec(
            {"boot": {"type": "int"}, "last": {"type": "bool", "default": False}},
            mutually_exclusive=[["boot", "last"]],
        )
        return dict(checked)

    def act(self, work: Work, arguments: dict[str, Any]) -> dict[str, Any]:
        stage = self._stage(work, arguments)
        if stage.stop:
            Display().warning(f"{work.node.name} would be left as it is: {stage.stop}")
        due = [[f"{one.entry.name}: {one.why}" for one in boot] for boot in stage.kept.boots]
        return {
            "changed": stage.changed,
            "step": stage.kept.step,
            "due": due,
            "not_applicable": stage.kept.limits,
            "ansible_facts": {STATE: stage.kept.model_dump(mode="json")},
        }

    def _stage(self, work: Work, arguments: dict[str, Any]) -> Stage:
        if self._task.check_mode:
            return foresee(work, BOOTS if arguments["last"] else arguments["boot"] or 0)
        return finish(work) if arguments["last"] else advance(work, arguments["boot"] or 0)
