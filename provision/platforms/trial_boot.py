"""A kernel, or other arguments, on trial: GRUB starts it once, and what is not confirmed ends on the old default.

Every function returns POSIX sh. Programs that change run as root; tests need no root, exit 0 or 1 and print one line.
Seen with initramfs-tools 0.148, linux-base 4.12 and GRUB 2.12 of Debian 13 (2026-11-21).
"""

from __future__ import annotations

from collections.abc import Sequence

from provision.model import digest
from provision.model.places import STATE
from provision.platforms import boot
from provision.platforms.shell import program

WORD = "provision.trial"
"""On the command line of a kernel that is on trial, and of no other. Its value tells which arguments are tried."""

ENTRY = "provision-trial"
"""The id of the menu entry that starts a kernel on trial."""

PANIC_SECONDS = 10

WATCHDOG_SECONDS = 180
"""Not fewer: a watchdog may count on over the reset that ends a trial (QEMU's TCO, which no reset touches: its
hw/acpi/ich9_tco.c, read 2026-11-21; with 60 the old kernel was reset in turn on its way up, seen the same day). By then
what boots next has a driver that takes it over."""

RECORD = f"{STATE}/trial"
"""What was last put on trial: its release, the boot in which that was ordered, and a fingerprint of it, or `good`."""

DEAD_MAN = "/run/provision-trial"
"""Process id of the dead man, who resets a trial that nobody confirms. The initrd writes it, so not in our folder."""

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

# Until the menu has the words, the drop-in with them says so: a cut in between leaves what a rerun takes up again.
_PROMOTE = """\
# The dead man started in the initrd; what he would write to is open, so only his death keeps him from it.
confirm() {
    [ -s "$dead_man" ] || return 0
    kill $(cat "$dead_man") 2>/dev/null || :
    rm -f "$dead_man"
    echo "the trial of the running kernel, $(uname -r), is confirmed"
}
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


def order(release: str, words: Sequence[str] = ()) -> str:
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
    values = {"release": release, "trial_entry": ENTRY, "trial_word": word(words), "record": RECORD}
    return program(boot.MENU, _TRIAL, _ARGUMENTS, body, **values, **_arguments(words))


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
    return program(boot.MENU, _TRIAL, body, trial_entry=ENTRY, record=RECORD)


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
    return program(boot.MENU, _TRIAL, _ARGUMENTS, body, release=release, **_arguments(words))


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
    return program(_ARGUMENTS, body, trial_word=word(words), **_arguments(words))


def promote(release: str, words: Sequence[str] = ()) -> str:
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
    return program(*boot.JUDGES, boot.MENU, _ARGUMENTS, _PROMOTE, body, **values)


def word(words: Sequence[str]) -> str:
    """What a trial with these words has on its command line."""
    return f"{WORD}={digest(' '.join(words))}"


def _arguments(words: Sequence[str]) -> dict[str, str]:
    """The values that `_ARGUMENTS` wants."""
    return {"words": " ".join(words), "arguments": boot.ARGUMENTS, "given": boot.arguments(words).rstrip("\n")}


# `boot` returns only when it failed, and so does a `linux` or `initrd` that reads garbage; without `insmod` first, a
# file system that went bad could not give the command that leaves it. What the entry holds is the distribution's own.
_SCRIPT = """\
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


def entry(release: str, words: Sequence[str] = ()) -> str:
    """The text of a script of /etc/grub.d that writes the guarded entry of a kernel, with these words of ours only.

    `release` and `words` are checked by the model to hold nothing that sh, awk or GRUB takes for something else.
    `panic=` covers a panic; a hardware watchdog that PID 1 feeds covers a kernel that hangs after PID 1 has started.
    """
    guard = f"panic={PANIC_SECONDS} systemd.watchdog_sec={WATCHDOG_SECONDS} {word(words)}"
    given = " ".join(words)
    return _SCRIPT.format(release=release, entry=ENTRY, words=guard, given=given, arguments=boot.ARGUMENTS)


def dead_man(seconds: int) -> str:
    """The text of an initramfs-tools script (init-top) that resets a trial which nobody confirms within `seconds`.

    It starts in the initrd and lives on behind it, so it covers a hang at any stage, a lost network and a dead
    controller. Its program and /proc are gone by then: so the file it writes to is open, and `echo` is the shell's own.
    """
    return f"""\
#!/bin/sh
# Written by provision: a kernel on trial ({WORD} on its command line) is reset unless it is confirmed in time.
[ "$1" != prereqs ] || exit 0
read -r line </proc/cmdline
case " $line " in
*" {WORD}="*) ;;
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
