"""Settings of GPUs, read and written with nvidia-smi. Functions return POSIX sh.

What its options are called, what they take and when they take effect: nvidia-smi's own help text and manual page, in
Debian's package nvidia-smi 550.163.01-2 (read 2026-11-21). Compute mode is DEFAULT after each reboot (-c); the power
limit is the default after the driver is unloaded (text of -q); ECC takes effect after the next reboot and stays (-e).
MIG is as long as the driver is loaded from Hopper on, and at once; before, it stays and may wait for a reset or reboot
(docs.nvidia.com, MIG user guide, "Getting Started with MIG", GPU reset, read 2026-11-21).
What was seen on a real GPU is how they are read (H200, driver 580.159.04, recorded 2026-11-21); none was set there.
"""

from __future__ import annotations

from typing import NamedTuple

from provision.model import GpuSetting
from provision.platforms.shell import program

KEEPER = "nvidia-persistenced.service"
"""Keeps the driver loaded; so what the driver forgets is told again whenever it starts."""

SEARCHED = "PATH=$PATH:/usr/local/nvidia/bin:/opt/nvidia/bin:/run/nvidia/driver/usr/bin"
"""Where a driver was put without packages (injected into a guest or a container), its tools are not in PATH."""

QUERY = "timeout -k 1 60 nvidia-smi --format=csv,noheader,nounits --query-gpu=pci.bus_id"


class Way(NamedTuple):
    """How a setting is written and read. Empty: there is no such thing."""

    option: str
    current: str
    pending: str = ""
    is_forgotten: bool = True
    """With the driver, or with the boot."""


WAYS = {
    "compute-mode": Way("-c", "compute_mode"),
    "power-limit": Way("-pl", "power.limit"),
    "ecc": Way("-e", "ecc.mode.current", "ecc.mode.pending", is_forgotten=False),
    "mig": Way("-mig", "mig.mode.current", "mig.mode.pending"),
}
ARGUMENTS = {"enabled": "1", "disabled": "0"}


def fields(wanted: GpuSetting) -> tuple[str, ...]:
    """What `--query-gpu` calls it: as it is, and as it will be where that can differ."""
    way = WAYS[wanted.setting]
    return tuple(field for field in (way.current, way.pending) if field)


def plain(value: str) -> str:
    """A value as we write it: `Exclusive_Process` -> `exclusive-process`, `700.00` -> `700`."""
    return value.strip().lower().replace("_", "-").removesuffix(".00")


def command(wanted: GpuSetting) -> tuple[str, str, str]:
    argument = ARGUMENTS.get(wanted.value, wanted.value.upper().replace("-", "_"))
    return ("nvidia-smi", WAYS[wanted.setting].option, argument)


def drop_in(wanted: GpuSetting) -> str:
    """Of the unit that keeps the driver loaded. A refusal must not keep it from starting (-); + is root's rights."""
    return f"[Service]\nExecStartPost=+-{' '.join(command(wanted))}\n"


_SET = """\
command -v nvidia-smi >/dev/null || die 'there is no nvidia-smi on this node: the user half of the driver comes first'
if [ -n "$keeper" ]; then
    systemctl cat "$keeper" >/dev/null 2>&1 ||
        die "there is no $keeper on this node, and without it the driver forgets its $setting: install it first"
    systemctl daemon-reload
fi
told=$(nvidia-smi "$option" "$argument" 2>&1) || die "nvidia-smi $option $argument: $told"
now=$($query) || die "nvidia-smi does not answer any more: $now"
printf '%s\\n' "$now" | awk -F ', *' -v setting="$setting" -v value="$value" -v told="$told" '
    function plain(text) { text = tolower(text); gsub(/_/, "-", text); sub(/[.]00$/, "", text); return text }
    NF < 2 { next }
    { seen = 1 }
    plain($NF) != value { print $1 ": " setting " was set to " value " and is " $NF ": " told; failed = 1; exit }
    plain($2) != value { print $1 ": " setting " is " $2 ", and " $NF " from the next boot on" }
    END { if (!seen) print "no GPU answers"; exit failed || !seen }' >"$answer" ||
    die "$(cat "$answer")"
cat "$answer"
"""


def set_to(wanted: GpuSetting, scratch: str) -> str:
    """Set it on every GPU and read it again. Prints the GPUs that have it only after a reboot. `scratch`: a file."""
    _, option, argument = command(wanted)
    return program(
        f"{SEARCHED}\n",
        _SET,
        setting=wanted.setting,
        value=wanted.value,
        option=option,
        argument=argument,
        query=f"{QUERY},{','.join(fields(wanted))}",
        keeper=KEEPER if WAYS[wanted.setting].is_forgotten else "",
        answer=scratch,
    )
