"""Two reboots of ours, where the plan has them, and one of somebody else's, which makes nothing due."""

from __future__ import annotations

from testinfra.host import Host

from provision.model.places import STATE

Ledger = list[tuple[str, str, str]]


def _boot_of(ledger: Ledger, name: str) -> str:
    (found,) = [boot for boot, word, about in ledger if (word, about) == ("ok", name)]
    return found


def test_the_kernel_is_there_one_boot_before_what_is_built_for_it(ledger: Ledger) -> None:
    kernel, ofed, driver = (_boot_of(ledger, name) for name in ("kernel-packages", "ofed-build", "module-build"))
    assert kernel != ofed == driver


def test_each_boot_that_changed_the_next_one_was_ended_by_one_reboot(ledger: Ledger) -> None:
    ordered = [boot for boot, word, _ in ledger if word == "reboot"]
    assert ordered == [_boot_of(ledger, "kernel-packages"), _boot_of(ledger, "module-build")]


def test_nothing_was_begun_in_the_boot_that_somebody_else_began(host: Host, ledger: Ledger) -> None:
    now = host.check_output("cut -c1-8 /proc/sys/kernel/random/boot_id")
    assert now not in {boot for boot, _, _ in ledger}


def test_no_reboot_is_owed(host: Host) -> None:
    boot = host.check_output("cat /proc/sys/kernel/random/boot_id")
    owed = host.file(f"{STATE}/reboot-due")
    assert not owed.exists or not owed.content_string.startswith(boot)
