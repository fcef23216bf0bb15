"""The probe: one POSIX-sh program over standard input, one round trip, no root needed (root sees more).

Every line it prints is `KEY<TAB>field...`; control characters in a field are replaced, so a hostile value stays one
field, and what others wrote is reduced to ASCII, because paramiko ends a whole answer at a byte that is not UTF-8. The
last line is `END`; without it the answer counts as cut short.
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from provision.model import Derived, Directory, File, Gate, Packages, Plan, Unit
from provision.model.places import LAB_MARK, STATE
from provision.platforms import apt
from provision.probe.fingerprint import fingerprint
from provision.probe.remote import LOCK, SAY, program

LEDGER_LINES = 8

FUNCTIONS = (
    SAY
    + r"""
absent() {
  folder=${1%/*}
  while [ -n "$folder" ] && ! [ -e "$folder" ]; do folder=${folder%/*}; done
  [ -x "${folder:-/}" ] || say hidden "file $1" "not readable for this user"
}
file() {
  [ -e "$1" ] || [ -L "$1" ] || { absent "$1"; return 0; }
  mode=$(stat -c %a "$1"); owner=$(stat -c %U "$1")
  if [ -L "$1" ]; then say file "$1" symlink "$mode" "$owner" "" "$(readlink "$1" | plain)"
  elif [ -d "$1" ]; then say file "$1" directory "$mode" "$owner" "" ""
  elif ! [ -f "$1" ]; then say file "$1" other "$mode" "$owner" "" ""
  elif [ -r "$1" ]; then say file "$1" file "$mode" "$owner" "$(sha256sum <"$1" | cut -c1-64)" ""
  else say hidden "file $1" "not readable for this user"
  fi
}
folder() {
  if [ -d "$1" ]; then say file "$1" directory "$(stat -Lc %a "$1")" "$(stat -Lc %U "$1")" "" ""; else file "$1"; fi
}
unit() { say unit "$1" "$(systemctl is-enabled "$1" 2>/dev/null)" "$(systemctl is-active "$1" 2>/dev/null)"; }
gate() {
  # Not as a condition: there bash takes no notice of `set -e`.
  evidence=$( (set -eu; eval "$2") 2>&1 )
  case $? in 0) holds=yes ;; *) holds=no ;; esac
  say gate "$1" $holds "$(printf %s "$evidence" | tail -n 1 | cut -c1-300 | plain)"
}
first() { IFS= read -r value <"$1" 2>/dev/null && printf %s "$value"; }
"""
)

MACHINE = rf"""
. /etc/os-release 2>/dev/null
say os "${{ID:-unknown}}${{VERSION_ID:-}}"
say arch "$(uname -m)"
say kernel "$(uname -r)"
say page_size "$(getconf PAGE_SIZE)"
say cmdline "$(first /proc/cmdline | plain)"
say boot_id "$(first /proc/sys/kernel/random/boot_id)"
say machine_id "$(first /etc/machine-id)"
say root "$(id -u)"
say state "$(systemctl is-system-running 2>/dev/null)"
[ ! -e {LAB_MARK} ] || say lab yes
if systemd-detect-virt -cq 2>/dev/null || [ -e /run/systemd/container ] || [ -e /.dockerenv ]; then
  for limit in boot modules sysctl; do say limit $limit; done
fi
[ ! -f {STATE}/reboot-due ] || say reboot_due "$(first {STATE}/reboot-due)"
for image in /boot/vmlinuz-*; do
  [ -f "$image" ] || continue
  release=${{image#/boot/vmlinuz-}}
  initrd=no; [ -s "/boot/initrd.img-$release" ] && initrd=yes
  modules=no; [ -d "/lib/modules/$release" ] && modules=yes
  say boot_kernel "$release" $initrd $modules
done
for device in /sys/bus/pci/devices/*; do
  IFS= read -r vendor 2>/dev/null <"$device/vendor" || continue
  [ "$vendor" = 0x10de ] || continue
  driver=$(readlink "$device/driver" 2>/dev/null); driver=${{driver##*/}}
  say pci "${{device##*/}}" 10de "$(first "$device/device")" "$(first "$device/class")" "$driver"
done
for stamp in {STATE}/derived/*; do [ ! -f "$stamp" ] || say stamp "${{stamp##*/}}" "$(first "$stamp")"; done
[ ! -f {STATE}/ledger ] || tail -n {LEDGER_LINES} {STATE}/ledger | plain |
  while IFS= read -r line; do say ledger "$line"; done
"""

STEADY = f"""if [ "$(id -u)" = 0 ]; then
{LOCK}
else say hidden lock "without root a change may be under way while this is read"; fi"""


def probe_program(plan: Plan | None = None, globs: Sequence[str] = (), default_kernel: str = "") -> str:
    """The program that reads a node.

    Args:
        plan: what to look at beyond the machine itself; None for a first reading.
        globs: package names (shell patterns) whose offered versions are asked for; only in a first reading.
        default_kernel: sh of the platform that prints the release started by default.
    """
    lines = [FUNCTIONS, STEADY, MACHINE]
    if default_kernel:
        lines.append(f'say default_kernel "$( ({default_kernel}) 2>/dev/null | tail -n 1)"')
    if plan is not None:
        lines += questions(plan)
    if globs:
        lines += [
            f"( {apt.offers(globs)} ) 2>/dev/null |",
            'while IFS="$tab" read -r name version; do say offer "$name" "$version"; done',
            "say offered",
        ]
    return program("\n".join([*lines, "echo END"]))


def questions(plan: Plan) -> list[str]:
    """The lines that ask for what a plan names, and for nothing else."""
    lines: list[str] = []
    packages: dict[str, None] = {}
    for entry in plan.entries:
        resource = entry.resource
        match resource:
            case File(path=path):
                lines.append(f"file {quote(path)}")
            case Directory(path=path):
                lines.append(f"folder {quote(path)}")
            case Packages():
                packages |= dict.fromkeys(package.name for package in resource.packages)
            case Unit():
                lines.append(f"unit {quote(resource.unit)}")
            case Derived():
                lines.append(f'say print {quote(resource.name)} "$({fingerprint(plan, resource)})"')
                lines += [f"file {quote(path)}" for path in resource.outputs]
            case Gate(precondition=False):
                lines.append(f"gate {quote(resource.name)} {quote(resource.test)}")
            case _:
                pass
    if packages:
        names = " ".join(map(quote, packages))
        columns = "package\\t${Package}\\t${db:Status-Abbrev}\\t${Version}\\n"
        lines.append(f"dpkg-query -W -f='{columns}' {names} 2>/dev/null || :")
    return lines


BOOT_ID = """printf 'boot_id\\t'; cat /proc/sys/kernel/random/boot_id
printf 'state\\t'; systemctl is-system-running 2>/dev/null || :"""
"""The smallest question: which boot is this? Asked while a reboot is waited for, without the lock."""

__all__ = ["BOOT_ID", "probe_program"]
