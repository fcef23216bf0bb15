"""A kernel taken off again: old ones behind a promotion, and one for which modules do not build.

Every function returns POSIX sh. Programs that change run as root; tests need no root, exit 0 or 1 and print one line.
Seen with initramfs-tools 0.148, linux-base 4.12 and GRUB 2.12 of Debian 13 (2026-11-21).
"""

from __future__ import annotations

from provision.platforms import boot
from provision.platforms.shell import program

# Of the kernel `$release`: its packages, and what else goes with them.
_PURGE = """\
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1
packages() {
    {
        dpkg-query -S "/boot/vmlinuz-$release" "/lib/modules/$release/*" "/usr/lib/modules/$release/*" 2>/dev/null |
            sed -n '/^diversion by/d; s/: \\/.*//p' | tr -d ' ' | tr ',' '\\n'
        dpkg-query -W -f '${db:Status-Abbrev}|${Package}\\n' "linux-*-$release" 2>/dev/null |
            awk -F '|' 'substr($1, 2, 1) != "n" { print $2 }'
    } | sed 's/:.*//' | sort -u
}
purge() {
    # What depends on the kernel goes with it: the metapackages that would bring it back.
    gone=$(apt-get -s purge $1 2>/dev/null | awk '$1 == "Purg" || $1 == "Remv" { print $2 }' | sort -u)
    gone=$(printf '%s\\n' ${gone:-$1})
    strange=$(printf '%s\\n' "$gone" | grep -v '^linux-') || strange=
    if [ -n "$strange" ]; then
        echo "to take kernel $release off, these would go as well:" $strange
        return 1
    fi
    apt-mark -qq unhold $gone || :
    apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o APT::Get::AutomaticRemove=false \\
        --allow-change-held-packages purge $gone || dpkg --purge --force-depends $gone
}
leftovers() {
    rm -f "/boot/initrd.img-$release" "/boot/initrd.img-$release".*
    [ ! -d "/lib/modules/$release" ] || find "/lib/modules/$release/" -depth -type d -empty -delete
}
"""


def prune(release: str, keep: int) -> str:
    """Take off old kernels, once `release` runs and is the default: all but it and the newest `keep` others.

    One that no package owns, that others than kernel packages depend on, or that is incomplete stays and is named.
    """
    body = """\
[ "$(uname -r)" = "$release" ] || die "kernel $release does not run: old kernels stay"
[ ! -s "$menu" ] || [ "$(default_release)" = "$release" ] || die "kernel $release is not the default: old kernels stay"
target=$release
set -- $(releases | grep -v -x -F -e "$target")
while [ $# -gt "$keep" ]; do
    release=$1
    shift
    what=$(packages)
    [ -n "$what" ] || { echo "kernel $release stays: no package owns it"; continue; }
    purge "$what" || { echo "kernel $release stays"; continue; }
    leftovers
    echo "kernel $release is taken off"
done
! reason=$(incompleteness) || die "$reason"
[ ! -s "$menu" ] || write_menu
echo "kernels in /boot: $(releases | tr '\\n' ' ')"
"""
    return program(*boot.JUDGES, boot.MENU, _PURGE, body, release=release, keep=str(keep))


def withdraw(release: str) -> str:
    """After a failed module build: leave a node that boots. Its last line says what was done.

    Kernel `release` is purged, with its headers and the packages that pull it in, when another complete kernel is here
    and it is not the running one; otherwise it is completed and stays.
    """
    body = """\
configure() {
    dpkg --force-confdef --force-confold --configure -a || echo "dpkg left unfinished: $(unfinished)"
}
others() {
    releases | grep -v -x -F -e "$release"
}
# What boots by default now; or else the running kernel, which is known to boot; or else the newest.
survivor() {
    found=
    for each in $(others) $(others | grep -x -F -e "$(uname -r)") $(others | grep -x -F -e "$(default_release)"); do
        flaw "$each" >/dev/null || found=$each
    done
    printf '%s' "$found"
}
links() {
    for dir in / /boot/; do
        [ -L "${dir}vmlinuz" ] || continue
        [ ! -e "${dir}vmlinuz" ] || [ ! -e "${dir}initrd.img" ] || continue
        ln -sfn "/boot/vmlinuz-$1" "${dir}vmlinuz"
        ln -sfn "/boot/initrd.img-$1" "${dir}initrd.img"
    done
}
menu() {
    [ -s "$menu" ] || return 0
    write_menu
    ! follows_saved || [ "$(release_of "$(saved saved_entry)" nothing)" = "$1" ] || set_default "$1"
}
stay() {
    configure
    [ ! -s "/boot/vmlinuz-$release" ] || image "$release"
    ! reason=$(incompleteness) || die "kernel $release stays ($1), and this node may not boot: $reason"
    [ ! -s "$menu" ] || write_menu
    echo "kernel $release stays, complete with its initrd: $1"
    exit 0
}

other_images "$release"
to=$(survivor)
[ -n "$to" ] || stay 'there is no other complete kernel'
[ "$release" != "$(uname -r)" ] || stay 'it is the running kernel'
what=$(packages)
words='is not on this node'
if [ -n "$what" ]; then
    words='taken off again'
    purge "$what" || stay 'its packages cannot be taken off'
fi
[ ! -e "/boot/vmlinuz-$release" ] || stay 'no package owns it'
leftovers
configure
other_images "$release"
links "$to"
! reason=$(incompleteness) || die "kernel $release is taken off, but $reason"
menu "$to"
echo "kernel $release $words; $to stays the default"
"""
    return program(*boot.JUDGES, boot.IMAGE, boot.MENU, _PURGE, body, release=release)
