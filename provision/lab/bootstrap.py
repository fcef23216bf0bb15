"""A Debian root folder by mmdebstrap, from the archive that this machine's own apt uses."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from collections import deque
from collections.abc import Callable
from pathlib import Path

from provision.lab import program
from provision.lab.error import LabError
from provision.lab.mirror import COMPONENTS, SUITE, Mirror
from provision.model import Frozen, digest

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
AUTHORITIES = f'[ ! -e "$1{CA_BUNDLE}" ] || install -m 644 {CA_BUNDLE} "$1{CA_BUNDLE}"'


class Recipe(Frozen):
    """`prepare` and `customize` are sh programs that run on this machine with the new root as $1.

    `prepare` runs before the packages are set up; `customize` at the end, with the sources on its standard input.
    """

    title: str
    packages: tuple[str, ...]
    customize: str
    prepare: str = ""
    sources: str = ""
    """In deb822 form, on top of the mirror's own."""
    options: tuple[str, ...] = ()
    """More arguments of mmdebstrap."""
    suite: str = SUITE
    """Codename of the Debian release."""
    wrapper: tuple[str, ...] = ()
    """A program that runs mmdebstrap, which is its last arguments."""


def recipe_digest(recipe: Recipe, mirror: Mirror) -> str:
    """Everything that decides what is in the root, except the day it was built."""
    ca = hashlib.sha256(_ca_bundle()).hexdigest() if mirror.https else ""
    own = (recipe.prepare, recipe.sources, *recipe.options)
    parts = [
        mirror.sources(recipe.suite),
        *mirror.options,
        *recipe.packages,
        recipe.customize,
        *(part for part in own if part),
        ca,
    ]
    return digest("\n".join(parts))


def make(root: Path, recipe: Recipe, mirror: Mirror, say: Callable[[str], None], lock: int) -> None:
    """Builds the root; `say` gets one short line per stage.  Raises: LabError with mmdebstrap's last words."""
    scratch = root.parent / "base-recipe"
    scratch.mkdir(exist_ok=True)
    sources = _written(
        scratch / "debian.sources", "\n".join(text for text in (mirror.sources(recipe.suite), recipe.sources) if text)
    )
    customize = _written(scratch / "customize.sh", recipe.customize)
    prepare = _written(scratch / "prepare.sh", recipe.prepare)
    argv = [
        # When this program is killed, so is everything that it started here, and what was mounted goes with it.
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--", *recipe.wrapper),
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
        f"--include={','.join(recipe.packages)}",
        # Package lists stay: a node of an offline machine still answers `apt-cache`.
        "--skip=cleanup/apt",
        '--aptopt=Acquire::Languages "none"',
        *(f"--aptopt={line.removesuffix(';')}" for line in mirror.options),
        *recipe.options,
        *((f'--essential-hook=sh {shlex.quote(str(prepare))} "$1"',) if recipe.prepare else ()),
        f'--customize-hook=sh {shlex.quote(str(customize))} "$1" <{shlex.quote(str(sources))}',
        # After ca-certificates was configured, which writes that file anew without this machine's own authorities.
        *(
            (f'--customize-hook=[ ! -e "$1{CA_BUNDLE}" ] || install -m 644 {CA_BUNDLE} "$1{CA_BUNDLE}"',)
            if mirror.https
            else ()
        ),
        *(f"--components={COMPONENTS.replace(' ', ',')}", recipe.suite, str(root)),
        *((str(sources),) if mirror.archive else ()),
    ]
    origin = mirror.archive or "mmdebstrap's own default archive"
    say(f"building {recipe.title} ({recipe.suite}) once, from {origin}")
    tail: deque[str] = deque(maxlen=12)
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=(lock,),
        env=program.environment(),
    ) as build:
        for line in build.stdout or ():
            tail.append(line.rstrip())
            if line.startswith("I: "):
                say(f"{recipe.title}: {line[3:].partition(' in shell')[0].strip()}")
    if build.returncode != 0:
        evidence = "\n".join(line for line in tail if line)
        raise LabError(
            f"mmdebstrap could not build {recipe.title} from {origin} (exit code {build.returncode}). "
            f"Its last words:\n{evidence}\nIf the archive was not reached, look at this machine's own `apt-get update`."
        )


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _ca_bundle() -> bytes:
    path = Path(CA_BUNDLE)
    return path.read_bytes() if path.exists() else b""
