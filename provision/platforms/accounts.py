"""Users and groups through passwd's own programs. Every function returns POSIX sh."""

from __future__ import annotations

from provision.model import Group, User
from provision.platforms.shell import program


def group(wanted: Group) -> str:
    body = """\
getent group "$group" >/dev/null || groupadd $system "$group" || die "group $group cannot be made"
"""
    return program(body, group=wanted.group, system="--system" if wanted.system else "")


def user(wanted: User) -> str:
    """An account of its own group; its further groups must be there. None is taken from it."""
    body = """\
for each in $groups; do
    getent group "$each" >/dev/null || die "user $user should belong to group $each, which is not there"
done
if ! getent passwd "$user" >/dev/null; then
    if getent group "$user" >/dev/null; then own="-g $user"; else own=--user-group; fi
    useradd $system $own ${shell:+-s "$shell"} "$user" || die "user $user cannot be made"
fi
[ -z "$shell" ] || [ "$(getent passwd "$user" | cut -d : -f 7)" = "$shell" ] || usermod -s "$shell" "$user" ||
    die "user $user cannot be given the shell $shell"
for each in $groups; do
    id -Gn "$user" | tr ' ' '\\n' | grep -qxF -e "$each" || usermod -a -G "$each" "$user" ||
        die "user $user cannot be put into group $each"
done
"""
    return program(
        body,
        user=wanted.user,
        system="--system" if wanted.system else "",
        groups=" ".join(wanted.groups),
        shell=wanted.shell or "",
    )
