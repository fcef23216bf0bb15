"""What apt said: pure readings of its output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from provision.model import Frozen

_INSTALLED = re.compile(r"^Inst (?P<name>\S+) (?:\[(?P<old>[^\]]*)\] )?\((?P<version>\S+)", re.MULTILINE)
_REMOVED = re.compile(r"^Remv (\S+)", re.MULTILINE)
_DEPENDENCY = re.compile(r"\s*(?:(?:Pre)?Depends: )?([a-z0-9][a-z0-9+.-]+)(?: \(= ([^)\s]+)\))?(?: |$)")
_FIRST_WORDS = "The following packages have unmet dependencies:"
_NOISE = ("Reading ", "Building ", "W: ", "N: ", "NOTE: ")


class Simulated(Frozen):
    """A transaction that apt accepts. `installed`: package -> version."""

    installed: dict[str, str]
    replaced: tuple[str, ...] = ()
    """Those of them that another version was installed of before."""
    removed: tuple[str, ...] = ()

    @property
    def new(self) -> int:
        return len(self.installed) - len(self.replaced)


def simulated(output: str) -> Simulated:
    """The output of `apt-get -s install` that ended with 0."""
    found = list(_INSTALLED.finditer(output))
    return Simulated(
        installed={match["name"]: match["version"] for match in found},
        replaced=tuple(match["name"] for match in found if match["old"] is not None),
        removed=tuple(_REMOVED.findall(output)),
    )


def refusal(output: str) -> str:
    """Apt's own words, without what it says of every refusal."""
    said = [line.rstrip() for line in output.splitlines() if line.strip() and not line.startswith(_NOISE)]
    begin = said.index(_FIRST_WORDS) if _FIRST_WORDS in said else 0
    return "\n".join(said[begin:])


class Missing(Frozen):
    """One dependency that a refusal says cannot be met. `name`: of a package, or virtual."""

    of: str
    name: str
    version: str = ""
    """The one version that is asked for."""


def missing(words: str) -> tuple[Missing, ...]:
    """What a refusal says is missing."""
    found, of = [], ""
    for line in words.splitlines():
        before, colon, said = line.rpartition(" : ")
        of = before.strip() if colon else of
        if of and (match := _DEPENDENCY.match(said)):
            found.append(Missing(of=of, name=match[1], version=match[2] or ""))
    return tuple(found)


def helpful(
    lacking: Sequence[Missing],
    providers: Mapping[str, Sequence[tuple[str, str]]],
    offered: Mapping[str, Sequence[str]],
    pinned: Mapping[str, str],
) -> dict[str, str]:
    """Package -> version that would have to be preferred, where the archive has it and apt prefers another.

    Args:
        lacking: see `missing`.
        providers: virtual name -> (package, version) that provide it.
        offered: package -> versions, the one that apt prefers first.
        pinned: what is preferred already; who wants another version of it has to follow.
    """
    wanted: dict[str, str] = {}
    for dependency in lacking:
        if dependency.name in pinned:
            wanted.setdefault(dependency.of, pinned[dependency.name])
        elif dependency.version:
            wanted.setdefault(dependency.name, dependency.version)
        for package, version in providers.get(dependency.name, ()):
            wanted.setdefault(package, version)
    return {
        name: version
        for name, version in wanted.items()
        if name not in pinned
        and not any(_is(preferred, version) for preferred in offered.get(name, ())[:1])
        and any(_is(other, version) for other in offered.get(name, ())[1:])
    }


def providers(shown: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """The output of `apt-cache showpkg NAME...`: name -> (package, version) that provide it."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for text in shown.split("Package: ")[1:]:
        lines = text.partition("Reverse Provides:")[2].strip().splitlines()
        words = [line.split() for line in lines]
        found[text.partition("\n")[0].strip()] = tuple((word[0], word[1]) for word in words if len(word) > 1)
    return found


def candidates(policy: str) -> dict[str, tuple[str, ...]]:
    """The output of `apt-cache policy NAME...`: package -> versions, the candidate first."""
    offered: dict[str, tuple[str, ...]] = {}
    name = ""
    for line in policy.splitlines():
        if re.fullmatch(r"[a-z0-9][a-z0-9+.-]*(:[a-z0-9]+)?:", line):
            name = line[:-1].partition(":")[0]
        elif line.startswith("  Candidate: ") and not line.endswith("(none)"):
            offered[name] = (line.removeprefix("  Candidate: "),)
        elif (match := re.match(r" (?:\*\*\*|   ) (\S+)", line)) and match[1] not in offered.get(name, ()):
            offered[name] = (*offered.get(name, ()), match[1])
    return offered


def stanzas(shown: str) -> Iterator[tuple[str, str]]:
    """The output of `apt-cache show`: (package, its whole stanza)."""
    for text in shown.split("\n\n"):
        if text.startswith("Package: "):
            yield text.partition("\n")[0].removeprefix("Package: "), text.strip()


def download_size(texts: Iterable[str]) -> int:
    """Bytes of the packages whose stanzas these are."""
    return sum(int(match[1]) for text in texts if (match := re.search(r"^Size: (\d+)$", text, re.MULTILINE)))


def as_status(stanza: str, held: bool) -> str:
    """A stanza of an index as one of dpkg's status file: installed, and held or not."""
    name, _, rest = stanza.partition("\n")
    return f"{name}\nStatus: {'hold' if held else 'install'} ok installed\n{rest}\n"


def _is(version: str, wanted: str) -> bool:
    """Is this the wanted version, whatever revision the distribution adds?"""
    upstream = wanted.rpartition("-")[0] or wanted
    return version == upstream or version.startswith(f"{upstream}-")
