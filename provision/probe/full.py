"""The full reading: the probe, and one section for each thing that can be told of a machine.

Each section is a program of its own (`sections/NAME.sh`), bounded in time and in size, so whatever answers on the node
(a hung tool, an endless file) spoils that one section and nothing else. A section's lines stand between
`section<TAB>NAME` and `end<TAB>NAME`; its last line is `code<TAB>EXIT`, which is missing when it was cut.

Nothing is written on the node, and no lock is waited for: whoever looks for the cause of a hang must not hang.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from shlex import quote
from typing import NamedTuple

from provision.model import Plan, Unit
from provision.model.places import RUN
from provision.platforms import boot
from provision.probe.program import FUNCTIONS, MACHINE, questions
from provision.probe.remote import SAY, program

KIB = 1024


class Section(NamedTuple):
    """A part of the full reading and what it may cost."""

    name: str
    seconds: int = 3
    size: int = 64 * KIB


SECTIONS = (
    Section("system"),
    Section("firmware"),
    Section("boot"),
    Section("pci"),
    Section("modules"),
    Section("module_files", seconds=10),
    Section("dkms"),
    Section("packages", seconds=10, size=256 * KIB),
    Section("repositories", size=256 * KIB),
    Section("units", seconds=5),
    Section("sysctls"),
    Section("memory"),
    Section("gpu", seconds=12, size=2048 * KIB),
    Section("infiniband"),
    Section("containers", seconds=10),
    Section("cuda", seconds=5),
    Section("kernel_log", seconds=7, size=128 * KIB),
)

FRAME = (
    SAY
    + r"""
value() { value=; [ -f "$1" ] && [ -r "$1" ] && { IFS= read -r value <"$1" || [ -n "$value" ]; } 2>/dev/null; }
"""
)
"""`value FILE`: its first line becomes $value, without a process; false where there is none.

For texts under /sys: a shell reads byte by byte, and numbers under /proc/sys and lists like `cpulist` end there behind
their first byte, or before it.
"""

# Both ends are bounded: a program that left a child behind keeps the pipe open when it is ended itself.
SECTION = r"""
section() {
  printf 'section\t%s\n' "$1"
  command -v timeout >/dev/null || { printf 'code\t127\nend\t%s\n' "$1"; return 0; }
  {
    timeout -k 1 "$2" sh -c "$frame$4" 2>/dev/null
    printf 'code\t%s\n' $?
  } | timeout -k 1 $(($2 + 2)) head -c "$3"
  printf '\nend\t%s\n' "$1"
}
"""

STEADY = f"""
if [ "$user" != 0 ]; then say hidden lock "without root a change may be under way while this is read"
elif [ -e {RUN}/lock ] && ! flock -n {RUN}/lock true; then
  say hidden lock "a change is under way: $(head -c 200 {RUN}/doing 2>/dev/null | plain)"
fi"""


def full_probe_program(plan: Plan | None = None) -> str:
    """The program that reads everything the project can tell of a machine, and what a plan asks for.

    A converged node is checked without it (`probe_program`): drift needs only what the plan names.
    """
    units = [e.resource.unit for e in plan.entries if isinstance(e.resource, Unit)] if plan else []
    asked = questions(plan) if plan else []
    sections = [f"section {s.name} {s.seconds} {s.size} {quote(_text(s.name, units))}" for s in SECTIONS]
    body = [FUNCTIONS, STEADY, MACHINE, *asked, f"frame={quote(FRAME)}", SECTION, "{", *sections]
    return program("\n".join([*body, r"} | tr -c '[:print:]\n\t' '?'", "echo END"]))


def _text(name: str, units: Sequence[str]) -> str:
    text = files("provision.probe").joinpath("sections", f"{name}.sh").read_text(encoding="ascii")
    match name:
        case "boot":
            return f"default_release() {{\n{boot.default_release()}}}\n{text}"
        case "units":
            return f"UNITS={quote(' '.join(units))}\n{text}"
        case _:
            return text
