"""The resolver: one fitting set with its reasons, or a conflict that names both sides.

No version stands here: what is expected is computed from the catalog and from what real archives offered.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offers import RECORDED, recorded

from provision.catalog import KernelDriverPair, branch_of, load, matches_pin
from provision.model import NodeSpec, PciDevice, Snapshot, Stack, canonical
from provision.platforms import platform_for
from provision.stack import NoFit, resolve

CATALOG = load()
TRIXIE, TRIXIE_ARM, BOOKWORM = RECORDED
DEBIAN: dict[str, Any] = {"os": "debian13", "arch": "x86_64"}
UBUNTU: dict[str, Any] = {"os": "ubuntu24.04", "arch": "aarch64"}


def pair(kernel: str, builds: bool) -> KernelDriverPair:
    return next(p for p in CATALOG.kernel_driver_pairs if (p.kernel, p.builds) == (kernel, builds))


GOOD, BAD = pair("debian13-amd64", True), pair("debian13-amd64", False)
LONG_TERM = next(branch for branch in CATALOG.driver_branches if branch.type == "LTSB")
NEWER_BRANCH = next(branch for branch in CATALOG.driver_branches if int(branch.id) > int(LONG_TERM.id))


def solve(reading: Snapshot | None = None, **keys: Any) -> Stack:
    return resolve(NodeSpec.model_validate(keys), CATALOG, reading)


def refused(reading: Snapshot | None = None, **keys: Any) -> str:
    with pytest.raises(NoFit) as caught:
        solve(reading, **keys)
    assert caught.value.conflict.rules
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Debian 13, with what its archive offered


@pytest.mark.parametrize("reading", [None, recorded(TRIXIE)], ids=["catalog alone", "first reading"])
def test_the_kernel_is_the_one_that_was_seen_to_build(reading: Snapshot | None) -> None:
    stack = solve(reading, **DEBIAN, gpu="H100")
    assert stack.version("kernel") == GOOD.last
    assert stack.version("driver") == GOOD.driver
    assert stack.version("modules") == "open"
    assert any("seen to build" in reason.text for reason in stack.choices["kernel"].reasons)
    assert not any("build" in warning for warning in stack.warnings)


def test_the_first_reading_is_named_as_the_source_of_what_is_offered() -> None:
    sources = {reason.source for reason in solve(recorded(TRIXIE), **DEBIAN).choices["driver"].reasons}
    assert any("node's own archive" in source for source in sources)


def test_every_reason_has_a_source() -> None:
    for choice in solve(**DEBIAN).choices.values():
        assert choice.reasons
        assert all(reason.text and reason.source for reason in choice.reasons)


def test_amd64_debian_says_that_its_pages_are_small() -> None:
    stack = solve(**DEBIAN)
    assert stack.version("page_size") == "4096"
    assert stack.choices["page_size"].reasons[0].text == "Debian 13 ships no 64K kernel for amd64: 4K is the largest"


def test_when_only_kernels_known_to_fail_are_offered_the_pair_is_named() -> None:
    gone = recorded(TRIXIE, without=GOOD.last.removesuffix("-amd64"))
    told = refused(gone, **DEBIAN)
    assert BAD.cause in told
    assert BAD.first in told
    assert BAD.last in told
    assert f"kernel {GOOD.last} with driver {GOOD.driver}" in told


def test_an_untried_kernel_comes_before_a_doubtful_one_and_is_warned_of() -> None:
    reading = recorded(TRIXIE_ARM)
    stack = solve(reading, os=reading.os, arch=reading.arch, gpu="GH200")
    failing = pair("debian13-arm64-16k", False)
    platform = platform_for(reading.os, reading.arch)
    assert stack.version("kernel") != failing.first
    assert platform.newest_first([stack.version("kernel"), failing.first])[0] == failing.first
    assert any("nobody recorded a build" in warning for warning in stack.warnings)


def test_a_kernel_newer_than_a_failure_is_taken_only_for_want_of_another() -> None:
    newer = BAD.last.replace("-amd64", ".1-amd64")
    offers = {name: v for name, v in (recorded(TRIXIE).offers or {}).items() if not name.startswith("linux-")}
    offers |= {f"linux-{part}-{newer}": ("1",) for part in ("image", "headers")}
    reading = recorded(TRIXIE).model_copy(update={"offers": offers})
    stack = solve(reading, **DEBIAN)
    assert stack.version("kernel") == newer
    assert any("may not build" in warning and BAD.cause in warning for warning in stack.warnings)


def test_an_installed_kernel_counts_though_the_archive_dropped_it() -> None:
    gone = recorded(TRIXIE, without=GOOD.last.removesuffix("-amd64"))
    installed = {f"linux-{part}-{GOOD.last}": {"version": "1", "status": "hi"} for part in ("image", "headers")}
    reading = Snapshot.model_validate({**gone.model_dump(), "packages": installed})
    assert solve(reading, **DEBIAN).version("kernel") == GOOD.last


def test_bookworms_open_modules_are_older_than_its_newest_driver() -> None:
    stack = solve(recorded(BOOKWORM), os="debian12", arch="x86_64")
    offered = platform_for("debian12", "x86_64").drivers.offered
    assert (stack.version("driver"),) == offered["open"]
    assert stack.version("driver") != max(offered["proprietary"])
    assert stack.version("kernel") != pair("debian12-amd64", False).last


# Pins


def test_a_driver_that_the_archive_does_not_offer_is_refused_with_the_nearest() -> None:
    told = refused(recorded(TRIXIE), **DEBIAN, driver=LONG_TERM.id)
    assert f"driver {LONG_TERM.id} was asked for" in told
    assert f"driver {GOOD.driver} instead of {LONG_TERM.id}" in told


def test_a_kernel_that_fails_is_refused_when_pinned() -> None:
    told = refused(recorded(TRIXIE), **DEBIAN, kernel=BAD.last)
    assert BAD.cause in told
    assert f"kernel {GOOD.last} instead of {BAD.last}" in told


def test_two_wrong_pins_are_relaxed_together() -> None:
    told = refused(recorded(TRIXIE), **DEBIAN, kernel=BAD.last, driver=LONG_TERM.id)
    assert f"driver {GOOD.driver} instead of {LONG_TERM.id} and kernel {GOOD.last} instead of {BAD.last}" in told


@pytest.mark.parametrize("pin", [GOOD.driver, branch_of(GOOD.driver), GOOD.driver.rpartition(".")[0]])
def test_a_pin_is_a_branch_or_any_part_of_a_version(pin: str) -> None:
    assert matches_pin(solve(**DEBIAN, driver=pin).version("driver"), pin)


def test_words_that_are_no_version_are_refused_and_not_a_crash() -> None:
    assert "was asked for" in refused(**DEBIAN, driver="5x")
    assert "was asked for" in refused(**UBUNTU, driver="5x")
    assert "was asked for" in refused(**DEBIAN, kernel="6")


# GPUs and flavours


@pytest.mark.parametrize("gpu", ["GH200", "GB200", "GB300"])
def test_grace_gets_open_modules_and_64k_pages(gpu: str) -> None:
    stack = solve(**UBUNTU, gpu=gpu)
    assert (stack.version("modules"), stack.version("page_size")) == ("open", "65536")
    assert platform_for(**UBUNTU).page_size(stack.version("kernel")) == 65536


def test_grace_on_debian_gets_the_largest_pages_there_are_and_a_warning() -> None:
    stack = solve(os="debian13", arch="aarch64", gpu="GH200")
    assert stack.version("page_size") == "16384"
    assert "Debian 13 ships no 64K kernel for arm64: 16K is the largest" in stack.warnings


def test_other_gpus_on_arm64_get_small_pages() -> None:
    assert solve(**UBUNTU, gpu="H100").version("page_size") == "4096"


@pytest.mark.parametrize("gpu", ["V100", "P100"])
def test_volta_and_older_get_proprietary_modules(gpu: str) -> None:
    assert solve(**DEBIAN, gpu=gpu).version("modules") == "proprietary"


REFUSED: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("open only", {**UBUNTU, "gpu": "GH200", "features": ["proprietary"]}, ("open kernel modules only", "proprietary")),
    ("no open", {**DEBIAN, "gpu": "V100", "features": ["open"]}, ("cannot use the open", "asks for the open")),
    ("both", {**DEBIAN, "features": ["open", "proprietary"]}, ("asks for the open", "asks for the proprietary")),
    ("too new", {**UBUNTU, "arch": "x86_64", "gpu": "V100", "driver": NEWER_BRANCH.id}, ("last branch",)),
    ("too old", {**DEBIAN, "gpu": "B200"}, ("B200 is supported from driver", "ubuntu24.04 with driver")),
    ("no branch", {**UBUNTU, "driver": "1"}, ("driver 1 was asked for",)),
    ("no gpu", {**DEBIAN, "gpu": "GH20"}, ("did you mean GH200",)),
    (
        "no grace",
        {**UBUNTU, "arch": "x86_64", "gpu": "GH200"},
        ("in aarch64 machines only", "arch=aarch64; gpu=H200 on x86_64"),
    ),
    ("no rack", {**DEBIAN, "gpu": "GB200"}, ("GB200 shares memory with a Grace CPU", "arch=aarch64")),
    ("no os", {**DEBIAN, "os": "debian14"}, ("did you mean debian13",)),
]


@pytest.mark.parametrize(("keys", "told"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_cannot_be_is_refused_with_both_sides(keys: dict[str, Any], told: tuple[str, ...]) -> None:
    text = refused(**keys)
    assert all(part in text for part in told), text


def test_without_a_gpu_open_modules_are_assumed_and_said() -> None:
    stack = solve(**DEBIAN)
    assert stack.version("modules") == "open"
    assert any("no GPU is declared" in warning for warning in stack.warnings)


def test_the_long_term_branch_is_preferred() -> None:
    assert solve(**UBUNTU, gpu="GH200").version("driver") == LONG_TERM.id


def test_an_ended_branch_and_an_unverified_row_are_warned_of() -> None:
    assert any("end of life" in warning for warning in solve(**DEBIAN).warnings)
    assert any("is not verified" in warning for warning in solve(**UBUNTU).warnings)


def test_a_version_of_a_known_branch_is_believed_until_the_archive_is_asked() -> None:
    stack = solve(**UBUNTU, gpu="GH200", driver=LONG_TERM.newest)
    assert stack.version("driver") == LONG_TERM.newest
    assert any("is not known" in warning for warning in stack.warnings)


# What was read against what was declared


def _with_gpu(device: str) -> Snapshot:
    found = PciDevice(address="0000:01:00.0", vendor="10de", device=device, pci_class="030200")
    return recorded(TRIXIE).model_copy(update={"pci": (found,)})


def _device(name: str) -> str:
    return next(gpu for gpu in CATALOG.gpus if gpu.name == name).id.removeprefix("10de:")


def test_another_machine_than_declared_is_a_conflict() -> None:
    told = refused(recorded(BOOKWORM), **DEBIAN)
    assert "Debian 13" in told
    assert "debian12" in told


def test_another_gpu_than_declared_is_a_conflict() -> None:
    told = refused(_with_gpu(_device("V100")), **DEBIAN, gpu="H100")
    assert "the PCI bus shows V100" in told


def test_a_gpu_that_is_there_need_not_be_declared() -> None:
    assert solve(_with_gpu(_device("V100")), **DEBIAN).version("modules") == "proprietary"


def test_a_gpu_that_a_guest_has_is_not_this_machines() -> None:
    ours = _with_gpu(_device("H100"))
    theirs = PciDevice(
        address="0000:02:00.0", vendor="10de", device=_device("V100"), pci_class="030200", driver="vfio-pci"
    )
    both = ours.model_copy(update={"pci": (*ours.pci, theirs)})
    assert solve(both, **DEBIAN).version("modules") == "open"


def test_a_lab_node_does_not_look_at_its_hosts_bus() -> None:
    assert solve(_with_gpu(_device("V100")), **DEBIAN, hardware="absent").version("modules") == "open"


# Always


SPECS = st.builds(
    lambda machine, gpu, driver, features: NodeSpec(
        os=machine[0], arch=machine[1], gpu=gpu, driver=driver, features=features
    ),
    st.sampled_from([(system.id, arch) for system in CATALOG.operating_systems for arch in system.archs]),
    st.sampled_from([None, *sorted({gpu.name for gpu in CATALOG.gpus})]),
    st.sampled_from([None, *(b.id for b in CATALOG.driver_branches), *(b.newest for b in CATALOG.driver_branches)]),
    st.sampled_from([(), ("open",), ("proprietary",), ("open", "proprietary")]),
)


def _answer(spec: NodeSpec) -> str:
    try:
        return canonical(resolve(spec, CATALOG))
    except NoFit as error:
        return canonical(error.conflict)


@given(SPECS)
def test_the_same_question_has_the_same_answer(spec: NodeSpec) -> None:
    assert _answer(spec) == _answer(NodeSpec.model_validate_json(spec.model_dump_json()))


@given(SPECS)
def test_an_answer_keeps_what_was_asked_and_what_the_gpu_needs(spec: NodeSpec) -> None:
    try:
        stack = resolve(spec, CATALOG)
    except NoFit:
        return
    assert spec.driver is None or matches_pin(stack.version("driver"), spec.driver)
    rows = [gpu for gpu in CATALOG.gpus if gpu.name == spec.gpu]
    assert all(gpu.modules in ("either", stack.version("modules")) for gpu in rows)
    assert not {"open", "proprietary"} & set(spec.features) - {stack.version("modules")}
    key = (stack.version("modules"), stack.version("driver"), stack.version("kernel"))
    failed = [p for p in CATALOG.kernel_driver_pairs if p.verified and not p.builds]
    assert key not in [(p.modules, p.driver, release) for p in failed for release in (p.first, p.last)]


def test_a_kind_of_node_is_resolved_in_milliseconds_of_a_processor() -> None:
    solve(**DEBIAN)
    began = time.process_time()
    for _ in range(20):
        solve(recorded(TRIXIE), **DEBIAN)
    assert (time.process_time() - began) / 20 < 0.05
