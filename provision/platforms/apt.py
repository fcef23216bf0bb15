"""apt and dpkg: programs that change the packages of a Debian-family node, and programs that judge them.

Every function returns POSIX sh. Programs that change run as root; tests need no root, exit 0 or 1 and print one line.
Behaviour was seen with apt 3.0, dpkg 1.22 and initramfs-tools 0.148 of Debian 13 (2026-11-21).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from provision.model import Package
from provision.platforms.shell import lines, program

_GLOB = re.compile(r"[a-z0-9*?][a-z0-9+.*?-]*")

STATES = """\
states() {
    dpkg-query -W -f '${db:Status-Abbrev}|${binary:Package}\\n'
}
unfinished() {
    states | awk -F '|' '
        substr($1, 2, 2) !~ /^[nci] $/ { gsub(/ /, "", $1); printf "%s%s (%s)", sep, $2, $1; sep = ", " }'
}
"""

# Who merely waits for a lock has the file open as well, so the kernel's own table is asked; an inode number alone
# may be another file system's, so the holder must have that very file open (where we may look).
_LOCKS = """\
lock_holder() {
    for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
        inode=$(stat -c %i "$lock" 2>/dev/null) || continue
        for pid in $(awk -v inode="$inode" '
                $2 != "->" { split($6, at, ":"); if (at[3] == inode) print $5 }' /proc/locks); do
            if [ -r "/proc/$pid/fd" ] && ! ls -l "/proc/$pid/fd" 2>/dev/null | grep -qF " -> $lock"; then
                continue
            fi
            printf '%s is held by %s (pid %s)\\n' "$lock" "$(cat "/proc/$pid/comm" 2>/dev/null || echo '?')" "$pid"
            return 0
        done
    done
    return 1
}
"""

# All of them or none: with half of the lists, versions would be chosen that are not the newest. The lock is waited for
# here: DPkg::Lock::Timeout does not hold for that of the lists, `update` ended at once (apt 2.6.1, seen 2026-11-21).
UPDATE = (
    _LOCKS
    + """\
wait_for_locks() {
    waited=0
    while holder=$(lock_holder); do
        [ "$waited" -lt "$patience" ] || die "waited $waited s for other package work to end, but $holder"
        [ $((waited % 20)) -ne 0 ] || printf 'waiting for other package work to end: %s\\n' "$holder"
        sleep 2
        waited=$((waited + 2))
    done
}
update_lists() {
    wait_for_locks
    apt-get -q -o Acquire::Retries=3 --error-on=any "$@" update
}
"""
)
"""`update_lists OPTION...`: fetch the package lists. For a program with `die`, and `patience` in seconds."""

_HAS_LISTS = """\
has_lists() (
    eval "$(apt-config shell lists Dir::State::lists/d)"
    ls "$lists"*_Packages* >/dev/null 2>&1
)
"""

AUDIT = """\
inconsistency() {
    left=$(unfinished)
    if [ -n "$left" ]; then
        printf 'dpkg left unfinished: %s\\n' "$left"
    elif ls /var/lib/dpkg/updates/[0-9]* >/dev/null 2>&1; then
        echo 'dpkg was interrupted: /var/lib/dpkg/updates is not empty'
    else
        audit=$(dpkg --audit 2>&1 | tr -s ' \\n' ' ')
        [ -n "$audit" ] || return 1
        printf 'dpkg --audit: %.300s\\n' "$audit"
    fi
}
"""

# Version table of `apt-cache policy`: newest first; a version line has its version in column 6, a source line a blank.
_OFFERS = (
    _HAS_LISTS
    + """\
policy() {
    apt-cache policy "$1" | awk '
        $1 == "Installed:" && $2 != "(none)" { print "installed", $2 }
        $1 == "Candidate:" && $2 != "(none)" { print "candidate", $2 }
        /^ (\\*\\*\\*|   ) [^ ]/ { print "offered", ($1 == "***" ? $2 : $1) }'
}
matching() {
    while read -r word version; do
        case $1 in "$word") ;; *) continue ;; esac
        # shellcheck disable=SC2254
        case $version in $2) printf '%s\\n' "$version"; return 0 ;; esac
    done
    return 1
}
# A version that was left half installed may be the one that is at fault: a mended one goes before it.
choose() {
    known=$(policy "$1")
    words='installed candidate offered'
    case $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) in
    half-* | unpacked) words='candidate offered' ;;
    esac
    for word in $words; do
        ! printf '%s\\n' "$known" | matching "$word" "$2" || return 0
    done
    return 1
}
not_offered() {
    versions=$(policy "$1" | awk '$1 == "offered" { printf "%s%s", sep, $2; sep = ", " }')
    has_lists || versions="${versions:+$versions; }no package lists here"
    case $2 in
    '*') printf 'no version of %s is offered%s\\n' "$1" "${versions:+ ($versions)}" ;;
    *) printf 'no version of %s matches %s; offered: %s\\n' "$1" "$2" "${versions:-none}" ;;
    esac
}
"""
)

# Maintainer scripts, triggers and kernel hooks find these before the real programs, because apt hands DPkg::Path to
# dpkg. Not in /run, which Debian mounts noexec: there a shell would silently go on to the next directory of PATH. Not
# by INITRD=No: linux-update-symlinks then takes the /initrd.img link away (linux-base 4.12.1, read 2026-11-21).
_HOLD_BACK = """\
held_back=/var/lib/provision/held-back
path=$held_back:/usr/sbin:/usr/bin:/sbin:/bin
hold_back() {
    rm -rf "$held_back"
    mkdir -p "$held_back"
    cat >"$held_back/update-initramfs" <<'EOF'
#!/bin/sh
case " $* " in
*' -d '* | *' --version '* | *' --help '*) exec /usr/sbin/update-initramfs "$@" ;;
esac
echo "update-initramfs $*: held back, images are built once, after the transaction"
EOF
    cat >"$held_back/update-grub" <<'EOF'
#!/bin/sh
echo 'update-grub: held back, the boot menu is written once, after the images'
EOF
    chmod 755 "$held_back" "$held_back"/*
    "$held_back/update-grub" >/dev/null || die "programs in $held_back do not start: is it mounted noexec?"
}
trap 'rm -rf "$held_back"' EXIT
trap 'exit 143' HUP INT TERM
"""

# The patterns are for dpkg-query: no shell may match them with files.
_HOLD = """\
hold_all() (
    set -f
    pulling=
    [ -z "$metas" ] || pulling=$(dpkg-query -W -f '${db:Status-Abbrev}|${Package}\\n' $metas 2>/dev/null |
        awk -F '|' 'substr($1, 2, 1) == "i" { print $2 }')
    [ -z "$hold$pulling" ] || apt-mark -qq hold $hold $pulling
)
"""

_TRANSACTION = """\
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none
get() {
    apt-get -q -y -o DPkg::Lock::Timeout="$patience" -o DPkg::Path="$path" -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 \\
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \\
        --no-install-recommends --allow-downgrades --allow-change-held-packages "$@"
}
configure() {
    ! PATH=$path dpkg --force-confdef --force-confold --configure -a || return 0
    printf 'dpkg --configure -a left unfinished: %s; the transaction goes on to mend it\\n' "$(unfinished)"
    refresh
}
refreshed=
refresh() {
    [ -z "$refreshed" ] || return 1
    refreshed=yes
    update_lists || echo 'apt-get update failed; going on with the lists that are here'
}
# `wanted`: name=version of every package; `due`: something of it is not installed; `problem`: what nobody offers.
resolve() {
    wanted='' due='' problem=''
    while read -r name pattern; do
        if ! version=$(choose "$name" "$pattern"); then
            problem="${problem:+$problem. }$(not_offered "$name" "$pattern")"
            continue
        fi
        wanted="$wanted $name=$version"
        now=$(dpkg-query -W -f '${db:Status-Abbrev}${Version}' "$name" 2>/dev/null) || now=
        case $now in ?"i $version") ;; *) due=yes ;; esac
    done <<EOF
$packages
EOF
    [ -z "$problem" ]
}
# A power cut while dpkg unpacks leaves iHR: neither `dpkg --configure -a` nor `apt-get -f install` mends that.
reinstall() {
    again=''
    for name in $(states | awk -F '|' 'substr($1, 3, 1) == "R" { print $2 }'); do
        ours=
        for item in $wanted; do
            case $item in "${name%%:*}="*) ours=$item ;; esac
        done
        again="$again ${ours:-$name}"
    done
    [ -n "$again" ] || return 0
    printf 'half unpacked, to be installed again:%s\\n' "$again"
    get --no-remove --reinstall install $again || failed "cannot install again:$again"
}
fetch() {
    simulated=$(get -s install $wanted 2>&1) || {
        printf '%s\\n' "$simulated"
        return 1
    }
    removed=$(printf '%s\\n' "$simulated" | awk '$1 == "Remv" { printf "%s%s", sep, $2; sep = ", " }')
    [ -z "$removed" ] || die "stopped: to install$wanted, apt would remove $removed; remove it by hand, or ask for less"
    get --no-remove --download-only install $wanted
}
again_with_fresh_lists() {
    refresh && resolve && fetch
}
failed() {
    left=$(unfinished)
    die "$1${left:+; dpkg left unfinished: $left}. The reason stands above; run again when it is gone"
}
check() {
    left=$(unfinished)
    [ -z "$left" ] || die "dpkg left unfinished: $left"
    resolve || die "$problem"
    [ -z "$due" ] || die "after the transaction not everything is installed that was asked for:$wanted"
}

wait_for_locks
hold_back
configure
resolve || { refresh && resolve; } || die "$problem. Versions are as they were chosen when this archive was first" \\
    'read: where it has dropped one since, `provision apply --refresh` chooses anew'
reinstall
if [ -n "$due" ]; then
    fetch || again_with_fresh_lists || failed "apt cannot get${wanted}${problem:+; $problem}"
    # Everything is here now. Not with --no-download: with it apt cannot install from a repository under file:.
    get --no-remove install $wanted || failed 'the package transaction failed'
fi
check
apt-mark -qq manual $(printf '%s\\n' "$packages" | cut -d ' ' -f 1)
hold_all
printf 'installed:%s\\n' "$wanted"
"""


def transaction(
    packages: Sequence[Package], hold: Sequence[str] = (), metas: Sequence[str] = (), patience: int = 300
) -> str:
    """Bring every package to a version that its pattern matches, in one apt-get transaction, then hold `hold`.

    `metas`: patterns of packages that are held as well, where they are installed.

    An installed version that matches stays. Nothing is removed. No initrd is built and no boot menu written: that is
    due once, afterwards. `patience`: seconds to wait for other package work. Exit 0 means dpkg is consistent.
    """
    if not packages:
        raise ValueError("a transaction without packages")
    return program(
        STATES,
        UPDATE,
        _OFFERS,
        _HOLD_BACK,
        _HOLD,
        _TRANSACTION,
        packages=lines(f"{package.name} {package.version}" for package in packages),
        hold=" ".join(hold),
        metas=" ".join(metas),
        patience=str(patience),
    )


def consistent() -> str:
    """Test: every package is either wholly installed or not at all, and dpkg has nothing to complain about."""
    return program(STATES, AUDIT, "! inconsistency || exit 1\necho 'dpkg is consistent'\n")


def locks_free() -> str:
    """Test: nobody works with apt or dpkg now; otherwise names who does."""
    return program(_LOCKS, "! lock_holder || exit 1\necho 'no package work in progress'\n")


def chosen(packages: Sequence[Package]) -> str:
    """Print `name=version`, one a line: what `transaction` would ask apt for. Fails with what nobody offers."""
    body = """\
problem=
while read -r name pattern; do
    if version=$(choose "$name" "$pattern"); then
        printf '%s=%s\\n' "$name" "$version"
    else
        problem="${problem:+$problem. }$(not_offered "$name" "$pattern")"
    fi
done <<EOF
$packages
EOF
[ -z "$problem" ] || die "$problem"
"""
    return program(_OFFERS, body, packages=lines(f"{package.name} {package.version}" for package in packages))


def offers(globs: Sequence[str]) -> str:
    """Print `name<TAB>version`, newest first per name, of every package that apt offers under a name that matches.

    Globs know `*` and `?`. Prints nothing, and succeeds, where nothing matches or no package lists are here.
    """
    body = """\
apt-cache pkgnames | grep -E -x -e "$names" | sort | xargs -r apt-cache madison |
    awk -F ' *[|] *' '{ sub(/^ +/, "", $1); line = $1 "\\t" $2 } !seen[line]++ { print line }'
"""
    return program(body, names="|".join(extended_regex(glob) for glob in globs))


def lists_missing() -> str:
    """Test: no package list is here, so that what `offers` prints says nothing of any archive."""
    return program(_HAS_LISTS, "! has_lists\n")


def update(patience: int = 300) -> str:
    """Fetch every package list of the node's sources, or fail with apt's words. Needs root.

    `patience`: seconds to wait for other package work.
    """
    body = """\
[ "$(id -u)" = 0 ] || die 'only root may fetch package lists'
update_lists
has_lists || die 'no source of packages is declared on this node, or none of them has any'
"""
    return program(UPDATE, _HAS_LISTS, body, patience=str(patience))


def sources_unmixed(patterns: Sequence[str]) -> str:
    """Test: the installed packages of these names (a driver's) have one origin, and no .run installer was here.

    `patterns`: extended regular expressions of whole names, in every archive that packages the driver: two archives
    package it in different pieces, and parts of both overwrite each other. An origin is the
    `o=` of an archive's Release file, or its host where it has none; a version that no archive offers has no say.
    """
    body = """\
log=/var/log/nvidia-installer.log
wrote=; [ ! -e "$log" ] || wrote="; $log tells of it, last written $(date -r "$log" +%F)"
# What takes it off may be gone, and its module is not: the installer's place for it is no package's and not DKMS's.
for left in /usr/bin/nvidia-uninstall /usr/bin/nvidia-installer /lib/modules/*/kernel/drivers/video/nvidia.ko*; do
    [ -e "$left" ] && ! dpkg-query -S "$left" >/dev/null 2>&1 || continue
    die "a driver was installed by NVIDIA's .run installer: $left belongs to no package$wrote"
done
installed=$(dpkg-query -W -f '${db:Status-Abbrev}|${Package}\\n' | awk -F '|' 'substr($1, 2, 1) == "i" { print $2 }' |
    grep -E -x -e "$names" | sort -u) || installed=
[ -n "$installed" ] || { echo 'no such package is installed'; exit 0; }
{ apt-cache policy; echo ===; apt-cache policy $installed; } | awk '
    $0 == "===" { second = 1; next }
    !second && $1 ~ /^-?[0-9]+$/ { source = $2 " " $3; next }
    !second && $1 == "release" && match($0, /o=[^,]*/) { origin[source] = substr($0, RSTART + 2, RLENGTH - 2); next }
    !second && $1 == "origin" { if (!(source in origin)) origin[source] = $2; next }
    !second { next }
    /^[^ ]+:$/ { name = substr($0, 1, length($0) - 1); next }
    /^ (\\*\\*\\*|   ) [^ ]/ { here = ($1 == "***"); next }
    here && $1 ~ /^-?[0-9]+$/ && $2 != "/var/lib/dpkg/status" {
        from = ((($2 " " $3) in origin) ? origin[$2 " " $3] : $2)
        if ((name, from) in offers) next
        offers[name, from] = 1
        count[from]++
        if (!(name in any)) { any[name] = from; known++ }
    }
    END {
        for (from in count) if (count[from] == known) { printf "one origin: %s\\n", from; exit 0 }
        if (!known) { print "no archive offers what is installed"; exit 0 }
        for (name in any) { evidence = evidence sep name " from " any[name]; sep = ", " }
        print evidence
        exit 1
    }'
"""
    return program(body, names="|".join(patterns))


def none_installed(patterns: Sequence[str]) -> str:
    """Test: no package whose whole name matches one of these extended regular expressions is installed."""
    body = """\
found=$(dpkg-query -W -f '${db:Status-Abbrev}|${Package}\\n' |
    awk -F '|' 'substr($1, 2, 1) == "i" { print $2 }' | grep -E -x -e "$names" | tr '\\n' ' ') || found=
[ -z "${found# }" ] || die "installed: $found"
echo 'none of them is installed'
"""
    return program(body, names="|".join(patterns))


def extended_regex(glob: str) -> str:
    """A glob as an expression that grep, awk and Python read alike, without a backslash, which each quotes in its way.

    Raises: ValueError, for what is no glob over names of packages.
    """
    if not _GLOB.fullmatch(glob):
        raise ValueError(f"not a glob over package names: {glob!r}")
    return "".join({"*": ".*", "?": ".", ".": "[.]", "+": "[+]"}.get(char, char) for char in glob)
