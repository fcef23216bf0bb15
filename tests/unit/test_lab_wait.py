"""A node on a busy host: a login that takes too long is tried again for as long as a boot may take."""

from __future__ import annotations

import subprocess

import pytest

from provision.lab import LabError, VirtualMachine


class Slow(VirtualMachine):
    """Logins that hang, then one that works."""

    boot_seconds = 5.0
    name = "slow"
    running = True
    hangs = 0

    def __init__(self, hangs: int) -> None:
        self.hangs = hangs

    def ssh(self, command: str, *, stdin: str = "", seconds: float = 600) -> subprocess.CompletedProcess[str]:
        if self.hangs:
            self.hangs -= 1
            raise subprocess.TimeoutExpired(command, seconds)
        return subprocess.CompletedProcess(command, 0, "another-boot\n", "")

    def _sshd_answers(self, seconds: float) -> bool:
        return True

    def _evidence(self) -> str:
        return "nothing"


def test_a_login_that_hangs_is_tried_again() -> None:
    assert Slow(hangs=2).wait(unlike="this-boot") == "another-boot"


def test_logins_that_hang_for_as_long_as_a_boot_may_take_are_told() -> None:
    with pytest.raises(LabError, match="slow was not ready within 0 s: a login took more than 60 s"):
        Slow(hangs=10**6).wait(seconds=0.05)
