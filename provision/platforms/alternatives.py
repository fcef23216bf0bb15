"""update-alternatives: which program a common name means. Returns POSIX sh (dpkg 1.22, read 2026-11-21)."""

from __future__ import annotations

from provision.model import Alternatives
from provision.platforms.shell import program


def choose(wanted: Alternatives) -> str:
    """Choose `path` by hand, and offer it first where no package does."""
    body = """\
[ -e "$path" ] || die "$alternative cannot be $path: that is not there"
[ -L "$link" ] || [ ! -e "$link" ] || die "$link is no link, so it is not update-alternatives' own: move it away first"
update-alternatives --query "$alternative" 2>/dev/null | grep -qxF -e "Alternative: $path" ||
    update-alternatives --install "$link" "$alternative" "$path" 1 || die "$path cannot be offered as $alternative"
update-alternatives --set "$alternative" "$path" || die "$path cannot be chosen as $alternative"
[ "$(readlink "$link")" = "/etc/alternatives/$alternative" ] ||
    die "$alternative is chosen, but its link is another one than $link: $(readlink "$link")"
"""
    return program(body, alternative=wanted.alternative, link=wanted.link, path=wanted.path)
