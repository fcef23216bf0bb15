"""`provision plan --solve`: what the package manager's own solver says of plans before a node is touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from pydantic import JsonValue
from rich.padding import Padding
from rich.text import Text

from provision.cli.console import put, standard
from provision.cli.exits import Exit
from provision.cli.plan_view import Group, title
from provision.model import Frozen
from provision.platforms import platform_for, preferences
from provision.solver import NotHere, Proof, SolvedBoot, Unfetched, prove

Verdict = Literal["accepted", "refused", "unfetched", "unknown"]

EXIT = {
    "refused": Exit.WRONG_INPUT,
    "unfetched": Exit.FAILED,
    "unknown": Exit.UNKNOWN,
    "accepted": Exit.DONE,
}
"""Worst first: over several groups the first of these that occurs is the command's exit code."""


class Solved(Frozen):
    """The verdict on one group's plan."""

    nodes: tuple[str, ...]
    platform: str
    verdict: Verdict
    why: str = ""
    """Where the solver could not be asked."""
    proof: Proof | None = None


def solve(groups: Iterable[Group]) -> tuple[Solved, ...]:
    """Every group's verdict; a plan that several groups share is solved once."""
    known: dict[tuple[str, str, str], Solved] = {}
    verdicts = []
    for group in groups:
        spec = group.planned.spec
        key = (spec.os, spec.arch, group.planned.plan.digest)
        if key not in known:
            known[key] = _solved(group)
        verdicts.append(known[key].model_copy(update={"nodes": group.nodes}))
    return tuple(verdicts)


def exit_code(verdicts: Iterable[Solved]) -> Exit:
    found = {one.verdict for one in verdicts}
    return next((code for verdict, code in EXIT.items() if verdict in found), Exit.DONE)


def show(verdicts: Sequence[Solved]) -> None:
    """Print verdicts for people."""
    put(standard(), _parts(verdicts))


def as_data(solved: Solved) -> JsonValue:
    """One verdict, as it stands under `solve` in the plan's data (docs/json.md)."""
    data: JsonValue = solved.model_dump(mode="json", include={"verdict", "why", "proof"})
    return data


def _solved(group: Group) -> Solved:
    spec = group.planned.spec
    platform = platform_for(spec.os, spec.arch)
    name = f"{platform.os.name}, {platform.package_arch}"
    try:
        proof = prove(group.planned.plan, platform)
    except NotHere as error:
        return Solved(nodes=group.nodes, platform=name, verdict="unknown", why=str(error))
    except Unfetched as error:
        why = f"the indices could not be fetched and checked, so nothing was solved: {error}"
        return Solved(nodes=group.nodes, platform=name, verdict="unfetched", why=why)
    return Solved(nodes=group.nodes, platform=name, verdict="accepted" if proof.accepted else "refused", proof=proof)


def _parts(verdicts: Sequence[Solved]) -> Iterator[Text | Padding]:
    for number, solved in enumerate(verdicts):
        if number:
            yield Text()
        yield Text(title(solved.nodes), style="bold")
        if solved.proof is None:
            yield _indented(Text.assemble((solved.verdict, "yellow"), f": {solved.why}"))
            continue
        yield _indented(Text(f"{solved.platform}, solved by apt over the signed indices of {solved.proof.archive}"))
        for boot in solved.proof.boots:
            yield from map(_indented, _boot(boot))
        left = [str(n) for n in range(len(solved.proof.boots) + 1, solved.proof.of + 1)]
        if left:
            yield _indented(
                Text(f"boot {', '.join(left)}: not asked, because it begins with what boot {boot.number} leaves")
            )


def _boot(boot: SolvedBoot) -> Iterator[Text]:
    if boot.outcome == "accepted":
        yield Text.assemble(f"boot {boot.number}: ", ("accepted", "green"), f": {_counted(boot)}")
        return
    yield Text.assemble(f"boot {boot.number}: ", ("refused", "red"), ":")
    yield from (Text(f"  {line}") for line in boot.words.splitlines())
    if boot.pins:
        yield Text("apt was asked again, and accepts it with this in /etc/apt/preferences.d:")
        yield from (Text(f"  {line}") for line in preferences(boot.pins).splitlines() if not line.startswith("#"))


def _counted(boot: SolvedBoot) -> str:
    if not boot.asked:
        return "it installs nothing"
    replaced = f", {boot.replaced} replaced" if boot.replaced else ""
    return (
        f"{boot.asked} packages asked for, {boot.new} new on a minimal system{replaced}, "
        f"{boot.download / 1e6:.0f} MB to download"
    )


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2), expand=False)
