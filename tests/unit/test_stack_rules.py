"""Every answer of the resolver, held against the facts by a checker that knows nothing of the resolver's code."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.catalog import Combination, Gpu, find_gpus, load
from provision.model import NodeSpec, PciDevice, Snapshot, Stack, canonical
from provision.platforms import platform_for
from provision.stack import DRIVER_NODE, NoFit, resolve

CATALOG = load()
SYSTEMS = [(system.id, arch) for system in CATALOG.operating_systems for arch in system.archs]
BRANCHES = {row.id: row for row in CATALOG.driver_branches}
TOOLKITS = {row.id: row for row in CATALOG.cuda_toolkits}
RELEASES = {row.id: row for row in CATALOG.doca_releases}
ALL = DRIVER_NODE | {"cuda", "doca", "container_toolkit"}
GRACE = {gpu.name for gpu in CATALOG.gpus if gpu.coherent}


def key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def begins(version: str, pin: str) -> bool:
    return f"{version}.".startswith(f"{pin}.")


# The checker: plain facts, one question after the other


def broken(spec: NodeSpec, stack: Stack) -> list[str]:
    """What is wrong with this answer to this declaration; empty when nothing is."""
    chosen = {name: choice.version for name, choice in stack.choices.items()}
    gpus = find_gpus(CATALOG.gpus, spec.gpu) if spec.gpu else ()
    checks = (_pins, _modules, _supported, _kernel, _cuda, _gcc, _doca, _hardware)
    return [fault for check in checks for fault in check(spec, chosen, gpus)]


def _version(chosen: dict[str, str]) -> tuple[int, ...]:
    driver = chosen["driver"]
    return key(BRANCHES[driver].newest if driver in BRANCHES else driver)


def _pins(spec: NodeSpec, chosen: dict[str, str], _: Any) -> Iterator[str]:
    for name in ("driver", "cuda", "doca"):
        pin = getattr(spec, name)
        if pin is not None and not begins(chosen[name], pin):
            yield f"{name} {chosen[name]} is not {pin}"
    for name in ("kernel", "gcc"):
        if getattr(spec, name) not in (None, chosen.get(name)):
            yield f"{name} {chosen[name]} is not {getattr(spec, name)}"
    if "cuda" in chosen and TOOLKITS[chosen["cuda"]].preview and spec.cuda != chosen["cuda"]:
        yield f"{chosen['cuda']} is a preview that nobody named"


def _modules(spec: NodeSpec, chosen: dict[str, str], gpus: tuple[Gpu, ...]) -> Iterator[str]:
    flavour, branch = chosen["modules"], BRANCHES[chosen["driver"].split(".")[0]]
    if {"open", "proprietary"} & set(spec.features) - {flavour}:
        yield f"{flavour} is not what the features say"
    if any(gpu.modules not in ("either", flavour) for gpu in gpus):
        yield f"{flavour} does not drive {spec.gpu}"
    if flavour == "open" and branch.open_modules == "none":
        yield f"branch {branch.id} has no open modules"
    if any(gpu.last_branch and int(branch.id) > int(gpu.last_branch) for gpu in gpus):
        yield f"branch {branch.id} has dropped {spec.gpu}"
    listed = [gpu for gpu in gpus if gpu.first_open]
    floors = [key(gpu.first_open_in_branch.get(branch.id) or gpu.first_open or "") for gpu in listed]
    if flavour == "open" and floors and _version(chosen) < min(floors):
        yield f"open {chosen['driver']} does not serve {spec.gpu}"


def _supported(spec: NodeSpec, chosen: dict[str, str], gpus: tuple[Gpu, ...]) -> Iterator[str]:
    floors = [key(gpu.supported_from) for gpu in gpus if gpu.supported_from]
    if floors and _version(chosen) < min(floors):
        yield f"{spec.gpu} is not supported with {chosen['driver']}"
    for row in CATALOG.driver_issues:
        needs = {feature for feature in (row.with_feature, row.excludes) if feature}
        there = not row.gpus or any(gpu.id in row.gpus or gpu.name in row.gpus for gpu in gpus)
        coherent = row.coherent in (None, any(gpu.coherent for gpu in gpus))
        flavour = row.with_modules in (None, chosen["modules"])
        exact = bool(row.driver) and not begins(chosen["driver"], row.driver)
        late = row.first and _version(chosen) < key(row.first)
        past = row.before and _version(chosen) >= key(row.before)
        system = not row.systems or any(spec.os.startswith(system) for system in row.systems)
        concerned = there and coherent and flavour and system and not (exact or late or past)
        if row.fatal and concerned and needs <= set(spec.features):
            yield f"{row.id}: {row.text}"


def _kernel(spec: NodeSpec, chosen: dict[str, str], _: Any) -> Iterator[str]:
    platform = platform_for(spec.os, spec.arch)
    if int(chosen["page_size"]) != platform.page_size(chosen["kernel"]):
        yield "the page size is not the kernel's"
    for pair in CATALOG.kernel_driver_pairs:
        same = (pair.modules, pair.driver) == (chosen["modules"], chosen["driver"])
        if same and pair.verified and not pair.builds and chosen["kernel"] in (pair.first, pair.last):
            yield f"{pair.id}: does not build"


def _cuda(spec: NodeSpec, chosen: dict[str, str], gpus: tuple[Gpu, ...]) -> Iterator[str]:
    if "cuda" not in chosen:
        return
    toolkit, version = TOOLKITS[chosen["cuda"]], _version(chosen)
    floor = next(key(row.driver) for row in CATALOG.cuda_majors if row.id == chosen["cuda"].split(".")[0])
    native = version >= key(toolkit.driver) if toolkit.driver else version[0] >= int(toolkit.branch or "9999")
    compat = chosen.get("cuda_compat")
    if compat is None and not native and version < floor:
        yield f"{toolkit.id} does not run on {chosen['driver']}"
    if compat is not None:
        row, branch = next(r for r in CATALOG.cuda_compat if r.id == compat), BRANCHES[str(version[0])]
        good = begins(toolkit.id, row.cuda) and row.on.get(branch.id) == "compatible" and branch.type != "NFB"
        if native or not good or key(row.driver) <= version or not all(gpu.data_centre for gpu in gpus):
            yield f"{compat} cannot be used on {chosen['driver']}"
    if spec.cuda_compat is not None and spec.cuda_compat != (compat is not None):
        yield "cuda_compat is not what was declared"
    windows = {row.id: row for row in CATALOG.capabilities}
    for gpu in gpus:
        window = windows.get(gpu.compute_capability)
        minor = key(toolkit.id)[:2]
        if window and not key(window.first_cuda) <= minor <= key(window.last_cuda or f"{minor[0]}.{minor[1]}"):
            yield f"{toolkit.id} does not know {gpu.compute_capability}"


def _gcc(_: NodeSpec, chosen: dict[str, str], __: Any) -> Iterator[str]:
    if "cuda" not in chosen:
        return
    rows = {row.id: row for row in CATALOG.host_compilers}
    row = rows.get(chosen["cuda"]) or rows.get(".".join(chosen["cuda"].split(".")[:2]))
    if row is not None and not int(row.gcc_least) <= int(chosen["gcc"].split(".")[0]) <= int(row.gcc):
        yield f"nvcc of {chosen['cuda']} does not accept gcc {chosen['gcc']}"


def _doca(spec: NodeSpec, chosen: dict[str, str], _: Any) -> Iterator[str]:
    if "doca" not in chosen:
        return
    for pair in CATALOG.kernel_doca_pairs:
        here = pair.os in ("", spec.os) and pair.release in ("", chosen["kernel"])
        if here and begins(chosen["doca"], pair.doca) and pair.verified and not pair.builds and not pair.remedy:
            yield f"{pair.id}: does not build"


def _hardware(spec: NodeSpec, chosen: dict[str, str], gpus: tuple[Gpu, ...]) -> Iterator[str]:
    fabric, manager = chosen["fabric"], "fabricmanager" in chosen["fabric"]
    names = {"none": "none", "nvswitch": "fabricmanager", "nvlink5": "nvlsm+fabricmanager", "rack": "imex"}
    built = {names[name] for gpu in gpus for name in gpu.fabrics}
    if gpus and fabric not in built and not (spec.fabricmanager is False and fabric == "none"):
        yield f"{fabric} is not for {spec.gpu}"
    if (spec.fabricmanager or "fabricmanager" in spec.features) and not manager:
        yield "no fabric manager"
    if spec.fabricmanager is False and manager:
        yield "a fabric manager that was refused"
    if "mig" in spec.features and gpus:
        floors = [key(gpu.mig_from) for gpu in gpus if gpu.mig_from]
        if not any(gpu.mig for gpu in gpus) or (floors and _version(chosen) < min(floors)):
            yield f"no MIG on {spec.gpu} with {chosen['driver']}"
    coherent = any(gpu.coherent for gpu in gpus)
    if ("memory_mode" in chosen) != (coherent or "cdmm" in spec.features):
        yield "a memory mode is for coherent GPUs"
    if chosen.get("memory_mode") == "cdmm" and ((gpus and not coherent) or "cdmm" not in spec.features):
        yield "CDMM was not asked for, or is not for this GPU"
    cdmm = next(row.driver for row in CATALOG.rules if row.id == "cdmm-driver")
    if chosen.get("memory_mode") == "cdmm" and _version(chosen) < key(cdmm):
        yield f"CDMM is not in {chosen['driver']}"


# Any declaration


def some(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, *values])


def feature_sets() -> st.SearchStrategy[tuple[str, ...]]:
    names = ("rdma", "containers", "mig", "gds", "cdmm", "fabricmanager", "open", "proprietary")
    return st.lists(st.sampled_from(names), unique=True, max_size=3).map(tuple)


PAIRED = [row.release for row in CATALOG.kernel_doca_pairs if row.release]
SPECS = st.builds(
    lambda machine, **keys: NodeSpec(os=machine[0], arch=machine[1], **keys),
    st.sampled_from(SYSTEMS),
    gpu=some(*sorted({gpu.name for gpu in CATALOG.gpus})),
    driver=some(
        *BRANCHES, *(row.newest for row in BRANCHES.values()), *(t.driver for t in TOOLKITS.values() if t.driver)
    ),
    cuda=some(*TOOLKITS, *{row.minor for row in TOOLKITS.values()}, *(row.id for row in CATALOG.cuda_majors)),
    kernel=some(*PAIRED),
    doca=some(*RELEASES),
    gcc=some(*{row.gcc for row in CATALOG.host_compilers}),
    features=feature_sets(),
    cuda_compat=some(True, False),
    fabricmanager=some(True, False),
)


def _answer(spec: NodeSpec) -> str:
    try:
        return canonical(resolve(spec, CATALOG, wanted=ALL))
    except NoFit as error:
        return canonical(error.conflict)


@settings(max_examples=150, deadline=None)
@given(SPECS)
def test_every_stack_satisfies_every_rule(spec: NodeSpec) -> None:
    try:
        stack = resolve(spec, CATALOG)
    except NoFit:
        return
    assert broken(spec, stack) == []


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        lambda machine, gpu, driver, cuda: NodeSpec(os=machine[0], arch=machine[1], gpu=gpu, driver=driver, cuda=cuda),
        st.sampled_from([(name, arch) for name, arch in SYSTEMS if name.startswith("ubuntu")]),
        st.sampled_from(sorted({gpu.name for gpu in CATALOG.gpus})),
        some(*BRANCHES),
        some(*{row.minor for row in TOOLKITS.values()}),
    )
)
def test_every_stack_of_plain_pins_satisfies_every_rule(spec: NodeSpec) -> None:
    """Few keys, so that many of the declarations fit."""
    try:
        stack = resolve(spec, CATALOG, wanted=ALL)
    except NoFit:
        return
    assert broken(spec, stack) == []


@settings(max_examples=40, deadline=None)
@given(SPECS)
def test_the_same_question_has_the_same_bytes(spec: NodeSpec) -> None:
    assert _answer(spec) == _answer(NodeSpec.model_validate_json(spec.model_dump_json()))


@settings(max_examples=60, deadline=None)
@given(SPECS)
def test_a_conflict_names_what_it_rests_on_and_reads_as_one_paragraph(spec: NodeSpec) -> None:
    try:
        resolve(spec, CATALOG)
    except NoFit as error:
        assert error.conflict.rules
        assert all(reason.text and reason.source for reason in error.conflict.rules)
        assert "None" not in str(error)
        assert "\n" not in str(error)


def test_the_checker_can_fail() -> None:
    """A checker that finds nothing wrong with a wrong set would prove nothing."""
    spec = NodeSpec(os="ubuntu24.04", arch="aarch64", gpu="GH200", cuda=next(iter(TOOLKITS)))
    good = resolve(spec, CATALOG)
    assert broken(spec, good) == []
    for component, wrong in (
        ("modules", "proprietary"),
        ("gcc", "99"),
        ("fabric", "imex"),
        ("driver", min(BRANCHES, key=int)),
    ):
        choice = good.choices[component].model_copy(update={"version": wrong})
        assert broken(spec, good.model_copy(update={"choices": {**good.choices, component: choice}})), component


# Published sets


def _declared(row: Combination) -> NodeSpec:
    """A combination as a declaration; on Ubuntu where its own system has no platform, without what only that one has."""
    known = {name for name, _ in SYSTEMS}
    own = row.os in known
    arch = row.arch or ("aarch64" if row.gpu in GRACE else "x86_64")
    kernel = row.kernel if own and row.kernel and _is_kernel(row.os or "", arch, row.kernel) else None
    return NodeSpec.model_validate(
        {
            "os": row.os if own else "ubuntu24.04",
            "arch": arch,
            "gpu": row.gpu,
            "driver": None
            if row.os and row.os.startswith("debian") and row.works is False and not row.driver
            else row.driver,
            "cuda": None if row.os == "debian13" else row.cuda,
            "kernel": kernel,
            "doca": row.doca,
            "gcc": row.gcc,
            "features": row.features,
        }
    )


def _is_kernel(os: str, arch: str, release: str) -> bool:
    try:
        platform_for(os, arch).kernel_row(release)
    except LookupError:
        return False
    return True


GOOD = [row for row in CATALOG.combinations if row.works]
BAD = [row for row in CATALOG.combinations if not row.works]
OUTSIDE = {"lockstep", "container-toolkit-good"}
"""Rules about what nobody can declare: versions of single parts, and the container toolkit's."""


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row.id)
def test_a_published_set_breaks_no_rule(row: Combination) -> None:
    spec = _declared(row)
    stack = resolve(spec, CATALOG)
    assert broken(spec, stack) == []


@pytest.mark.parametrize("row", [row for row in BAD if row.breaks not in OUTSIDE], ids=lambda row: row.id)
def test_a_set_that_is_known_to_fail_is_refused_by_its_rule(row: Combination) -> None:
    with pytest.raises(NoFit) as caught:
        resolve(_declared(row), CATALOG)
    assert f"rules/{row.breaks}" in {reason.fact for reason in caught.value.conflict.rules}


def test_every_rule_that_a_set_breaks_is_known() -> None:
    assert {row.breaks for row in BAD} <= set(CATALOG.rule)


def test_a_faulty_container_toolkit_is_never_chosen() -> None:
    faulty = {row.id for row in CATALOG.container_toolkits if not row.good}
    assert faulty
    alone = CATALOG.model_copy(
        update={"container_toolkits": tuple(row for row in CATALOG.container_toolkits if row.id in faulty)}
    )
    spec = NodeSpec(os="ubuntu24.04", arch="x86_64", features=("containers",))
    assert resolve(spec, CATALOG).version("container_toolkit") not in faulty
    with pytest.raises(NoFit) as caught:
        resolve(spec, alone)
    assert "rules/container-toolkit-good" in {reason.fact for reason in caught.value.conflict.rules}


# What single facts ask for

UBUNTU: dict[str, Any] = {"os": "ubuntu24.04", "arch": "x86_64"}
ARM: dict[str, Any] = {"os": "ubuntu24.04", "arch": "aarch64"}
LONG_TERM = next(row for row in CATALOG.driver_branches if row.type == "LTSB" and not row.ended(CATALOG.as_of))
FORWARD = next(row for row in CATALOG.cuda_compat if row.on.get("535") == "compatible" and row.cuda.startswith("13."))


def solve(snapshot: Snapshot | None = None, **keys: Any) -> Stack:
    return resolve(NodeSpec.model_validate(keys), CATALOG, snapshot)


def refused(snapshot: Snapshot | None = None, **keys: Any) -> NoFit:
    with pytest.raises(NoFit) as caught:
        solve(snapshot, **keys)
    return caught.value


FABRICS = [("H200", "fabricmanager"), ("B200", "nvlsm+fabricmanager"), ("L40S", "none"), ("T4", "none")]


@pytest.mark.parametrize(("gpu", "fabric"), FABRICS)
def test_what_connects_the_gpus_decides_what_runs_on_the_host(gpu: str, fabric: str) -> None:
    assert solve(**UBUNTU, gpu=gpu).version("fabric") == fabric


@pytest.mark.parametrize(("gpu", "fabric"), [("GH200", "none"), ("GB200", "imex"), ("GB300", "imex")])
def test_grace_machines_run_imex_in_racks_and_nothing_alone(gpu: str, fabric: str) -> None:
    stack = solve(**ARM, gpu=gpu)
    assert stack.version("fabric") == fabric
    assert stack.version("memory_mode") == "numa"


def _bus(gpu: str, *classes: str) -> Snapshot:
    device = next(row.id for row in CATALOG.gpus if row.name == gpu and "nvswitch" in row.fabrics).removeprefix("10de:")
    functions = (("030200", device), *((pci_class, "0000") for pci_class in classes))
    return Snapshot(
        os="ubuntu24.04",
        arch="x86_64",
        machine_id="0" * 32,
        boot_id="recorded",
        kernel="",
        page_size=4096,
        pci=tuple(
            PciDevice(address=f"0000:{n:02x}:00.0", vendor="10de", device=device, pci_class=pci_class)
            for n, (pci_class, device) in enumerate(functions)
        ),
    )


def test_the_bus_tells_where_the_fabric_manager_runs() -> None:
    """Guests with passed-through GPUs have no NVSwitch and no fabric manager: the host runs it (17, K06)."""
    assert solve(_bus("H200", "068000"), **UBUNTU, gpu="H200").version("fabric") == "fabricmanager"
    assert solve(_bus("H200"), **UBUNTU, gpu="H200").version("fabric") == "none"
    assert "the PCI bus shows no NVSwitch" in str(refused(_bus("H200"), **UBUNTU, gpu="H200", fabricmanager=True))


def test_a_refused_fabric_manager_is_left_out_and_warned_of() -> None:
    stack = solve(**UBUNTU, gpu="B200", fabricmanager=False)
    assert stack.version("fabric") == "none"
    assert any("only where another host runs it" in warning for warning in stack.warnings)


@pytest.mark.parametrize(
    ("keys", "missing", "elsewhere"),
    [
        ({"os": "ubuntu24.04", "gpu": "B200"}, "no nvlsm is known", True),
        ({"os": "debian13", "gpu": "H100"}, "no fabricmanager is known", False),
        ({"os": "ubuntu24.04", "gpu": "B200", "driver_repository": "cuda", "driver": "580"}, None, False),
        ({"os": "ubuntu24.04", "gpu": "GB200", "arch": "aarch64"}, None, False),
        ({"os": "ubuntu24.04", "gpu": "L40S"}, None, False),
    ],
)
def test_a_part_of_the_fabric_that_the_repository_is_not_known_to_have_is_told(
    keys: dict[str, Any], missing: str | None, elsewhere: bool
) -> None:
    told = [line for line in solve(**{"arch": "x86_64", **keys}).warnings if "CUDA does not start without it" in line]
    assert [line for line in told if missing and line.startswith(missing)] == told
    assert bool(told) == (missing is not None)
    assert any("driver_repository=cuda" in line for line in told) == elsewhere


def test_forward_compatibility_comes_after_all_others_and_can_be_forbidden_or_asked_for() -> None:
    pins = {**UBUNTU, "gpu": "H100", "driver": "535", "cuda": FORWARD.cuda}
    stack = solve(**pins)
    assert (stack.choices["cuda"].how, stack.version("cuda_compat")) == ("forward", FORWARD.id)
    told = refused(**pins, cuda_compat=False).conflict
    assert f"{FORWARD.id}, which this GPU allows" in told.nearest
    assert any(near.startswith(f"driver {LONG_TERM.id}.x") for near in told.nearest)
    asked = solve(**UBUNTU, gpu="H100", driver="535", cuda="12.9", cuda_compat=True)
    assert asked.choices["cuda"].how == "forward"
    assert solve(**UBUNTU, gpu="H100", driver="535", cuda="12.9").choices["cuda"].how == "minor"


def test_minor_version_compatibility_is_warned_of_with_its_caveat() -> None:
    stack = solve(**UBUNTU, gpu="H100", driver=LONG_TERM.id, cuda="13.3")
    assert stack.choices["cuda"].how == "minor"
    assert any("PTX" in warning for warning in stack.warnings)


def test_other_than_data_centre_gpus_have_no_forward_compatibility() -> None:
    floor = next(row.driver for row in CATALOG.cuda_majors if begins(FORWARD.cuda, row.id))
    bases = [name for name, stands in FORWARD.on.items() if stands == "compatible" and key(name) < key(floor)]
    base = max((BRANCHES[name] for name in bases), key=lambda row: int(row.id))
    gpu = next(row for row in CATALOG.gpus if not row.data_centre and base.id in row.first_open_in_branch)
    told = str(refused(**UBUNTU, gpu=gpu.name, driver=base.id, cuda=FORWARD.cuda))
    assert "no data-centre GPU" in told
    assert "which this GPU allows" not in told


def test_a_pin_takes_the_newest_of_its_prefix_and_no_preview() -> None:
    minor = TOOLKITS[solve(**UBUNTU, cuda="13.0").version("cuda")]
    releases = [row for row in TOOLKITS.values() if row.minor == "13.0" and not row.preview and row.verified]
    assert key(minor.id) == max(key(row.id) for row in releases)
    preview = next(row for row in TOOLKITS.values() if row.preview and row.minor == "13.4")
    assert solve(**UBUNTU, cuda=preview.id).version("cuda") == preview.id
    assert solve(**UBUNTU, cuda=preview.minor).version("cuda") != preview.id


def test_the_distributions_own_compiler_is_preferred() -> None:
    had = {
        row.gcc.split(".")[0] for row in CATALOG.supported_systems if (row.os, row.arch) == ("ubuntu24.04", "x86_64")
    }
    assert solve(**UBUNTU, cuda="13.0").version("gcc") in had


def test_a_compiler_below_the_distributions_own_is_taken_where_nvcc_wants_it_and_is_unverified() -> None:
    stack = solve(**UBUNTU, gpu="V100", cuda="11.8")
    row = next(row for row in CATALOG.host_compilers if row.id == "11.8")
    assert stack.version("gcc") == row.gcc
    assert any("gcc" in warning and "not known" in warning for warning in stack.warnings)


def test_cdmm_is_chosen_when_asked_for_and_excludes_mig_in_its_first_driver() -> None:
    assert solve(**ARM, gpu="GH200", features=["cdmm"]).version("memory_mode") == "cdmm"
    told = refused(**ARM, gpu="H100", features=["cdmm"])
    assert "share memory with a Grace processor" in str(told)


@pytest.mark.parametrize("gpu", ["H100", "A100", "V100", "T4", "L40S"])
@pytest.mark.parametrize("branch", BRANCHES)
def test_any_branch_can_be_pinned_without_a_network(gpu: str, branch: str) -> None:
    spec = NodeSpec(**UBUNTU, gpu=gpu, driver=branch)
    last = {row.last_branch for row in find_gpus(CATALOG.gpus, gpu)} - {None}
    try:
        stack = resolve(spec, CATALOG)
    except NoFit as error:
        dropped = any(int(branch) > int(name or 0) for name in last)
        too_old = "supported from" in str(error) or "branch 515" in str(error) or "open modules serve" in str(error)
        assert dropped or too_old, str(error)
        return
    assert broken(spec, stack) == []


def test_a_rack_tray_is_resolved_as_published() -> None:
    row = next(row for row in GOOD if row.gpu == "GB200" and row.os == "ubuntu24.04")
    stack = solve(**ARM, gpu="GB200", driver=row.driver, cuda=row.cuda)
    assert (stack.version("driver"), stack.choices["cuda"].how) == (row.driver, "native")
    assert stack.version("modules") == "open"
    assert stack.version("page_size") == "65536"


def test_a_node_whose_roles_need_no_driver_gets_none() -> None:
    stack = resolve(NodeSpec(**UBUNTU), CATALOG, wanted=frozenset({"kernel"}))
    assert set(stack.choices) == {"kernel", "page_size"}


def test_every_reason_that_rests_on_a_row_names_it() -> None:
    for choice in solve(**ARM, gpu="GH200", cuda="13.0", features=["rdma", "containers"]).choices.values():
        assert choice.reasons, choice.component
        assert any(reason.fact for reason in choice.reasons), choice.component


def test_neither_an_answer_nor_a_conflict_takes_long_of_a_processor() -> None:
    questions = [
        {**ARM, "gpu": "GB200", "driver": LONG_TERM.newest, "cuda": "13.0", "features": ["rdma", "containers", "mig"]},
        {**UBUNTU, "gpu": "H100", "driver": "550", "cuda": "13.0"},
        {**UBUNTU, "gpu": "V100", "cuda": "13.0", "gcc": "15"},
    ]
    for keys in questions:
        _answer(NodeSpec.model_validate(keys))
        began = time.process_time()
        _answer(NodeSpec.model_validate(keys))
        assert time.process_time() - began < 1
