"""Plans are proved by apt's own solver, over the signed indices of the archive that this machine's apt uses.

Needs the archive, and neither root nor a node; stands in this tier because it fetches.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.lab import mirror
from provision.model import Entry, NodeSpec, Package, Packages, Plan
from provision.planning import assemble, rooms
from provision.platforms import Platform, platform_for
from provision.solver import NotHere, Unfetched, prove
from provision.solver.prove import INSTALL, Refused, pins_that_help, transaction
from provision.solver.root import Root, available, private

PLATFORMS = [("debian12", "x86_64"), ("debian13", "x86_64"), ("debian13", "aarch64")]
BY_NAME = ("nvidia-open-kernel-dkms", "nvidia-smi", "libcuda1")
"""What a person would ask apt for; a plan names every part of the driver."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not available() or not mirror.read().archive:
        pytest.skip("this machine's apt names no Debian archive")
    return tmp_path_factory.mktemp("lists")


def planned(os: str, arch: str, **keys: str) -> tuple[Plan, Platform]:
    spec = NodeSpec.model_validate({"os": os, "arch": arch, "gpu": "H100", **keys})
    return assemble(spec, rooms()).plan, platform_for(os, arch)


@pytest.fixture
def bookworm(cache: Path) -> Iterator[Root]:
    """Where a Debian 12 node's apt could be, before anything was installed."""
    _, platform = planned("debian12", "x86_64")
    with private(mirror.read(), platform.os.codename, platform.drivers.repository, "amd64", cache) as root:
        root.refresh()
        yield root


@pytest.mark.parametrize("reboots", ["single", "staged"])
@pytest.mark.parametrize(("os", "arch"), PLATFORMS)
def test_apt_accepts_the_plan_boot_by_boot(cache: Path, os: str, arch: str, reboots: str) -> None:
    plan, platform = planned(os, arch, reboots=reboots)
    proof = prove(plan, platform, cache)
    assert proof.accepted, [boot.words for boot in proof.boots]
    assert len(proof.boots) == proof.of == len(plan.boots)
    installs = [boot for boot in proof.boots if boot.asked]
    assert len(installs) == (1 if reboots == "single" else 2)
    assert all(boot.new >= boot.asked and boot.download > 1_000_000 for boot in installs)


def test_without_the_plans_lock_apt_refuses_nvidias_open_modules_and_with_it_accepts(bookworm: Root) -> None:
    refused = bookworm.run(*INSTALL, "install", *BY_NAME)
    assert refused.returncode != 0
    assert "unmet dependencies" in refused.stdout

    plan, _ = planned("debian12", "x86_64")
    lock = plan.by_name["driver-lock"].resource
    (bookworm.preferences / Path(lock.path).name).write_text(lock.content)  # type: ignore[union-attr]
    assert bookworm.run(*INSTALL, "install", *BY_NAME).returncode == 0


def test_apt_is_asked_which_pins_would_help_and_they_are_the_plans(bookworm: Root) -> None:
    wanted = [Package(name=name) for name in BY_NAME]
    with pytest.raises(Refused) as refused:
        transaction(bookworm, wanted)
    pins = pins_that_help(bookworm, wanted, refused.value.words)
    plan, _ = planned("debian12", "x86_64")
    assert pins
    locked = plan.by_name["driver-lock"].resource.content  # type: ignore[union-attr]
    assert {name for pin in pins for name in pin.packages.split()} <= set(locked.split())
    assert {pin.pin for pin in pins} <= {line.removeprefix("Pin: ") for line in locked.splitlines()}


def test_a_plan_that_names_the_modules_only_is_refused_in_apts_words(cache: Path) -> None:
    _, platform = planned("debian12", "x86_64")
    alone = Packages(name="modules", packages=(Package(name=BY_NAME[0]), Package(name="libcuda1")))
    proof = prove(Plan(boots=((Entry(role="site", resource=alone),), ())), platform, cache)
    (boot,) = proof.boots
    assert not proof.accepted
    assert boot.words.startswith("The following packages have unmet dependencies")
    assert boot.pins


def test_a_version_that_the_archive_does_not_have_is_refused_as_the_node_would(cache: Path) -> None:
    _, platform = planned("debian13", "x86_64")
    absent = Packages(name="absent", packages=(Package(name="libcuda1", version="0.0-*"),))
    (boot,) = prove(Plan(boots=((Entry(role="site", resource=absent),),)), platform, cache).boots
    assert boot.words.startswith("no version of libcuda1 matches 0.0-*; offered: ")


def test_a_list_that_was_changed_in_the_cache_is_fetched_again(cache: Path, bookworm: Root) -> None:
    (index,) = bookworm.lists.glob("*_dists_bookworm_contrib_binary-amd64_Packages")
    good = index.read_bytes()
    index.write_bytes(good.replace(b"nvidia-open-kernel-dkms", b"nvidia-0pen-kernel-dkms"))
    bookworm.refresh()
    assert index.read_bytes() == good


def test_an_archive_that_is_not_reached_is_told_in_apts_words(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = mirror.Mirror(archive="http://127.0.0.1:9/debian", options=('Acquire::Retries "0";',))
    monkeypatch.setattr(mirror, "read", lambda: nowhere)
    plan, platform = planned("debian13", "x86_64")
    with pytest.raises(Unfetched, match=r"127\.0\.0\.1"):
        prove(plan, platform, cache)


def test_an_archive_signed_by_nobody_we_know_is_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = tmp_path / "empty.gpg"
    keyring.touch()
    monkeypatch.setattr(mirror, "KEYRING", str(keyring))
    plan, platform = planned("debian13", "x86_64")
    with pytest.raises(Unfetched, match=r"NO_PUBKEY|not signed|verif"):
        prove(plan, platform, tmp_path / "lists")


@pytest.mark.parametrize("os", ["ubuntu22.04", "ubuntu24.04"])
def test_an_archive_that_is_not_debians_is_unknown_not_accepted(os: str) -> None:
    plan, platform = planned(os, "aarch64", gpu="GH200")
    with pytest.raises(NotHere, match="is not one that is reached from here"):
        prove(plan, platform)


def test_nothing_of_this_machines_apt_is_touched(cache: Path) -> None:
    kept = [Path("/var/lib/apt/lists"), Path("/var/cache/apt"), Path("/var/lib/dpkg"), Path("/etc/apt")]
    before = [path.stat().st_mtime_ns for top in kept for path in sorted(top.rglob("*"))[:5000]]
    plan, platform = planned("debian13", "x86_64")
    prove(plan, platform, cache)
    assert [path.stat().st_mtime_ns for top in kept for path in sorted(top.rglob("*"))[:5000]] == before
