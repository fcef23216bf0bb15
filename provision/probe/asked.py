"""What the probe asks about one resource that is not asked together with others of its kind."""

from __future__ import annotations

from shlex import quote

from provision.model import (
    Alternatives,
    Archive,
    BootEntry,
    Derived,
    Directory,
    File,
    Fragment,
    Gate,
    GpuSetting,
    Group,
    KernelArguments,
    Manual,
    Module,
    Packages,
    Repository,
    Resource,
    Symlink,
    Sysctl,
    Unit,
    User,
)
from provision.platforms import boot, fragment, gpus
from provision.platforms.running import in_sysfs, place
from provision.platforms.settings import files_of

FUNCTIONS = r"""
# Named like nothing that a gate's test may call.
ask_alternative() {
  chosen=$(update-alternatives --query "$1" 2>/dev/null | sed -n 's/^Status: //p; s/^Value: //p') || :
  case $chosen in *"$newline"*) say alternative "$1" "${chosen%%"$newline"*}" "${chosen#*"$newline"}" ;; esac
}
ask_fragment() {
  if ! keys=$(eval "$2" 2>&1); then ascii "$keys"; say hidden "fragment $1" "$ascii"; return 0; fi
  [ -z "$keys" ] || printf '%s\n' "$keys" |
    while IFS="$tab" read -r key value; do ascii "$value"; say fragment "$1" "$key" "$ascii"; done
}
ask_module() { [ ! -d "/sys/module/$1" ] || say loaded "$1"; }
# By cat: of a number there the kernel hands out nothing behind the first digit to a shell, which reads byte by byte.
ask_sysctl() { value=$(cat "$2" 2>/dev/null) && say sysctl "$1" "$value"; }
ask_group() { ! getent group "$1" >/dev/null || say group "$1"; }
ask_user() {
  entry=$(getent passwd "$1") || return 0
  say user "$1" "${entry##*:}" "$(id -Gn "$1")"
}
"""

ASK_GPUS = r"""
# A process of its own: the longer PATH is for it alone.
ask_gpus() (
  @SEARCHED@
  command -v nvidia-smi >/dev/null || { say hidden gpu-settings "there is no nvidia-smi"; return 0; }
  if ! answer=$(@QUERY@,"$1" 2>&1); then
    ascii "${answer##*"$newline"}"; say hidden gpu-settings "$ascii"; return 0
  fi
  printf '%s\n' "$answer" | tr -d '\t\r' | plain | awk -F ', *' -v fields="$1" '
    BEGIN { count = split(fields, field, ",") }
    NF == count + 1 { for (n = 1; n <= count; n++) print "gpu\t" $1 "\t" field[n] "\t" $(n + 1) }'
)
""".replace("@SEARCHED@", gpus.SEARCHED).replace("@QUERY@", gpus.QUERY)
"""Sent only where a plan has settings of GPUs: `ask_gpus FIELD,...`."""


def asked_alone(resource: Resource) -> tuple[str, ...]:
    """Lines of the probe for one resource."""
    match resource:
        case Alternatives(alternative=alternative):
            return (f"ask_alternative {quote(alternative)}",)
        case Fragment(name=name):
            return (f"ask_fragment {quote(name)} {quote(fragment.read(resource))}",)
        case Module(module=module):
            return (f"ask_module {quote(in_sysfs(module))}",)
        case Sysctl(settings=settings):
            return tuple(f"ask_sysctl {quote(s.key)} {quote(place(s.key))}" for s in settings)
        case Group(group=group):
            return (f"ask_group {quote(group)}",)
        case User(user=user):
            return (f"ask_user {quote(user)}",)
        case Gate(name=name, test=test, precondition=False) | Manual(name=name, test=test):
            return (f"gate {quote(name)} {quote(test)}",)
        case Packages() | File() | Directory() | Unit() | Derived() | Symlink() | Repository():
            return ()
        case Gate() | BootEntry() | KernelArguments() | Archive() | GpuSetting():
            return ()


def paths(resource: Resource) -> tuple[str, ...]:
    """Files and links that are looked at for a resource."""
    match resource:
        case Symlink(path=path):
            return (path,)
        case Alternatives(link=link):
            return (link,)
        case BootEntry():
            return (boot.ARGUMENTS,)
        case _:
            return tuple(file.path for file in files_of(resource))
