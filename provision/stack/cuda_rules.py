"""What must hold of the CUDA toolkit: its driver, its GPU, its host compiler."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from provision.catalog import CudaMajor, CudaToolkit, branch_of, driver_key
from provision.model import Reason
from provision.stack.compatibility import capability, compat_package, host_compiler, is_base, knows, newest, standings
from provision.stack.facts import Candidate, Domains, Facts
from provision.stack.outlook import starts_with
from provision.stack.reasons import from_row, from_rule
from provision.stack.rule import Rule, about


def cuda_rules(facts: Facts) -> Iterator[Rule]:
    """The rules over toolkit and host compiler that bind this node."""
    spec = facts.spec
    if spec.cuda is not None:
        yield about("cuda", "cuda-pin", lambda facts, cuda: starts_with(cuda.version, facts.spec.cuda or ""), _released)
    if spec.cuda_compat is True:
        yield about("cuda", "compat-wanted", lambda _, cuda: cuda.how == "forward")
    if spec.cuda_compat is False:
        yield about("cuda", "compat-refused", lambda _, cuda: cuda.how != "forward")
    if spec.gcc is not None:
        yield about("gcc", "gcc-pin", lambda facts, gcc: gcc.version == facts.spec.gcc)
    if facts.gpus:
        yield about("cuda", "cuda-knows-gpu", _knows_the_gpu, _windows)
    yield Rule("cuda-runs", ("driver", "cuda"), _runs, _standing)
    yield Rule("host-compiler", ("cuda", "gcc"), _accepts, _ceiling)


def _released(facts: Facts, domains: Domains) -> Iterator[Reason]:
    """When nothing is what the pin asks for: what there is of this major."""
    pin = facts.spec.cuda or ""
    if any(starts_with(cuda.version, pin) for cuda in domains["cuda"]):
        return
    rows = [toolkit(cuda) for cuda in domains["cuda"] if branch_of(cuda.version) == branch_of(pin)]
    rows = rows or [toolkit(cuda) for cuda in domains["cuda"]]
    minors = sorted({row.minor for row in rows}, key=driver_key)
    if rows:
        yield from_row(facts, f"no CUDA {pin} is known as a release; there is {', '.join(minors)}", rows[0])


def toolkit(cuda: Candidate) -> CudaToolkit:
    """The row that a candidate comes from."""
    assert isinstance(cuda.row, CudaToolkit)
    return cuda.row


def _knows_the_gpu(facts: Facts, cuda: Candidate) -> bool:
    """A capability that no row tells of is not held against a toolkit."""
    rows = [capability(facts.catalog, gpu) for gpu in facts.gpus]
    return all(row is None or knows(row, toolkit(cuda)) for row in rows)


def _windows(facts: Facts, _: Domains) -> Iterator[Reason]:
    for row in dict.fromkeys(capability(facts.catalog, gpu) for gpu in facts.gpus):
        if row is not None:
            last = f" to {row.last_cuda}" if row.last_cuda else ""
            yield from_row(
                facts, f"compute capability {row.id} is known to CUDA {row.first_cuda}{last or ' and newer'}", row
            )


def _runs(facts: Facts, driver: Candidate, cuda: Candidate) -> bool:
    ways = standings(facts.catalog, toolkit(cuda), driver.version, facts.gpus)
    return any(way.how == cuda.how for way in ways)


def _standing(facts: Facts, domains: Domains) -> Iterator[Reason]:
    """How the toolkit that would be taken stands to the driver that would be taken."""
    cuda = next(iter(_asked(facts, "cuda-pin", domains["cuda"])), None)
    driver = next(iter(_asked(facts, "driver-pin", domains["driver"])), None)
    if cuda is None:
        return
    row = toolkit(cuda)
    yield from_row(facts, needs_text(row), row)
    yield from (from_row(facts, floor_text(f), f) for f in facts.catalog.cuda_majors if f.id == branch_of(row.id))
    if driver is not None:
        yield from _no_forward(facts, row, newest(facts.catalog, driver.version))


def _asked(facts: Facts, rule_id: str, domain: Iterable[Candidate]) -> list[Candidate]:
    pin = facts.spec.cuda if rule_id == "cuda-pin" else facts.spec.driver
    return [candidate for candidate in domain if pin is None or starts_with(candidate.version, pin)]


def needs_text(row: CudaToolkit) -> str:
    """From which driver on the toolkit runs natively."""
    if row.driver is not None:
        return f"CUDA {row.id} runs natively from driver {row.driver} on"
    if row.branch is not None:
        return f"CUDA {row.id} runs natively from driver branch {row.branch} on"
    return f"no driver is published for CUDA {row.id}"


def floor_text(row: CudaMajor) -> str:
    """From which driver on a major runs by minor-version compatibility."""
    return f"CUDA {row.id}.x runs on drivers from {row.driver} on by minor-version compatibility"


def _no_forward(facts: Facts, row: CudaToolkit, driver: str) -> Iterator[Reason]:
    """Why there is no forward compatibility, when there is none."""
    other = next((gpu for gpu in facts.gpus if not gpu.data_centre), None)
    package, branch = compat_package(facts.catalog, row), facts.catalog.branch.get(branch_of(driver))
    if other is not None:
        yield from_row(
            facts, f"{other.name} is no data-centre GPU: forward compatibility is not for it (error 804)", other
        )
    elif package is not None and branch is not None and not is_base(facts.catalog, package, driver):
        if branch.type == "NFB":
            yield from_row(facts, f"branch {branch.id} is a new feature branch: no base of {package.id}", branch)
        else:
            how = {"native": "has the same CUDA as", "not_compatible": "is newer than"}
            verb = how.get(package.on.get(branch.id, ""), "is not listed as a base of")
            yield from_row(facts, f"driver branch {branch.id} {verb} {package.id}", package)
    if package is None:
        yield from_rule(facts, "forward-compat")


def _accepts(facts: Facts, cuda: Candidate, gcc: Candidate) -> bool:
    row, major = host_compiler(facts.catalog, toolkit(cuda)), branch_of(gcc.version)
    return row is None or (major.isdigit() and int(row.gcc_least) <= int(major) <= int(row.gcc))


def _ceiling(facts: Facts, domains: Domains) -> Iterator[Reason]:
    for cuda in _asked(facts, "cuda-pin", domains["cuda"])[:1]:
        row = host_compiler(facts.catalog, toolkit(cuda))
        if row is not None:
            yield from_row(facts, f"nvcc of CUDA {cuda.version} accepts gcc {row.gcc_least} to {row.gcc}", row)
