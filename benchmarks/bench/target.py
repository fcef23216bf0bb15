"""What happened on the nodes meanwhile: CPU from their control groups, connections and commands from their sshd."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from provision.lab import Lab, LabError, Node, program
from provision.lab.cgroup import Group
from provision.model import Frozen

LOUD = "echo 'LogLevel VERBOSE' >/etc/ssh/sshd_config.d/01-bench.conf; systemctl reload ssh.service"
"""sshd tells of every session at VERBOSE (seen in the journals of Debian 13 nodes, 2026-11-21)."""

CONNECTION = re.compile(r"^Accepted publickey ", re.MULTILINE)
SESSION = re.compile(r"^Starting session: ", re.MULTILINE)


CLOSING_SECONDS = 0.3
"""So long sshd may take to end its processes after the client is gone."""


class Counters(Frozen):
    cpu_s: float
    connections: int
    sessions: int
    """Commands, subsystems (sftp) and shells that sshd was asked for."""


class Targets:
    """The measured nodes. They are read from outside: asking them by ssh would be counted with the rest."""

    def __init__(self, lab: Lab, nodes: Sequence[Node]) -> None:
        self._groups = [Group(f"provision-lab-{lab.id}/{node.name}").paths[0] for node in nodes]
        self._inits = [_init(node) for node in nodes]

    def begin(self) -> Counters:
        connections, sessions = self._told()
        return Counters(cpu_s=self._cpu(), connections=connections, sessions=sessions)

    def spent(self, begun: Counters) -> Counters:
        """What was spent since; CPU is read first, because reading a journal costs the node something, too."""
        time.sleep(CLOSING_SECONDS)
        cpu = self._cpu()
        connections, sessions = self._told()
        return Counters(
            cpu_s=cpu - begun.cpu_s,
            connections=connections - begun.connections,
            sessions=sessions - begun.sessions,
        )

    def _cpu(self) -> float:
        return sum(_cpu(group) for group in self._groups)

    def _told(self) -> tuple[int, int]:
        journals = [_journal(init) for init in self._inits]
        return (
            sum(len(CONNECTION.findall(journal)) for journal in journals),
            sum(len(SESSION.findall(journal)) for journal in journals),
        )


def _cpu(group: Path) -> float:
    lines = dict(line.split() for line in (group / "cpu.stat").read_text(encoding="ascii").splitlines())
    return int(lines["usage_usec"]) / 1e6


def _journal(init: int) -> str:
    inside = ("nsenter", "-t", str(init), "--mount", "--pid", "--uts", "--ipc", "--net", "journalctl")
    program.run(*inside, "--sync")
    return program.run(*inside, "-q", "-o", "cat", "-t", "sshd", "-t", "sshd-session")


def _init(node: Node) -> int:
    for process in node.processes:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
        if re.search(r"^NSpid:.*\t1$", status, re.MULTILINE):
            return process
    raise LabError(f"{node.name} has no process 1; is it running?")
