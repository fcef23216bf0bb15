"""Secure Boot, enforced by firmware: a key that nobody enrolled, and the person who enrols it.

Real: OVMF with Microsoft's keys, Debian's shim, GRUB and kernels, MokManager and its keys, dkms and its key. The module
is a role of these tests, for the kernel that runs: what it is made of does not matter, who signed it does.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
import sessions
from bring_up import BringUp, clone
from console import enrol, request

from provision.lab import Lab, VirtualMachine

MODULE = "provision_proof"
KEY = "/var/lib/dkms/mok.pub"


@pytest.fixture(scope="module")
def secure_lab() -> Iterator[Lab]:
    yield from sessions.own_lab("tests-vm-secure", firmware="secure")


@pytest.fixture
def node(secure_lab: Lab) -> Iterator[VirtualMachine]:
    with clone(secure_lab, "secure", "x86_64") as fresh:
        yield fresh


def declared(folder: Path, node: VirtualMachine) -> BringUp:
    """For the kernel that runs; no open module of Debian 13 builds for every kernel that it carries, this one does."""
    kernel = node.ssh("uname -r").stdout.strip()
    return BringUp(folder, node, kernel=kernel, features=["proprietary"], roles=["preflight", "signed_module"])


def sudo(node: VirtualMachine, program: str) -> str:
    done = node.sudo(f"set -eu\n{program}", seconds=600)
    assert done.returncode == 0, f"{program}\n{done.stdout}{done.stderr}"
    return done.stdout


def is_locked_down(node: VirtualMachine) -> bool:
    return "[integrity]" in node.ssh("cat /sys/kernel/security/lockdown").stdout


def kernel_refuses(node: VirtualMachine, path: str, words: str) -> None:
    refused = node.sudo(f"dmesg --clear; insmod {path}; code=$?; dmesg; exit $code")
    print(f"insmod: {refused.stderr.strip()}; the kernel: {refused.stdout.strip()}")
    assert refused.returncode != 0
    assert words in refused.stderr


def test_a_module_that_nobody_signed_is_told_of_before_the_reboot(node: VirtualMachine, tmp_path: Path) -> None:
    """dkms says in its log that it did not sign, and reports success."""
    sudo(node, "mkdir -p /etc/dkms/framework.conf.d; echo sign_file=/bin/true >/etc/dkms/framework.conf.d/site.conf")
    unsigned = declared(tmp_path, node).apply()
    assert (unsigned.code, unsigned.reboots, unsigned.boots) == (1, 0, 0), unsigned.output
    assert "is not signed, and with Secure Boot no kernel loads it" in unsigned.output


def test_a_module_loads_once_a_person_has_enrolled_the_key_that_signed_it(node: VirtualMachine, tmp_path: Path) -> None:
    bring_up = declared(tmp_path, node)
    assert is_locked_down(node)

    stopped = bring_up.apply()
    assert (stopped.code, stopped.reboots, stopped.boots) == (1, 0, 0), stopped.output
    fingerprint = sudo(node, f"openssl x509 -in {KEY} -noout -fingerprint -sha1").strip().partition("=")[2]
    for words in ("Secure Boot does not know the key", KEY, fingerprint, "mokutil --import", "Enroll MOK"):
        assert "".join(words.split()) in "".join(stopped.output.split()), stopped.output
    kernel_refuses(node, f"$(modinfo -n {MODULE})", "Key was rejected by service")

    password = "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))
    request(node, f"mokutil --import {KEY}", password)
    sudo(node, "mokutil --timeout -1")
    assert "MokManager asks at the next start" in bring_up.apply().output
    before = node.boot_id()
    enrol(node, password)
    node.wait(unlike=before)

    done = bring_up.apply()
    assert (done.code, done.reboots, done.boots) == (0, 0, 0), done.output
    assert MODULE in sudo(node, "cat /proc/modules")
    assert is_locked_down(node)
    # By standard input, because sudo logs arguments.
    kept = node.sudo("grep -rlaF -f - /var/lib/provision /var/log /run/provision", stdin=password)
    assert (kept.returncode, kept.stdout) == (1, ""), kept.stdout
    assert password not in done.output
