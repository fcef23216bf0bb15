"""What a Debian-family node boots: initrds, GRUB's menu, and what is the default.

Every function returns POSIX sh. Programs that change run as root; tests need no root, exit 0 or 1 and print one line.
Seen with initramfs-tools 0.148, linux-base 4.12 and GRUB 2.12 of Debian 13 (2026-11-21).
"""

from __future__ import annotations

from collections.abc import Sequence

from provision.platforms import apt
from provision.platforms.shell import program

ARGUMENTS = "/etc/default/grub.d/zz-provision-kernel-arguments.cfg"
"""The words that every kernel of the menu gets. There only where there are any, and only words that were proven."""

# An image that a power cut left full of zeros has its length: so its first bytes are looked at (cpio, gzip, zstd, xz,
# lzma, lz4, lzop, bzip2).
KERNELS = """\
releases() {
    for image in /boot/vmlinuz-*; do
        case $image in *'-*' | *.dpkg-* | *.old | *.bak) continue ;; esac
        printf '%s\\n' "${image##*/vmlinuz-}"
    done | sort -V
}
readable_image() {
    case $(od -A n -t x1 -N 4 "$1" 2>/dev/null | tr -d ' \\n') in
    30373037 | 1f8b* | 28b52ffd | fd377a58 | 5d00* | 04224d18 | 02214c18 | 894c5a4f | 425a68*) ;;
    *) return 1 ;;
    esac
}
flaw() {
    if [ ! -s "/boot/vmlinuz-$1" ]; then
        echo "there is no /boot/vmlinuz-$1"
    elif [ ! -s "/boot/initrd.img-$1" ]; then
        echo "/boot/vmlinuz-$1 has no /boot/initrd.img-$1"
    elif [ -r "/boot/initrd.img-$1" ] && ! readable_image "/boot/initrd.img-$1"; then
        echo "/boot/initrd.img-$1 is not an initrd"
    elif [ ! -s "/lib/modules/$1/modules.dep" ]; then
        echo "kernel $1 has no /lib/modules/$1/modules.dep"
    else
        return 1
    fi
}
"""

COMPLETE = """\
incompleteness() {
    set -- $(releases)
    [ $# -gt 0 ] || { echo 'there is no kernel in /boot'; return 0; }
    for each in "$@"; do
        ! flaw "$each" || return 0
    done
    for link in /vmlinuz /initrd.img /boot/vmlinuz /boot/initrd.img; do
        [ -L "$link" ] && [ ! -e "$link" ] || continue
        echo "$link points to $(readlink "$link"), which is not there"
        return 0
    done
    inconsistency
}
"""

# `update-initramfs -u` leaves a read-only /boot, or one told not to be updated, alone and reports success: so the
# image must be newer than its beginning. Killed, mkinitramfs leaves its tree, some 200 MB, in TMPDIR.
IMAGE = """\
scratch=/var/lib/provision/initrd
image() {
    rm -rf "$scratch" "/boot/initrd.img-$1.new"
    mkdir -p "$scratch/tmp"
    : >"$scratch/began"
    if [ -s "/boot/initrd.img-$1" ]; then how=-u; else how=-c; fi
    TMPDIR=$scratch/tmp update-initramfs "$how" -k "$1" || die "no initrd could be built for kernel $1"
    [ -n "$(find "/boot/initrd.img-$1" -newer "$scratch/began" 2>/dev/null)" ] ||
        die "update-initramfs reports success, but /boot/initrd.img-$1 is not new: is /boot read-only?"
    rm -rf "$scratch"
}
other_images() {
    for each in $(releases); do
        [ "$each" != "$1" ] || continue
        readable_image "/boot/initrd.img-$each" || image "$each"
    done
}
"""

# One line per menu entry: its path by id, by title and by number (GRUB takes any of them), the release it starts, and
# its `linux` command.
MENU = """\
menu=/boot/grub/grub.cfg
environment=/boot/grub/grubenv
entries() {
    awk '
        function quoted(text) { return match(text, /\\047[^\\047]*\\047/) ? substr(text, RSTART + 1, RLENGTH - 2) : "" }
        function path(of, i, whole) {
            whole = of[1]
            for (i = 2; i <= depth; i++) whole = whole ">" of[i]
            return whole
        }
        /^[ \\t]*(menuentry|submenu) .*[{][ \\t]*$/ {
            depth++
            title[depth] = quoted($0)
            id[depth] = /menuentry_id_option/ ? quoted(substr($0, index($0, "menuentry_id_option"))) : title[depth]
            number[depth] = count[depth]++ + 0
            count[depth + 1] = 0
            release = given = ""
            plain = /^[ \\t]*menuentry/
            next
        }
        depth && plain && $1 ~ /^linux(16|efi)?$/ && match($2, /vmlinu[xz]-.*/) {
            release = substr($2, RSTART + 8)
            given = $0
            gsub(/[ \\t]+/, " ", given)
        }
        depth && /^[ \\t]*}[ \\t]*$/ {
            if (plain) printf "%s\\t%s\\t%s\\t%s\\t%s\\n", path(id), path(title), path(number), release, given
            plain = 0
            depth--
        }' "$menu"
}
saved() {
    sed -n "s/^$1=//p" "$environment" 2>/dev/null
}
follows_saved() {
    grep -q 'set default="[$][{]saved_entry[}]"' "$menu"
}
release_of() {
    entries | awk -F '\\t' -v wanted="$1" -v otherwise="${2:-first}" '
        function named(path) { return path == wanted || (wanted != "" && index(path, wanted ">") == 1) }
        NR == 1 { first = $4 }
        !found && (named($1) || named($2) || named($3)) { print $4; found = 1 }
        END { if (!found && otherwise == "first") print first }'
}
# The simple first entry changes its kernel with every new one; the entries under `advanced` keep theirs.
entry_of() {
    entries | awk -F '\\t' -v release="$1" '
        $4 != release || $1 ~ /-recovery-/ || $2 ~ /recovery mode/ { next }
        !any { any = $1 }
        $1 ~ /-advanced-/ && !advanced { advanced = $1 }
        END { print advanced ? advanced : any }'
}
default_release() {
    if [ -s "$menu" ]; then
        if follows_saved; then
            release_of "$(saved saved_entry)"
        else
            release_of "$(sed -n 's/^[ \\t]*set default="\\(.*\\)"$/\\1/p' "$menu" | grep -v next_entry | head -n 1)"
        fi
    else
        for link in /vmlinuz /boot/vmlinuz; do
            [ -L "$link" ] || continue
            readlink "$link" | sed 's/.*vmlinuz-//'
            return 0
        done
    fi
}
set_default() {
    [ -s "$menu" ] || die "there is no boot menu on this node ($menu)"
    follows_saved || die "the boot menu does not follow a saved entry: set GRUB_DEFAULT=saved, then write the menu"
    entry=$(entry_of "$1")
    [ -n "$entry" ] || die "the boot menu has no entry for kernel $1"
    grub-set-default "$entry" || die "grub-set-default '$entry' failed: $environment cannot be written"
    [ "$(default_release)" = "$1" ] || die "after grub-set-default '$entry' the default is $(default_release), not $1"
}
# Without a saved entry the newest kernel is the default at once, before anybody tried it.
keep_default() {
    follows_saved && [ -z "$(saved saved_entry)" ] && [ -n "$(entry_of "$(uname -r)")" ] || return 0
    set_default "$(uname -r)"
    echo "the running kernel, $(uname -r), is the default until another one is chosen"
}
write_menu() {
    command -v update-grub >/dev/null && [ -d /boot/grub ] || {
        echo 'no GRUB on this node, no boot menu to write'
        return 0
    }
    update-grub || die 'update-grub failed'
    [ ! -s "$menu" ] || keep_default
}
"""

JUDGES = (apt.STATES, apt.AUDIT, KERNELS, COMPLETE)


def initrd(release: str) -> str:
    """Build the initrd of kernel `release`, and that of any other kernel in /boot that lacks one. No boot menu."""
    body = """\
[ -s "/boot/vmlinuz-$release" ] || die "kernel $release is not installed: there is no /boot/vmlinuz-$release"
image "$release"
other_images "$release"
! reason=$(flaw "$release") || die "$reason"
echo "initrd of kernel $release: $(stat -c %s "/boot/initrd.img-$release") bytes"
"""
    return program(KERNELS, IMAGE, body, release=release)


def complete() -> str:
    """Test: every kernel in /boot can boot (initrd, modules), the default links resolve, dpkg is consistent."""
    body = """\
! incompleteness || exit 1
set -- $(releases)
echo "$# kernel(s) in /boot, each with initrd and modules: $*"
"""
    return program(*JUDGES, body)


def boot_menu() -> str:
    """Write GRUB's menu, but only when `complete` holds; a node without GRUB is left alone.

    Where the menu follows a saved entry and none was ever saved, the running kernel is saved.
    """
    body = """\
! reason=$(incompleteness) || die "no boot menu is written: $reason"
write_menu
"""
    return program(*JUDGES, MENU, body)


def default_release() -> str:
    """Print the release that boots by default: by GRUB's menu, or by the /vmlinuz link where there is no menu."""
    body = """\
found=$(default_release)
[ -n "$found" ] || die 'nothing tells which kernel boots by default'
echo "$found"
"""
    return program(MENU, body)


def settings() -> str:
    """The text of a drop-in of /etc/default/grub.d: the menu follows a saved entry, and starts kernels with initrds.

    Ubuntu's cloud images set GRUB_FORCE_PARTUUID, with which 10_linux writes entries that start a kernel without its
    initrd and take it only after that has failed: no dead man, and no root on LVM or RAID. Empty is off for 10_linux
    (its text and such a menu, as published, read 2026-11-21). The whole menu: a default starts as its trial did.
    """
    return """\
# Written by provision. A kernel becomes the default only after it has been booted once and found good.
GRUB_DEFAULT=saved
GRUB_SAVEDEFAULT=false
GRUB_FORCE_PARTUUID=
"""


def arguments(words: Sequence[str]) -> str:
    """The text of a drop-in of /etc/default/grub.d that gives every kernel these words; empty where there are none.

    In GRUB_CMDLINE_LINUX_DEFAULT, which comes last on the line; recovery entries go without, as a way back in.
    """
    if not words:
        return ""
    return f'# Written by provision.\nGRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {" ".join(words)}"\n'
