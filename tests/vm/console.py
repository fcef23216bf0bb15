"""What a person has at a machine: a console to read and a keyboard. There is no other way to firmware and MokManager."""

from __future__ import annotations

import subprocess
import time

from provision.lab import VirtualMachine
from provision.lab.vm.qmp import Qmp

LOOK_AGAIN_SECONDS = 1.0
KEY_SECONDS = 0.3
"""Between two keys: the firmware polls its keyboard, and takes no more than it has room for."""


class Console:
    """Reads from now on; what was awaited once is behind."""

    def __init__(self, node: VirtualMachine) -> None:
        self._node = node
        self._behind = len(node.console)

    def await_words(self, words: str, seconds: float = 600) -> None:
        """Returns when the console has shown them. AssertionError after `seconds`."""
        deadline = time.monotonic() + seconds
        while (at := self._node.console.find(words, self._behind)) < 0:
            assert time.monotonic() < deadline, f"{words!r} was not shown within {seconds:.0f} s"
            time.sleep(LOOK_AGAIN_SECONDS)
        self._behind = at + len(words)

    def press(self, *keys: str) -> None:
        """Keys by QEMU's names: letters, `down`, `ret`."""
        with Qmp(self._node.folder) as qmp:
            for key in keys:
                qmp.ask("send-key", keys=[{"type": "qcode", "data": key}])
                time.sleep(KEY_SECONDS)


def enrol(node: VirtualMachine, password: str) -> None:
    """At MokManager, which was told to wait: the key of the request is looked at and enrolled; the machine restarts."""
    console = Console(node)
    node.sudo("systemctl --no-block reboot")
    console.await_words("Enroll MOK")
    console.press("down", "ret")
    console.await_words("View key 0")
    console.press("ret")
    console.await_words("[Fingerprint]")
    console.press("ret")
    console.await_words("View key 0")
    console.press("down", "ret")
    console.await_words("Enroll the key(s)?")
    console.press("down", "ret")
    console.await_words("Password:")
    console.press(*password, "ret")
    console.await_words("Reboot")
    console.press("ret")


def request(node: VirtualMachine, command: str, password: str) -> str:
    """Types a command that asks twice for a password, at a terminal of the node; returns what stood there."""
    ssh = ["ssh", "-F", str(node.ssh_config), "-tt", node.name, f"sudo {command}"]
    with subprocess.Popen(ssh, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as terminal:
        assert terminal.stdin is not None
        assert terminal.stdout is not None
        shown = b""
        for prompt in (b"input password: ", b"input password again: "):
            while not shown.endswith(prompt):
                more = terminal.stdout.read1(1)
                assert more, f"{command} did not ask for a password: {shown.decode(errors='replace')}"
                shown += more
            terminal.stdin.write(f"{password}\n".encode())
            terminal.stdin.flush()
        shown += terminal.stdout.read()
        assert terminal.wait() == 0, shown.decode(errors="replace")
    return shown.decode(errors="replace")
