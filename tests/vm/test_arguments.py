"""Other arguments for the kernel that is the default already are tried like a kernel, and fall back by themselves.

A machine is brought up with an argument once and saved; from there machines get wrong ones, others, and none.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from bring_up import BringUp, clone
from test_trial_boot import IN_AND_BACK, TRIAL_MINUTES

from provision.lab import Lab, VirtualMachine
from provision.model import digest
from provision.platforms import boot

PROVEN, OTHER = "provision.proof=1", "provision.proof=2"


class Proven(NamedTuple):
    """A machine that was brought up with its own kernel and one argument: tried, promoted."""

    layer: str
    release: str


def declared(folder: Path, node: VirtualMachine, release: str, *words: str) -> BringUp:
    return BringUp(
        folder,
        node,
        kernel=release,
        features=["proprietary"],  # no open module of Debian 13 builds for every kernel that it carries
        roles=["preflight", "kernel_64k"],
        kernel_64k_tools=False,
        kernel_64k_trial_minutes=TRIAL_MINUTES,
        kernel_64k_arguments=list(words),
    )


@pytest.fixture(scope="module")
def proven(vm_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    return brought_up(vm_lab, tmp_path_factory.mktemp("words"))


def brought_up(vm_lab: Lab, folder: Path) -> Proven:
    """Kept for as long as plan and machine are the same."""
    with clone(vm_lab, "words", "x86_64") as node:
        release = node.ssh("uname -r").stdout.strip()
        bring_up = declared(folder, node, release, PROVEN)
        layer = f"words-{digest(f'{node.layers} {bring_up.plan()}')}"
        if layer in {kept.name for kept in vm_lab.layers()}:
            return Proven(layer, release)
        assert started_with(node) == (release, [])
        # Compilers come with the headers and are like any other package.
        install = "apt-get -qq -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io install"
        got = node.sudo(f"apt-get -qq update; {install} linux-headers-{release} </dev/null", seconds=1200)
        assert got.returncode == 0, got.stdout + got.stderr
        promoted(node, bring_up, release, PROVEN)
        assert node.sudo("sync").returncode == 0
        vm_lab.save(node.name, layer)
    return Proven(layer, release)


def started_with(node: VirtualMachine) -> tuple[str, list[str]]:
    """Kernel, and the words of these tests on its command line."""
    release, line = node.ssh("uname -r; cat /proc/cmdline").stdout.splitlines()
    return release, ours(line)


def in_the_menu(node: VirtualMachine) -> list[list[str]]:
    """The same of the menu's entries that start a kernel as it is meant: no recovery, no trial."""
    lines = node.sudo("grep -E '^\\s*linux\\s' /boot/grub/grub.cfg | grep -v single").stdout.splitlines()
    return [ours(line) for line in lines]


def ours(line: str) -> list[str]:
    return [word for word in line.split() if word.startswith(("provision.proof", "init=")) or word.endswith("dead")]


def promoted(node: VirtualMachine, bring_up: BringUp, release: str, *words: str) -> None:
    """One run, one reboot: the kernel runs with these words, the menu's entries have them, and nothing is due."""
    applied = bring_up.apply()
    assert (applied.code, applied.reboots, applied.boots) == (0, 1, 1), applied.output
    are_default(node, release, *words)
    settled = bring_up.apply()
    assert (settled.code, settled.reboots, settled.boots) == (0, 0, 0), settled.output


def are_default(node: VirtualMachine, release: str, *words: str) -> None:
    assert started_with(node) == (release, list(words))
    entries = in_the_menu(node)
    assert entries
    assert entries == [list(words)] * len(entries)
    assert node.sudo(f"test -e {boot.ARGUMENTS}").returncode == (0 if words else 1)
    assert node.sudo("ls /run/provision-trial").returncode != 0, "the dead man is gone"


WRONG = {
    "no such root": "root=UUID=00000000-0000-0000-0000-00000000dead",  # panic= resets, which Debian's initrd obeys
    "its PID 1 sleeps": "init=/hang",  # the dead man resets
}


@pytest.mark.parametrize("name", WRONG)
def test_arguments_that_do_not_boot_are_left_behind_and_others_or_none_take_their_place(
    vm_lab: Lab, proven: Proven, tmp_path: Path, name: str
) -> None:
    release, word = proven.release, WRONG[name]
    with clone(vm_lab, "changed", "x86_64", proven.layer) as node:
        hang = "printf '#!/bin/sh\\nwhile :; do sleep 1000; done\\n' >/hang; chmod 755 /hang; sync"
        assert node.sudo(hang).returncode == 0
        wrong = declared(tmp_path, node, release, word)
        first = wrong.apply()
        assert (first.code, first.reboots, first.boots) == (1, 1, IN_AND_BACK), first.output
        assert f"kernel {release} was booted on trial with {word}" in first.output
        assert "came back with the arguments that it had before" in first.output
        are_default(node, release, PROVEN)
        again = wrong.apply()
        assert (again.code, again.reboots, again.boots) == (1, 0, 0), again.output

        mended = () if name == "no such root" else (OTHER,)
        promoted(node, declared(tmp_path, node, release, *mended), release, *mended)
