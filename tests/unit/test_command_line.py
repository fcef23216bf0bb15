"""Kernel arguments that say contrary things: in an inventory, and in a node's own GRUB settings."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from provision.catalog import load
from provision.model import BootEntry, Gate, KernelArgument, NodeSpec
from provision.planning import NoPlan, Planned, assemble, rooms
from provision.platforms.command_line import agrees

GRACE = {"os": "ubuntu24.04", "arch": "aarch64", "gpu": "GH200"}
RULES = load().kernel_arguments


def planned(*words: str) -> Planned:
    return assemble(
        NodeSpec.model_validate({**GRACE, "variables": {"kernel_64k": {"arguments": list(words)}}}), rooms()
    )


def on_the_line(made: Planned) -> list[str]:
    (found,) = (e.resource for e in made.plan.entries if isinstance(e.resource, BootEntry))
    return list(found.words)


CONTRARY: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("init_on_alloc=1",), ("init_on_alloc=0 [NVIDIA GPU operator", "init_on_alloc=1 [asked for in the inventory]", "which is init_on_alloc=1 here")),
    (("init_on_alloc=on",), ("init_on_alloc=0 [", "which is init_on_alloc=on here")),
    (("numa_balancing=enable",), ("numa_balancing=disable [Grace CPU benchmarking guide", "which is numa_balancing=enable here")),
    (("memhp_default_state=offline",), ("memhp_default_state=online_movable [", "which is memhp_default_state=offline here")),
    (("default_hugepagesz=2M", "default_hugepagesz=1G"), ("default_hugepagesz=2M [", "which is default_hugepagesz=1G here")),
    (("iommu.passthrough=1", "iommu=off"), ("iommu.passthrough=1 [", "iommu=off [", "both would be read")),
    (("iommu=off", "iommu.passthrough=1"), ("iommu=off [", "both would be read")),
    (("iommu=pt", "iommu.passthrough=0"), ("one setting", "both would be read")),
    (("nosmt=force", "nosmt"), ("nosmt=force [", "which is nosmt here")),
]  # fmt: skip


@pytest.mark.parametrize(("words", "told"), CONTRARY, ids=[" ".join(row[0]) for row in CONTRARY])
def test_two_sides_are_told_with_their_sources_and_which_would_win(
    words: tuple[str, ...], told: tuple[str, ...]
) -> None:
    with pytest.raises(NoPlan) as refused:
        planned(*words)
    assert str(refused.value).startswith("kernel_64k_arguments: ")
    assert all(part in str(refused.value) for part in told), str(refused.value)


@pytest.mark.parametrize(
    "words",
    [
        ("console=tty0", "console=ttyAMA0,115200"),
        ("hugepagesz=1G", "hugepages=4", "hugepagesz=2M", "hugepages=512"),
        ("init_on_alloc=off",),
        ("iommu.passthrough=1", "iommu=pt"),
        ("systemd.mask=a.service", "systemd.mask=b.service"),
        ("quiet", "quiet"),
    ],
    ids=" ".join,
)
def test_what_agrees_stands_there_once(words: tuple[str, ...]) -> None:
    assert [word for word in on_the_line(planned(*words)) if word in words] == list(dict.fromkeys(words))


def test_a_word_of_the_plans_own_may_be_asked_for_again() -> None:
    assert on_the_line(planned("init_on_alloc=0")) == on_the_line(planned())


WORDS = (
    KernelArgument(name="init_on_alloc", value="0", source="a guide"),
    KernelArgument(name="iommu.passthrough", value="1", source="a benchmark"),
    KernelArgument(name="console", value="ttyS0", source="a habit"),
)


def asked(root: Path, files: dict[str, str], words: tuple[KernelArgument, ...] = WORDS) -> tuple[int, str]:
    for name, text in files.items():
        path = root / "etc/default" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    text = agrees(words, RULES).replace(" /etc/", f" {root}/etc/")
    done = subprocess.run(["/bin/sh", "-euc", text], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


SETTINGS: list[tuple[dict[str, str], tuple[str, ...]]] = [
    ({"grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet init_on_alloc=1 splash"\n'},
     ("/etc/default/grub says init_on_alloc=1, the plan says init_on_alloc=0 [a guide], which stands later and so wins",)),
    ({"grub": "GRUB_CMDLINE_LINUX='init_on_alloc=1'\n"}, ("init_on_alloc=0 [a guide]",)),
    ({"grub": "GRUB_CMDLINE_LINUX=iommu=off\n"}, ("says iommu=off, the plan says iommu.passthrough=1 [a benchmark]: one takes",)),
    ({"grub": "", "grub.d/50-cloudimg-settings.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 iommu=nopt"\n'},
     ("50-cloudimg-settings.cfg says iommu=nopt, the plan says iommu.passthrough=1 [a benchmark]",)),
    ({"grub": 'export GRUB_CMDLINE_LINUX="iommu=off init_on_alloc=1"\n'}, ("says iommu=off", "says init_on_alloc=1")),
]  # fmt: skip


@pytest.mark.parametrize(("files", "told"), SETTINGS, ids=[row[1][0] for row in SETTINGS])
def test_a_nodes_own_word_is_told_with_its_file_and_both_sources(
    files: dict[str, str], told: tuple[str, ...], tmp_path: Path
) -> None:
    code, evidence = asked(tmp_path, files)
    assert code == 1
    assert "\n" not in evidence
    assert all(part in evidence for part in told), evidence


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet splash console=tty1 init_on_alloc=0"\n'},
        {"grub": '#GRUB_CMDLINE_LINUX="init_on_alloc=1"\nGRUB_CMDLINE_LINUX_RECOVERY="init_on_alloc=1"\n'},
        {"grub": 'GRUB_CMDLINE_LINUX="init_on_alloc=off init_on_alloc_x=1"\n'},
        {"grub.d/zz-provision-kernel-arguments.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT init_on_alloc=1"\n'},
    ],
    ids=["no GRUB", "in agreement", "not a setting", "in other words", "our own of before"],
)  # fmt: skip
def test_what_contradicts_nothing_passes(files: dict[str, str], tmp_path: Path) -> None:
    assert asked(tmp_path, files) == (0, "nothing there contradicts the plan")


def test_a_hostile_file_is_read_and_not_run(tmp_path: Path) -> None:
    code, _told = asked(tmp_path, {"grub": f'GRUB_CMDLINE_LINUX="$(touch {tmp_path}/ran) `touch {tmp_path}/ran` *"\n'})
    assert code == 0
    assert not (tmp_path / "ran").exists()


def test_it_is_asked_before_the_first_change() -> None:
    gates = [e.resource for e in planned().plan.boots[0]]
    place = next(n for n, one in enumerate(gates) if one.name == "boot-settings-agree")
    assert all(isinstance(one, Gate) for one in gates[:place])


def test_a_node_without_arguments_is_not_asked() -> None:
    plain: dict[str, Any] = {"os": "debian13", "arch": "x86_64", "gpu": "H100"}
    names = [e.name for e in assemble(NodeSpec.model_validate(plain), rooms()).plan.entries]
    assert "boot-settings-agree" not in names
