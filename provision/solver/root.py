"""A private root for apt: its own configuration, lists and status, no rights needed, nothing of this machine's touched.

The lists are kept in a cache between runs and believed only as far as today's signed index vouches for them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Release

from provision.lab import program
from provision.lab.mirror import Mirror
from provision.model import digest
from provision.solver import answer


class Unfetched(Exception):
    """An archive's indices could not be fetched, or are not what their signature vouches for; apt's words say why."""


@dataclass(frozen=True)
class Root:
    """Where apt looks when it is asked through this root."""

    folder: Path
    lists: Path

    @property
    def status(self) -> Path:
        return self.folder / "dpkg/status"

    @property
    def preferences(self) -> Path:
        return self.folder / "etc/preferences.d"

    def refresh(self) -> None:
        """Fetch the indices that changed, and check all of them. Raises: Unfetched."""
        self._update()
        if spoilt := self._spoilt():
            for path in spoilt:
                path.unlink()
            self._update()
            if left := self._spoilt():
                raise Unfetched(f"{left[0].name} is not what the signed index of its archive says")

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """A program of apt or dpkg that sees nothing but this root."""
        ours = {"APT_CONFIG": str(self.folder / "apt.conf"), "DPKG_ADMINDIR": str(self.folder / "dpkg")}
        # Of two languages for apt's words, one is enough to read.
        environment = program.environment() | ours | {"LC_ALL": "C.UTF-8", "LANGUAGE": "C"}
        return subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, env=environment)

    def _update(self) -> None:
        done = self.run("apt-get", "-q", "--error-on=any", "update")
        if done.returncode != 0:
            raise Unfetched(answer.refusal(done.stderr) or answer.refusal(done.stdout)[-800:])

    def _spoilt(self) -> list[Path]:
        """Cached lists that are not what the signed index says; apt itself checks them only when it fetches them."""
        targets = self.run("apt-get", "indextargets", "--format", "$(FILENAME)|$(METAKEY)", "Created-By: Packages")
        return [path for path, key in _pairs(targets.stdout) if path.exists() and _sha256(path) != _signed(path, key)]


@contextmanager
def private(mirror: Mirror, codename: str, components: Sequence[str], arch: str, cache: Path) -> Iterator[Root]:
    """A root for one release of one archive; gone afterwards, but for its lists.

    Args:
        mirror: where the archive is, with what apt needs to reach it.
        codename: of the release.
        components: of the archive.
        arch: as dpkg calls it; need not be this machine's.
        cache: folder that is kept between runs.
    """
    sources = mirror.sources(codename, " ".join(components))
    kept = cache / f"{codename}-{arch}-{digest(sources)}"
    (kept / "lists/partial").mkdir(parents=True, exist_ok=True)
    with (kept / "lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="provision-solve-") as temporary:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = Path(temporary)
        for name in ("etc/preferences.d", "etc/apt.conf.d", "etc/sources.list.d", "etc/trusted.gpg.d", "dpkg", "log"):
            (folder / name).mkdir(parents=True)
        (folder / "cache/archives/partial").mkdir(parents=True)
        (folder / "dpkg/status").touch()
        (folder / "etc/sources.list.d/archive.sources").write_text(sources, encoding="utf-8")
        (folder / "apt.conf").write_text(configuration(folder, kept, arch, mirror.options), encoding="utf-8")
        yield Root(folder=folder, lists=kept / "lists")


def configuration(folder: Path, kept: Path, arch: str, options: Sequence[str]) -> str:
    """apt.conf(5) of a private root: every path that apt writes to or takes settings from is in `folder` or `kept`."""
    own = {
        "Dir": f"{folder}/",
        "Dir::State": f"{folder}/state",
        "Dir::State::lists": f"{kept}/lists",
        "Dir::State::status": f"{folder}/dpkg/status",
        "Dir::State::extended_states": f"{folder}/extended_states",
        "Dir::Cache": f"{folder}/cache",
        "Dir::Cache::srcpkgcache": f"{folder}/cache/srcpkgcache.bin",
        "Dir::Cache::pkgcache": f"{folder}/cache/pkgcache.bin",
        "Dir::Etc": f"{folder}/etc",
        "Dir::Log": f"{folder}/log",
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        # Fetched files go to a folder that apt's own user may not be allowed to see; there is nothing to install here.
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::GzipIndexes": "false",
    }
    return "".join(f'{key} "{_plain(value)}";\n' for key, value in own.items()) + "".join(f"{o}\n" for o in options)


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where lists are kept: the user's cache (XDG base directory specification)."""
    environment = os.environ if environment is None else environment
    home = environment.get("XDG_CACHE_HOME", "")
    return Path(home if home.startswith("/") else Path.home() / ".cache") / "provision/solve"


def available() -> bool:
    """Does this machine have apt?"""
    return shutil.which("apt-get", path=program.PATH) is not None


def _plain(value: str) -> str:
    if '"' in value or "\n" in value:
        raise Unfetched(f"apt.conf cannot carry the path {value!r}: choose another TMPDIR or XDG_CACHE_HOME")
    return value


def _pairs(lines: str) -> Iterator[tuple[Path, str]]:
    for line in lines.splitlines():
        path, _, key = line.rpartition("|")
        yield Path(path), key


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _signed(path: Path, key: str) -> str:
    """The digest that the signed index has for a list; apt has verified that index in this run."""
    index = path.with_name(path.name.removesuffix(key.replace("/", "_")) + "InRelease")
    if not index.exists():
        return ""
    with index.open("rb") as file:
        rows = Release(file).get("SHA256", [])
    return next((str(row["sha256"]) for row in rows if row["name"] == key), "")
