"""The probe: one POSIX-sh program over standard input, one round trip, no root needed (root sees more).

Every line it prints is `KEY<TAB>field...`; control characters in a field are replaced, so a hostile value stays one
field, and what others wrote is reduced to ASCII, because paramiko ends a whole answer at a byte that is not UTF-8. The
last line is `END`; without it the answer counts as cut short.
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from provision.model import Derived, Directory, GpuSetting, Packages, Plan, Resource, Unit
from provision.model.places import LAB_MARK, LEDGER, STANDINS_MARK, STANDS_FOR, STATE
from provision.platforms import apt, gpus, trial_boot
from provision.platforms.units import units_of
from provision.probe.asked import ASK_GPUS, asked_alone, paths
from provision.probe.asked import FUNCTIONS as ALONE
from provision.probe.fingerprint import fingerprints
from provision.probe.remote import LOCK, SAY, program

LEDGER_LINES = 8

AT_ONCE = 100
"""Files or units that one program is asked about."""

FUNCTIONS = (
    SAY
    + r"""
newline='
'
user=$(id -u)
# Their answers are variables, because each command substitution is a process.
first() { first=; IFS= read -r first 2>/dev/null <"$1" || first=; }
ascii() { ascii=$1; case $1 in *[![:print:]]*) ascii=$(printf %s "$1" | plain) ;; esac; }
state() {
  mode=${1%% *}; owner=${1#* }; owner=${owner%% *}
  [ "${1#* * }" = "$2" ]
}
absent() {
  folder=${1%/*}
  while [ -n "$folder" ] && ! [ -e "$folder" ]; do folder=${folder%/*}; done
  [ -x "${folder:-/}" ] || say hidden "file $1" "not readable for this user"
}
file() {
  [ -e "$1" ] || [ -L "$1" ] || { absent "$1"; return 0; }
  mode=$(stat -c %a "$1"); owner=$(stat -c %U "$1")
  if [ -L "$1" ]; then ascii "$(readlink "$1")"; say file "$1" symlink "$mode" "$owner" "" "$ascii"
  elif [ -d "$1" ]; then say file "$1" directory "$mode" "$owner" "" ""
  elif ! [ -f "$1" ]; then say file "$1" other "$mode" "$owner" "" ""
  elif [ -r "$1" ]; then say file "$1" file "$mode" "$owner" "$(sha256sum <"$1" | cut -c1-64)" ""
  else say hidden "file $1" "not readable for this user"
  fi
}
folder() {
  if [ -d "$1" ]; then say file "$1" directory "$(stat -Lc %a "$1")" "$(stat -Lc %U "$1")" "" ""; else file "$1"; fi
}
# What is as it mostly is, by one program; everything else, and all from a line on that is not as expected, one by one.
files() {
  for path in "$@"; do
    shift
    if [ -f "$path" ] && [ -r "$path" ] && ! [ -L "$path" ]; then set -- "$@" "$path"; else file "$path"; fi
  done
  [ $# -gt 0 ] || return 0
  states=$(stat -c '%a %U %n' "$@" 2>/dev/null); sums=$(sha256sum "$@" 2>/dev/null)
  while [ $# -gt 0 ]; do
    sum=${sums%%"$newline"*}
    state "${states%%"$newline"*}" "$1" && [ "${sum#*  }" = "$1" ] || break
    say file "$1" file "$mode" "$owner" "${sum%% *}" ""
    states=${states#*"$newline"}; sums=${sums#*"$newline"}
    shift
  done
  for path in "$@"; do file "$path"; done
}
folders() {
  for path in "$@"; do
    shift
    if [ -d "$path" ]; then set -- "$@" "$path"; else file "$path"; fi
  done
  [ $# -gt 0 ] || return 0
  states=$(stat -Lc '%a %U %n' "$@" 2>/dev/null)
  while [ $# -gt 0 ]; do
    state "${states%%"$newline"*}" "$1" || break
    say file "$1" directory "$mode" "$owner" "" ""
    states=${states#*"$newline"}
    shift
  done
  for path in "$@"; do folder "$path"; done
}
# Whether it is there is all that is asked of what was made; an initrd is large.
made() {
  if ! [ -f "$1" ] || [ -L "$1" ]; then file "$1"; return 0; fi
  state "$(stat -c '%a %U %n' "$1")" "$1"
  say file "$1" file "$mode" "$owner" "" ""
}
unit() { say unit "$1" "$(systemctl is-enabled "$1" 2>/dev/null)" "$(systemctl is-active "$1" 2>/dev/null)"; }
count() { count=$#; }
# Not `systemctl show`: it tells what systemd read, `is-enabled` what is on disk.
units() {
  enabled=$(systemctl is-enabled "$@" 2>/dev/null); active=$(systemctl is-active "$@" 2>/dev/null)
  count $enabled; [ $count = $# ] && count $active
  if [ $count != $# ]; then
    for unit in "$@"; do unit "$unit"; done
    return 0
  fi
  for unit in "$@"; do
    say unit "$unit" "${enabled%%"$newline"*}" "${active%%"$newline"*}"
    enabled=${enabled#*"$newline"}; active=${active#*"$newline"}
  done
}
# A file of a unit that was put there counts for nothing before systemd has read it: one answer for each unit.
unread() {
  answers=$(systemctl show -p NeedDaemonReload --value "$@" 2>/dev/null)
  count $answers
  if [ $count != $# ]; then
    [ $# = 1 ] || for unit in "$@"; do unread "$unit"; done
    return 0
  fi
  for answer in $answers; do
    [ "$answer" != yes ] || say unread "$1"
    shift
  done
}
gate() {
  # Not as a condition: there bash takes no notice of `set -e`.
  evidence=$( (set -eu; eval "$2") 2>&1 )
  case $? in 0) holds=yes ;; *) holds=no ;; esac
  [ ${#evidence} -le 300 ] || evidence=$(printf %s "$evidence" | tail -n 1 | cut -c1-300)
  ascii "${evidence##*"$newline"}"
  say gate "$1" $holds "$ascii"
}
print() { say print "$1" "${2%"${2#????????????????}"}"; }
"""
)

MACHINE = rf"""
. /etc/os-release 2>/dev/null
say os "${{ID:-unknown}}${{VERSION_ID:-}}"
kernel=$(uname -rm)
say arch "${{kernel##* }}"
say kernel "${{kernel% *}}"
say page_size "$(getconf PAGE_SIZE)"
first /proc/cmdline; ascii "$first"; say cmdline "$ascii"
first /proc/sys/kernel/random/boot_id; say boot_id "$first"
first /etc/machine-id; say machine_id "$first"
say root "$user"
say state "$(systemctl is-system-running 2>/dev/null)"
[ ! -e {LAB_MARK} ] || say lab yes
if [ -e {STANDINS_MARK} ]; then
  first {STANDINS_MARK}; ascii "$first"; say standins "$ascii"
  # What may be empty comes last: a shell's `read` takes two tabs for one.
  dpkg-query -W -f='${{db:Status-Status}}\t${{Package}}\t${{{STANDS_FOR}}}\n' 2>/dev/null |
    while IFS="$tab" read -r installed name what; do
      case $installed in installed | half-* | unpacked | triggers-*) ;; *) continue ;; esac
      [ -n "$what" ] || continue
      ascii "$what"; what=$ascii; ascii "$name"; say standin "$ascii" "$what"
    done
fi
if [ -e /run/systemd/container ] || [ -e /.dockerenv ] || systemd-detect-virt -cq 2>/dev/null; then
  for limit in boot modules sysctl; do say limit $limit; done
fi
[ ! -f {STATE}/reboot-due ] || {{ first {STATE}/reboot-due; say reboot_due "$first"; }}
for image in /boot/vmlinuz-*; do
  [ -f "$image" ] || continue
  release=${{image#/boot/vmlinuz-}}
  initrd=no; [ -s "/boot/initrd.img-$release" ] && initrd=yes
  modules=no; [ -d "/lib/modules/$release" ] && modules=yes
  say boot_kernel "$release" $initrd $modules
done
for device in /sys/bus/pci/devices/*; do
  first "$device/vendor"; [ "$first" = 0x10de ] && [ ! -e "$device/physfn" ] || continue
  first "$device/device"; id=$first
  first "$device/class"
  driver=; if cd -P "$device/driver" 2>/dev/null; then driver=${{PWD##*/}}; cd /; fi
  say pci "${{device##*/}}" 10de "$id" "$first" "$driver"
done
for stamp in {STATE}/derived/*; do [ ! -f "$stamp" ] || {{ first "$stamp"; say stamp "${{stamp##*/}}" "$first"; }}; done
lines=; [ ! -f {LEDGER} ] || lines=$(tail -n {LEDGER_LINES} {LEDGER})
[ -z "$lines" ] || while IFS= read -r line; do ascii "$line"; say ledger "$ascii"; done <<LEDGER
$lines
LEDGER
"""

STEADY = f"""if [ "$user" = 0 ]; then
{LOCK}
else say hidden lock "without root a change may be under way while this is read"; fi"""


def probe_program(plan: Plan | None = None, globs: Sequence[str] = (), default_kernel: str = "") -> str:
    """The program that reads a node.

    Args:
        plan: what to look at beyond the machine itself; None for a first reading.
        globs: package names (shell patterns) whose offered versions are asked for; only in a first reading.
        default_kernel: sh of the platform that prints the release started by default.
    """
    lines = [MACHINE]
    if default_kernel:
        lines.append(f'default=$( ({default_kernel}) 2>/dev/null)\nsay default_kernel "${{default##*"$newline"}}"')
    if plan is not None:
        told = f"trial=$( {trial_boot.tried()} 2>/dev/null) && say trial $trial"
        lines.append(f"if [ -s {trial_boot.RECORD} ]; then {told}; fi")
        lines += questions(plan)
    if globs:
        lines += [
            f"( {apt.offers(globs)} ) 2>/dev/null |",
            'while IFS="$tab" read -r name version; do say offer "$name" "$version"; done',
            f'{apt.lists_missing().rstrip()} 2>/dev/null && say hidden offers "no package lists are there"',
            "say offered",
        ]
    # In one piece: a packet for each line costs the controller more than all else that it does with an answer.
    return program(
        "\n".join([FUNCTIONS, ALONE, STEADY, "answer() {", *lines, "}", """printf '%s\\nEND\\n' "$(answer)\""""])
    )


def questions(plan: Plan) -> list[str]:
    """The lines that ask for what a plan names, and for nothing else."""
    resources = [entry.resource for entry in plan.entries]
    files = [path for r in resources for path in paths(r)]
    outputs = [path for r in resources if isinstance(r, Derived) for path in r.outputs if path not in files]
    return [
        *_together("files", files),
        *_together("folders", [r.path for r in resources if isinstance(r, Directory)]),
        *(f"made {quote(path)}" for path in outputs),
        *_together("units", [r.unit for r in resources if isinstance(r, Unit)]),
        *_together("unread", list(dict.fromkeys(unit for r in resources for unit in units_of(r)))),
        *fingerprints(plan),
        *(line for r in resources for line in asked_alone(r)),
        *_gpus(resources),
        *_packages(plan),
    ]


def _together(command: str, names: Sequence[str]) -> list[str]:
    """Few commands for many names; not one, because a shell walks through its arguments in quadratic time."""
    batches = [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]
    return [f"{command} {' '.join(map(quote, batch))}" for batch in batches]


def _gpus(resources: Sequence[Resource]) -> list[str]:
    """One question for all of them, because nvidia-smi opens every GPU for each."""
    wanted = [resource for resource in resources if isinstance(resource, GpuSetting)]
    names = dict.fromkeys(field for one in wanted for field in gpus.fields(one))
    return [ASK_GPUS, f"ask_gpus {','.join(names)}"] if names else []


def _packages(plan: Plan) -> list[str]:
    sets = [entry.resource for entry in plan.entries if isinstance(entry.resource, Packages)]
    names = dict.fromkeys(name for one in sets for name in (*(p.name for p in one.packages), *one.metas))
    columns = "package\\t${Package}\\t${db:Status-Abbrev}\\t${Version}\\n"
    return [f"dpkg-query -W -f='{columns}' {' '.join(map(quote, names))} 2>/dev/null || :"] if names else []


BOOT_ID = """printf 'boot_id\\t'; cat /proc/sys/kernel/random/boot_id
printf 'state\\t'; systemctl is-system-running 2>/dev/null || :"""
"""The smallest question: which boot is this? Asked while a reboot is waited for, without the lock."""

__all__ = ["BOOT_ID", "probe_program"]
