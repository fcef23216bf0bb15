"""An archive unpacked into a folder: what lies there came from it, whole. Returns POSIX sh (GNU tar, coreutils).

The stamp that tells of the archive lies in the folder itself, so a rename brings both or neither: killed anywhere, the
folder is what it was, or what it should be, or absent for as long as there is nothing else to see.
"""

from __future__ import annotations

from provision.model import Archive
from provision.platforms.shell import program

STAMP = ".provision"


def stamp(wanted: Archive) -> str:
    """What the stamp holds. Not the address: the same archive from elsewhere is the same."""
    stripped = f" without {wanted.strip} leading folder(s)" if wanted.strip else ""
    return f"# Written by provision: this folder is what an archive holds{stripped}.\n{wanted.sha256}\n"


# GNU tar leaves out what would lead elsewhere: it takes the leading / off a name, refuses one with a `..` in it, and
# makes a link that leads outside last, so that nothing is written through it (manual of tar 1.35, "Security", read
# 2026-11-21; each tried). As root it would give files to the numbers in the archive and keep set-user-id bits.
_UNPACK = """\
scratch=$folder/.$name.provision
tree=$scratch/tree
asks_nothing() {
    [ ! -L "$to" ] || die "$to is a link, and a folder belongs there: move it away, then run again"
    [ -e "$to" ] || return 0
    [ -d "$to" ] || die "$to is not a folder: move it away, then run again"
    [ -e "$to/$stamp" ] || [ -z "$(ls -A "$to")" ] ||
        die "$to holds what did not come from an archive of ours: move it away, then run again"
}
fetch() {
    case $url in
    file:*) cp -- "${url#file:}" "$1" ;;
    *)
        if command -v curl >/dev/null; then
            curl -fsSL --retry 3 --connect-timeout 30 --speed-limit 1 --speed-time 120 -o "$1" "$url"
        elif command -v wget >/dev/null; then
            wget -nv -t 3 -T 120 -O "$1" "$url"
        else
            echo 'there is neither curl nor wget on this node: declare the package of one before this resource'
            return 1
        fi
        ;;
    esac
}
last() { tail -n 3 "$scratch/told" | tr '\\n' ' '; }

# Killed between the two renames below: what was there comes back first.
[ -e "$to" ] || [ ! -d "$scratch/old" ] || mv -T "$scratch/old" "$to"
asks_nothing
rm -rf "$scratch"
mkdir -p "$tree"
chmod 700 "$scratch"
trap 'rm -rf "$scratch"' EXIT
fetch "$scratch/archive" >"$scratch/told" 2>&1 || die "$url cannot be fetched, and $to is as it was: $(last)"
came=$(sha256sum <"$scratch/archive" | cut -c1-64)
[ "$came" = "$sha256" ] ||
    die "what came from $url has sha256 $came, declared is $sha256. Nothing was unpacked, and $to is as it was: the" \\
        "file was changed where it comes from, or the declaration is of another one"
tar -x -f "$scratch/archive" -C "$tree" --strip-components="$strip" --no-same-owner --no-same-permissions \\
    >"$scratch/told" 2>&1 || die "what came from $url cannot be unpacked, and $to is as it was: $(last)"
[ -n "$(ls -A "$tree")" ] || die "the archive from $url holds nothing behind $strip leading folder(s)"
[ ! -e "$tree/$stamp" ] && [ ! -L "$tree/$stamp" ] || die "the archive from $url holds a $stamp, which is our own name"
printf '%s\\n' "$content" >"$tree/$stamp"
chmod 755 "$tree"
chmod 644 "$tree/$stamp"
sync -f "$tree"
[ ! -e "$to" ] || mv -T "$to" "$scratch/old"
mv -T "$tree" "$to" || {
    [ ! -e "$scratch/old" ] || mv -T "$scratch/old" "$to"
    die "$to cannot be put in place"
}
sync "$folder"
"""


def unpack(wanted: Archive) -> str:
    """Fetch, judge, unpack beside the folder, and put it in place by rename."""
    folder, _, name = wanted.to.rpartition("/")
    return program(
        _UNPACK,
        url=wanted.url,
        sha256=wanted.sha256,
        to=wanted.to,
        folder=folder or "/",
        name=name,
        strip=str(wanted.strip),
        stamp=STAMP,
        content=stamp(wanted).rstrip("\n"),
    )
