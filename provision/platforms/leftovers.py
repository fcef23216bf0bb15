"""What an earlier plan of ours wrote and the present one has no more, where programs go by whatever lies in a folder.

POSIX sh; `drop` runs as root, the test needs no root.
"""

from __future__ import annotations

from collections.abc import Sequence

from provision.platforms.shell import lines, program

_STALE = """\
stale() {
    for file in $ours; do
        [ ! -e "$file" ] || printf '%s\\n' "$keep" | grep -qxF -e "$file" || printf '%s\\n' "$file"
    done
}
"""


def drop(ours: Sequence[str], keep: Sequence[str]) -> str:
    """Take away every file of the patterns `ours` (absolute, no blanks) that is not one of `keep`."""
    body = """\
stale | while read -r file; do
    rm -f "$file" || die "$file cannot be taken away"
    echo "$file is taken away: the plan has it no more"
done
"""
    return program("set -eu\n", _STALE, body, ours=" ".join(ours), keep=lines(keep))


def gone(ours: Sequence[str], keep: Sequence[str]) -> str:
    """Test: of the patterns `ours` there is nothing but `keep`."""
    body = """\
left=$(stale | tr '\\n' ' ')
[ -z "$left" ] || die "left by an earlier plan: ${left% }"
echo 'nothing is left of an earlier plan'
"""
    return program(_STALE, body, ours=" ".join(ours), keep=lines(keep))
