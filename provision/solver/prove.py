"""A plan, boot by boot, through apt's own solver: each boot begins with what the boot before it left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from provision.lab import mirror
from provision.lab.error import LabError
from provision.model import Entry, File, Frozen, Package, Packages, Plan
from provision.model.machine import Pin
from provision.platforms import Platform, apt, pins
from provision.solver import answer
from provision.solver.root import Root, available, cache_folder, private

MINIMAL = ("?essential", "~prequired", "~pimportant")
"""A node of which nothing is known: what Debian calls essential, required and important (apt-patterns(7))."""

INSTALL = ("apt-get", "-s", "-y", "--no-install-recommends", "--allow-downgrades", "--allow-change-held-packages")
"""As a node's transaction asks apt (`platforms.apt.transaction`)."""

PREFERENCES = "/etc/apt/preferences.d/"
ROUNDS = 8
"""Pins that are tried one after another: each may bring the next clash to light."""

Outcome = Literal["accepted", "refused"]


class NotHere(Exception):
    """The repositories of a platform cannot be reached from here: one sentence that says which and why."""


class Refused(Exception):
    """apt's own words on why not."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class SolvedBoot(Frozen):
    """What apt says of one boot's packages."""

    number: int
    outcome: Outcome
    asked: int = 0
    """Packages that the plan names."""
    new: int = 0
    replaced: int = 0
    download: int = 0
    """Bytes."""
    words: str = ""
    """Why not, in apt's own words."""
    pins: tuple[Pin, ...] = ()
    """With these apt accepts; empty where none was found."""


class Proof(Frozen):
    archive: str
    boots: tuple[SolvedBoot, ...]
    """Up to the first that is refused."""
    of: int
    """Boots of the plan."""

    @property
    def accepted(self) -> bool:
        return all(boot.outcome == "accepted" for boot in self.boots)


def prove(plan: Plan, platform: Platform, cache: Path | None = None) -> Proof:
    """Ask the archive of a platform for everything that a plan would install.

    Raises: NotHere, Unfetched.
    """
    archive = _archive(platform)
    components = platform.drivers.repository
    kept = cache or cache_folder()
    with private(archive, platform.os.codename, components, platform.package_arch, kept) as root:
        root.refresh()
        return Proof(archive=archive.archive, boots=tuple(_boots(root, plan)), of=len(plan.boots))


def _archive(platform: Platform) -> mirror.Mirror:
    if platform.os.family != "debian":
        raise NotHere(
            f"apt's solver was not asked: the archive of {platform.os.name} is not one that is reached from here "
            "(only Debian's is, by this machine's own apt configuration)"
        )
    if not available():
        raise NotHere(f"apt's solver was not asked: this machine has no apt, and {platform.os.name} is solved by it")
    if not Path(mirror.KEYRING).exists():
        raise NotHere(f"apt's solver was not asked: {mirror.KEYRING} is not here (package debian-archive-keyring)")
    try:
        found = mirror.read()
    except LabError as error:
        raise NotHere(f"apt's solver was not asked: {error}") from error
    if not found.archive:
        raise NotHere(f"apt's solver was not asked: this machine's apt names no archive of {platform.os.name}")
    return found


def _boots(root: Root, plan: Plan) -> Iterator[SolvedBoot]:
    """Ends with the first boot that is refused: what comes after it cannot be known."""
    status = _Status(root)
    status.take(answer.simulated(_expected(root, *INSTALL, "install", *MINIMAL)), held=())
    for number, boot in enumerate(plan.boots, start=1):
        _write_preferences(root, boot)
        wanted = [
            package for entry in boot if isinstance(entry.resource, Packages) for package in entry.resource.packages
        ]
        solved = _solved(root, status, number, wanted, held=_held(boot))
        yield solved
        if solved.outcome == "refused":
            return


def _write_preferences(root: Root, boot: Sequence[Entry]) -> None:
    """The very files that the node would have by then."""
    for entry in boot:
        resource = entry.resource
        if isinstance(resource, File) and resource.path.startswith(PREFERENCES):
            (root.preferences / Path(resource.path).name).write_text(resource.content, encoding="utf-8")


def _held(boot: Sequence[Entry]) -> frozenset[str]:
    resources = [entry.resource for entry in boot]
    return frozenset(p.name for r in resources if isinstance(r, Packages) and r.hold for p in r.packages)


def _solved(root: Root, status: _Status, number: int, wanted: Sequence[Package], held: frozenset[str]) -> SolvedBoot:
    if not wanted:
        return SolvedBoot(number=number, outcome="accepted")
    refused = SolvedBoot(number=number, outcome="refused", asked=len(wanted))
    try:
        result = transaction(root, wanted)
    except Refused as error:
        return refused.model_copy(update={"words": error.words, "pins": pins_that_help(root, wanted, error.words)})
    if result.removed:
        words = f"apt would remove {', '.join(result.removed)}; a node's transaction removes nothing"
        return refused.model_copy(update={"words": words})
    return SolvedBoot(
        number=number,
        outcome="accepted",
        asked=len(wanted),
        new=result.new,
        replaced=len(result.replaced),
        download=status.take(result, held),
    )


def transaction(root: Root, wanted: Sequence[Package]) -> answer.Simulated:
    """What apt would do for these packages, asked for as a node asks. Raises: Refused."""
    chosen = root.run("sh", "-euc", apt.chosen(wanted))
    if chosen.returncode != 0:
        raise Refused(chosen.stderr.strip())
    done = root.run(*INSTALL, "install", *chosen.stdout.split())
    if done.returncode != 0:
        raise Refused(answer.refusal(f"{done.stdout}\n{done.stderr}"))
    return answer.simulated(done.stdout)


def pins_that_help(root: Root, wanted: Sequence[Package], words: str) -> tuple[Pin, ...]:
    """Pins with which apt accepts what it refused with these words; empty where none are found."""
    file = root.preferences / "tried"
    pinned: dict[str, str] = {}
    try:
        for _ in range(ROUNDS):
            more = _more_pins(root, words, pinned)
            if not more:
                return ()
            pinned |= more
            tried = pins.pins(Package(name=n, version=f"{v.rpartition('-')[0] or v}-*") for n, v in pinned.items())
            file.write_text(pins.preferences(tried), encoding="utf-8")
            try:
                transaction(root, wanted)
            except Refused as error:
                words = error.words
                continue
            return tried
        return ()
    finally:
        file.unlink(missing_ok=True)


def _more_pins(root: Root, words: str, pinned: Mapping[str, str]) -> dict[str, str]:
    lacking = answer.missing(words)
    if not lacking:
        return {}
    providers = answer.providers(root.run("apt-cache", "showpkg", *{one.name for one in lacking}).stdout)
    names = {name for one in lacking for name in (one.of, one.name)}
    names |= {package for found in providers.values() for package, _ in found}
    offered = answer.candidates(root.run("apt-cache", "policy", *sorted(names)).stdout)
    return answer.helpful(lacking, providers, offered, pinned)


class _Status:
    """dpkg's status file in the root: what is installed so far."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._stanzas: dict[str, str] = {}

    def take(self, result: answer.Simulated, held: Sequence[str] | frozenset[str]) -> int:
        """Write down what a transaction installs; returns the bytes it downloads."""
        if not result.installed:
            return 0
        wanted = [f"{name}={version}" for name, version in result.installed.items()]
        shown = dict(answer.stanzas(_expected(self._root, "apt-cache", "show", *wanted)))
        self._stanzas |= {name: answer.as_status(text, name in held) for name, text in shown.items()}
        self._root.status.write_text("\n".join(self._stanzas.values()), encoding="utf-8")
        return answer.download_size(shown.values())


def _expected(root: Root, *argv: str) -> str:
    """The output of a program that has no reason to fail here."""
    done = root.run(*argv)
    if done.returncode != 0:
        raise NotHere(f"apt's solver could not be asked: `{argv[0]}` said {answer.refusal(done.stderr)[-400:]}")
    return done.stdout
