"""What a Debian-family node boots: initrds, the default kernel, GRUB's menu, and a kernel taken off again.

Every function returns POSIX sh. Programs that change run as root; tests need no root, exit 0 or 1 and print one line.
Seen with initramfs-tools 0.148, linux-base 4.12 and GRUB 2.12 of Debian 13 (2026-11-21).
"""

from __future__ import annotations

from collections.abc import Sequence

from provision.model import digest
from provision.model.places import STATE
from provision.platforms import apt
from provision.platforms.shell import program

TRIAL_WORD = "provision.trial"
"""On the command line of a kernel that is on trial, and of no other. Its value tells which arguments are tried."""

TRIAL_ENTRY = "provision-trial"
"""The id of the menu entry that starts a kernel on trial."""

PANIC_SECONDS, WATCHDOG_SECONDS = 10, 60

RECORD = f"{STATE}/trial"
"""What was last put on trial: its release, the boot in which that was ordered, and a fingerprint of it, or `good`."""

ARGUMENTS = "/etc/default/grub.d/zz-provision-kernel-arguments.cfg"
"""The words that every kernel of the menu gets. There only where there are any, and only words that were proven."""

DEAD_MAN = "/run/provision-trial"
"""Process id of the dead man, who resets a trial that nobody confirms. The initrd writes it, so not in our folder."""

# An image that a power cut left full of zeros has its length: so its first bytes are looked at (cpio, gzip, zstd, xz,
# lzma, lz4, lzop, bzip2).
_KERNELS = """\
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

_COMPLETE = """\
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
_IMAGE = """\
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
_MENU = """\
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
# The dead man started in the initrd; what he would write to is open, so only his death keeps him from it.
confirm() {
    [ -s "$dead_man" ] || return 0
    kill $(cat "$dead_man") 2>/dev/null || :
    rm -f "$dead_man"
    echo "the trial of the running kernel, $(uname -r), is confirmed"
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

# The arguments of the default: `$words`, as the drop-in that gives them has them (`$given`).
_ARGUMENTS = """\
missing() {
    read -r line </proc/cmdline
    for word in $words; do
        case " $line " in *" $word "*) ;; *) echo "$word"; return 0 ;; esac
    done
    return 1
}
are_default() {
    [ "$(cat "$arguments" 2>/dev/null)" = "$given" ]
}
# Where no kernel gets words of ours, those of the running kernel prove themselves.
are_settled() {
    are_default || { [ ! -e "$arguments" ] && ! missing >/dev/null; }
}
"""

# Until the menu has them, the drop-in says so: a cut in between leaves what a rerun takes up again.
_GIVE = """\
put() {
    printf '%s\\n' "$2" >"$1.new"
    sync "$1.new"
    mv -f "$1.new" "$1"
    sync "${1%/*}"
}
found_good() {
    [ -s "$record" ] || return 0
    read -r tried ordered was <"$record"
    [ "$tried" != "$release" ] || put "$record" "$tried $ordered good"
}
give() {
    ! reason=$(incompleteness) || die "no boot menu is written: $reason"
    mkdir -p "${arguments%/*}"
    put "$arguments" "# Not in the boot menu yet.
$given"
    write_menu
    if [ -n "$given" ]; then
        line=$(entries | awk -F '\\t' -v entry="$(entry_of "$release")" '$1 == entry { print $5 }')
        case "$line " in
        *" $words "*) ;;
        *) die "the boot menu has no $words: a file behind $arguments sets GRUB_CMDLINE_LINUX_DEFAULT anew" ;;
        esac
        put "$arguments" "$given"
    else
        rm -f "$arguments"
    fi
    sync "${arguments%/*}"
}
"""

# GRUB writes its environment block in place, and can do so on plain partitions and plain file systems only: these
# lists are those of grub-mkconfig's own 00_header (check_writable, grub-common 2.12, read 2026-11-21).
_TRIAL = """\
cannot_clear() {
    command -v grub-probe >/dev/null || { echo 'there is no GRUB on this node'; return 0; }
    for layer in $(grub-probe --target=abstraction /boot/grub 2>/dev/null); do
        case $layer in
        diskfilter | lvm)
            echo "/boot/grub lies on $layer, which GRUB cannot write"
            return 0
            ;;
        esac
    done
    kind=$(grub-probe --target=fs /boot/grub 2>&1) || {
        echo "grub-probe cannot tell what /boot/grub lies on: $kind"
        return 0
    }
    case $kind in
    btrfs | cpiofs | newc | odc | romfs | squash4 | tarfs | zfs) echo "/boot/grub is $kind, which GRUB cannot write" ;;
    *) return 1 ;;
    esac
}
guarded() {
    awk -v wanted="$trial_entry" '
        index($0, "menuentry ") && index($0, "\\047" wanted "\\047") { inside = 1 }
        inside { print }
        inside && /^[ \\t]*}[ \\t]*$/ { exit }' "$menu"
}
# What a trial starts, in a few bytes: the same again is not tried again.
mark() {
    { stat -c '%n %s %y %i' "/boot/vmlinuz-$1" "/boot/initrd.img-$1" 2>&1; guarded; } | sha256sum | cut -c1-16
}
"""

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

_JUDGES = (apt.STATES, apt.AUDIT, _KERNELS, _COMPLETE)


def initrd(release: str) -> str:
    """Build the initrd of kernel `release`, and that of any other kernel in /boot that lacks one. No boot menu."""
    body = """\
[ -s "/boot/vmlinuz-$release" ] || die "kernel $release is not installed: there is no /boot/vmlinuz-$release"
image "$release"
other_images "$release"
! reason=$(flaw "$release") || die "$reason"
echo "initrd of kernel $release: $(stat -c %s "/boot/initrd.img-$release") bytes"
"""
    return program(_KERNELS, _IMAGE, body, release=release)


def complete() -> str:
    """Test: every kernel in /boot can boot (initrd, modules), the default links resolve, dpkg is consistent."""
    body = """\
! incompleteness || exit 1
set -- $(releases)
echo "$# kernel(s) in /boot, each with initrd and modules: $*"
"""
    return program(*_JUDGES, body)


def boot_menu() -> str:
    """Write GRUB's menu, but only when `complete` holds; a node without GRUB is left alone.

    Where the menu follows a saved entry and none was ever saved, the running kernel is saved.
    """
    body = """\
! reason=$(incompleteness) || die "no boot menu is written: $reason"
write_menu
"""
    return program(*_JUDGES, _MENU, body)


def default_release() -> str:
    """Print the release that boots by default: by GRUB's menu, or by the /vmlinuz link where there is no menu."""
    body = """\
found=$(default_release)
[ -n "$found" ] || die 'nothing tells which kernel boots by default'
echo "$found"
"""
    return program(_MENU, body)


def set_default(release: str, words: Sequence[str] = ()) -> str:
    """Make `release` with these words what GRUB boots by default. Wants GRUB_DEFAULT=saved and an entry in the menu.

    If it is the running kernel, and on trial, that trial is confirmed first: the node no longer reboots by itself. Cut
    anywhere, the node boots what it booted before or what it should, and the same again finishes.
    """
    body = """\
if [ "$release" = "$(uname -r)" ]; then
    found_good
    confirm
fi
are_default || give
set_default "$release"
echo "$release boots by default${words:+ with }$words: $entry"
"""
    values = {"release": release, "dead_man": DEAD_MAN, "record": RECORD, **_arguments(words)}
    return program(*_JUDGES, _MENU, _ARGUMENTS, _GIVE, body, **values)


def trial(release: str, words: Sequence[str] = ()) -> str:
    """Make GRUB boot `release` with these words once, by its guarded entry. All else ends in the default, saved first.

    That default is what was saved before, or else the running kernel; it is `release` only with words that it runs
    with. What is tried is written down on the node before GRUB is told, so that nobody tries the same again unasked.
    """
    body = """\
[ -s "$menu" ] || die "there is no boot menu on this node ($menu)"
! reason=$(cannot_clear) || die "kernel $release cannot be tried: $reason, so every boot would be the trial"
back=$(saved saved_entry)
[ -z "$back" ] || back=$(release_of "$back" nothing)
if [ -z "$back" ] || [ "$back" = "$release" ]; then back=$(uname -r); fi
[ "$back" != "$release" ] || ! are_default ||
    die "kernel $release cannot be tried: it is the default and runs; nothing to fall back to"
set_default "$back"
guarded | grep -F "/vmlinuz-$release " | grep -qF " $trial_word;" ||
    die "the boot menu has no guarded entry ($trial_entry) for kernel $release${words:+ with }$words"
printf '%s %s %s\\n' "$release" "$(cat /proc/sys/kernel/random/boot_id)" "$(mark "$release")" >"$record.new"
sync "$record.new"
mv -f "$record.new" "$record"
# With this set, left by a start without initrd that failed, Ubuntu's menu overrules the one-time entry (its 00_header
# in a grub.cfg of Ubuntu 23.10, read 2026-11-21).
grub-editenv "$environment" unset initrdfail &&
    grub-reboot "$trial_entry" && [ "$(saved next_entry)" = "$trial_entry" ] || {
    rm -f "$record"
    die "grub-reboot '$trial_entry' failed: $environment cannot be written"
}
echo "the next boot tries $release${words:+ with }$words, once; after that $back"
"""
    values = {"release": release, "trial_entry": TRIAL_ENTRY, "trial_word": trial_word(words), "record": RECORD}
    return program(_MENU, _TRIAL, _ARGUMENTS, body, **values, **_arguments(words))


def tried() -> str:
    """Print `release<TAB>boot_id<TAB>same|changed` of the last trial; nothing where there was none."""
    body = """\
[ -s "$record" ] || exit 0
read -r release boot_id was <"$record"
[ -n "$was" ] || exit 1
now=same
[ "$(mark "$release")" = "$was" ] || now=changed
printf '%s\\t%s\\t%s\\n' "$release" "$boot_id" "$now"
"""
    return program(_MENU, _TRIAL, body, trial_entry=TRIAL_ENTRY, record=RECORD)


def can_be_tried(release: str, words: Sequence[str] = ()) -> str:
    """Test: GRUB can start `release` once and forget it; or that kernel, with its words, runs and is the default."""
    body = """\
if [ "$(uname -r)" = "$release" ] && [ "$(default_release)" = "$release" ] && are_settled; then
    echo "kernel $release runs already"
    exit 0
fi
! cannot_clear || exit 1
echo 'GRUB can clear a one-time entry here'
"""
    return program(_MENU, _TRIAL, _ARGUMENTS, body, release=release, **_arguments(words))


def started_with(words: Sequence[str]) -> str:
    """Test: every word is on the running kernel's command line, and what boots by default was proven with just these.

    So it fails where the default has words that are not among these, until a trial without them has come up.
    """
    body = """\
! word=$(missing) || { echo "the kernel was started without $word"; exit 1; }
if are_settled; then
    echo "started with ${words:-no words of ours}"
    exit 0
fi
read -r line </proc/cmdline
case " $line " in
*" $trial_word "*) echo "on trial with ${words:-no words of ours}" ;;
*) echo "what boots by default has other words than ${words:-none}, and these were not tried"; exit 1 ;;
esac
"""
    return program(_ARGUMENTS, body, trial_word=trial_word(words), **_arguments(words))


def trial_word(words: Sequence[str]) -> str:
    """What a trial with these words has on its command line."""
    return f"{TRIAL_WORD}={digest(' '.join(words))}"


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


def _arguments(words: Sequence[str]) -> dict[str, str]:
    """The values that `_ARGUMENTS` wants."""
    return {"words": " ".join(words), "arguments": ARGUMENTS, "given": arguments(words).rstrip("\n")}


# `boot` returns only when it failed, and so does a `linux` or `initrd` that reads garbage; without `insmod` first, a
# file system that went bad could not give the command that leaves it. What the entry holds is the distribution's own.
_ENTRY = """\
#!/bin/sh
# Written by provision: the menu entry that starts a kernel on trial, once. It is the distribution's own entry, guarded:
# whatever cannot be loaded or started ends in a reset, and the default is booted. It has arguments of its own: those
# that every kernel gets from us are taken away.
[ -e /boot/vmlinuz-{release} ] || exit 0
ours=$(
    GRUB_CMDLINE_LINUX_DEFAULT=
    [ ! -r {arguments} ] || . {arguments}
    printf '%s' "$GRUB_CMDLINE_LINUX_DEFAULT"
)
line="$GRUB_CMDLINE_LINUX_DEFAULT "
[ -z "$ours" ] || case $line in *"$ours "*) line="${{line%"$ours "*}} ${{line##*"$ours "}}" ;; esac
line="${{line}}{given}"
export GRUB_CMDLINE_LINUX_DEFAULT="${{line% }}"
entry=$(for part in /etc/grub.d/10_linux /etc/grub.d/10_linux_zfs; do
    [ ! -x "$part" ] || "$part" 2>/dev/null
done | awk '
    done {{ next }}
    !inside && index($0, "\\047gnulinux-{release}-advanced-") {{
        inside = 1
        print "menuentry \\047Trial of {release} (provision)\\047 $menuentry_id_option \\047{entry}\\047 {{"
        print "\\tinsmod reboot"
        next
    }}
    !inside || $1 == "recordfail" || $1 == "savedefault" {{ next }}
    $1 ~ /^linux(16|efi)?$/ {{ sub(/^[ \\t]*/, ""); print "\\tif " $0 " {words}; then"; next }}
    $1 ~ /^initrd(16|efi)?$/ {{ sub(/^[ \\t]*/, ""); print "\\tif " $0 "; then"; print "\\tboot"; print "\\tfi"; next }}
    /^[ \\t]*}}[ \\t]*$/ {{ print "\\tfi"; print "\\treboot"; print "}}"; done = 1; next }}
    {{ print }}')
# A package's update-grub runs this too, so a bad entry must not make it fail: it is left out, and nothing can be tried.
if ! told=$(printf '%s\\n' "$entry" | grub-script-check 2>&1); then
    echo "provision: no entry for a trial of {release}, because GRUB could not read it: $told" >&2
    exit 0
fi
printf '%s\\n' "$entry"
"""


def trial_entry(release: str, words: Sequence[str] = ()) -> str:
    """The text of a script of /etc/grub.d that writes the guarded entry of a kernel, with these words of ours only.

    `release` and `words` are checked by the model to hold nothing that sh, awk or GRUB takes for something else.
    `panic=` covers a panic; a hardware watchdog that PID 1 feeds covers a kernel that hangs after PID 1 has started.
    """
    guard = f"panic={PANIC_SECONDS} systemd.watchdog_sec={WATCHDOG_SECONDS} {trial_word(words)}"
    given = " ".join(words)
    return _ENTRY.format(release=release, entry=TRIAL_ENTRY, words=guard, given=given, arguments=ARGUMENTS)


def dead_man(seconds: int) -> str:
    """The text of an initramfs-tools script (init-top) that resets a trial which nobody confirms within `seconds`.

    It starts in the initrd and lives on behind it, so it covers a hang at any stage, a lost network and a dead
    controller. Its program and /proc are gone by then: so the file it writes to is open, and `echo` is the shell's own.
    """
    return f"""\
#!/bin/sh
# Written by provision: a kernel on trial ({TRIAL_WORD} on its command line) is reset unless it is confirmed in time.
[ "$1" != prereqs ] || exit 0
read -r line </proc/cmdline
case " $line " in
*" {TRIAL_WORD}="*) ;;
*) exit 0 ;;
esac
(
    exec 3>/proc/sysrq-trigger 4>/dev/kmsg </dev/null >/dev/null 2>&1
    sleep {seconds}
    echo "<1>provision: this trial of a kernel was not confirmed in time, resetting" >&4
    echo s >&3
    echo u >&3
    while [ "${{turns:=0}}" -lt 60000 ]; do turns=$((turns + 1)); done
    echo b >&3
) &
echo $! >{DEAD_MAN}
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
    return program(*_JUDGES, _MENU, _PURGE, body, release=release, keep=str(keep))


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
    return program(*_JUDGES, _IMAGE, _MENU, _PURGE, body, release=release)
