"""What a setting does at once to the running kernel. Every function returns POSIX sh."""

from __future__ import annotations

from provision.model import Module, Sysctl
from provision.platforms.shell import lines, program


def in_sysfs(module: str) -> str:
    """The kernel writes a module's name with underscores."""
    return module.replace("-", "_")


def module(wanted: Module) -> str:
    """Load it now, or take it out; nothing where only the next boot may."""
    if wanted.boot_scoped or wanted.loaded is None:
        return ":"
    if wanted.loaded:
        body = """\
[ -d "/sys/module/$loaded" ] || modprobe -- "$module" || die "$module cannot be loaded; dmesg tells more"
"""
    else:
        body = """\
[ ! -d "/sys/module/$loaded" ] || modprobe -r -- "$module" || die "$module cannot be taken out: something uses it"
[ ! -d "/sys/module/$loaded" ] || die "$module is built into the kernel"
"""
    return program(body, module=wanted.module, loaded=in_sysfs(wanted.module))


def place(key: str) -> str:
    """Where /proc has a setting."""
    return f"/proc/sys/{key.replace('.', '/')}"


def sysctl(wanted: Sysctl) -> str:
    """Read again what was written: some keys take a value without a word and keep their own."""
    body = """\
while read -r file value; do
    printf '%s\\n' "$value" >"$file" || die "$file takes no $value"
    now=$(tr -s '\\t ' '  ' <"$file")
    [ "$now" = "$value" ] || die "$file was given $value and has $now"
done <<EOF
$settings
EOF
"""
    return program(body, settings=lines(f"{place(s.key)} {s.value}" for s in wanted.settings))
