"""What the action plugins share: from a task of Ansible to provision's own words, and back."""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.provision.core.plugins.plugin_utils.needed import lacking

if not lacking():
    from provision.engines.ansible import run
    from provision.engines.ansible.declared import chosen_roles, declared
    from provision.engines.ansible.work import ActionLink, Answer, Task, Work
    from provision.engines.link import Lost, Unanswered
    from provision.engines.node import Refused
    from provision.inventory import WrongInventory
    from provision.ledger import AtWork
    from provision.planning import NoPlan, rooms
    from provision.probe import Unreadable
    from provision.stack import NoFit

    EXPECTED = (Refused, Unanswered, Unreadable, AtWork, NoFit, NoPlan, LookupError)
    """Told as they are: what happened, the evidence, what to do next."""

PATIENT = "-o ServerAliveInterval=5 -o ServerAliveCountMax=4"
"""A node that went down without a word is noticed; ssh alone would wait for it for ever."""


class NodeAction(ActionBase):
    """An action on one node of the plan."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        if sentence := lacking():
            raise AnsibleActionFail(sentence)
        run.leave_with_playbook()
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = self.arguments()
        try:
            work = Work(self._link(), self._read_task(variables))
        except (WrongInventory, *EXPECTED) as error:
            raise AnsibleActionFail(str(error)) from None
        try:
            return result | self.act(work, arguments)
        except Lost as error:
            raise AnsibleConnectionFailure(str(error)) from None
        except EXPECTED as error:
            work.refused(error)
            if isinstance(error.__cause__, Lost):
                raise AnsibleConnectionFailure(str(error)) from None
            raise AnsibleActionFail(str(error)) from None

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """The task's arguments, checked."""

    @abstractmethod
    def act(self, work: Work, arguments: dict[str, Any]) -> dict[str, Any]:
        """Do it, and return what the task's result says."""

    def _read_task(self, variables: dict[str, Any]) -> Task:
        found, host = rooms(), variables["inventory_hostname"]
        return Task(
            host=host,
            spec=declared(host, variables, found, self._templar.template),
            rooms=found,
            roles=chosen_roles(found, variables),
            facts=variables.get("ansible_facts", {}),
        )

    def _link(self) -> ActionLink:
        if self._connection.transport == "ssh":
            given = self._connection.get_option("ssh_common_args")
            self._connection.set_option("ssh_common_args", f"{given} {PATIENT}".strip())
        return ActionLink(self._send, self._reset, self._peek, Display().display)

    def _send(self, program: str) -> Answer:
        run.leave_with_playbook()
        try:
            # On standard input: an argument ends at 128 KiB, and would be seen in the process list.
            said = self._low_level_execute_command("sh -s", in_data=program.encode(), sudoable=True)
        except AnsibleConnectionFailure as error:
            raise Lost(str(error)) from error
        except AnsibleError as error:
            raise Unanswered(str(error)) from error
        return Answer(said["rc"], said["stdout"], said["stderr"])

    def _peek(self, command: str) -> str:
        """Without privileges, and only where each command has a process of its own, so that two do not meet."""
        if self._connection.transport != "ssh":
            return ""
        beside = copy(self._connection)
        try:
            code, said, _error = beside.exec_command(command, sudoable=False)
        except AnsibleError:
            return ""
        return said.decode(errors="replace") if code == 0 else ""

    def _reset(self) -> None:
        try:
            self._connection.reset()
        except AnsibleConnectionFailure as error:
            raise Lost(str(error)) from error
