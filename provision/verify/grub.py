"""Which kernel GRUB starts by default, read from its menu and its environment. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from provision.model import Frozen

IMAGE = re.compile(r"vmlinu[xz]-(?P<release>\S+)$")
DEFAULT = re.compile(r'^\s*set default="(?P<entry>.*)"\s*$', re.MULTILINE)
SAVED = "${saved_entry}"
ONCE = "${next_entry}"


class MenuEntry(Frozen):
    """An entry of the menu, or a submenu with entries of its own."""

    title: str
    id: str
    release: str = ""
    entries: tuple[MenuEntry, ...] = ()


def default_release(menu: str, environment: Mapping[str, str]) -> str:
    """The release that the menu starts when nobody chooses and no entry is named for once.

    Args:
        menu: content of grub.cfg as grub-mkconfig writes it (util/grub.d/00_header.in of GRUB 2.12, read 2026-11-21).
        environment: what `grub-editenv list` prints.

    Returns: the release, empty where the menu names none.
    """
    named = [entry for entry in DEFAULT.findall(menu) if entry != ONCE]
    chosen = named[0] if named else ""
    return _chosen(menu_entries(menu), environment.get("saved_entry", "") if chosen == SAVED else chosen)


def menu_entries(menu: str) -> tuple[MenuEntry, ...]:
    """The tree of entries in a grub.cfg."""
    return _entries(iter(menu.splitlines()))


def _entries(lines: Iterable[str]) -> tuple[MenuEntry, ...]:
    """The entries up to the end of the block that `lines` stands in."""
    found: list[MenuEntry] = []
    for line in lines:
        text = line.strip()
        if text == "}":
            break
        if not text.endswith("{") or not text.startswith(("menuentry ", "submenu ")):
            continue
        word, title, *options = shlex.split(text[:-1])
        name = options[options.index("$menuentry_id_option") + 1] if "$menuentry_id_option" in options else title
        if word == "submenu":
            found.append(MenuEntry(title=title, id=name, entries=_entries(lines)))
        else:
            found.append(MenuEntry(title=title, id=name, release=_release(lines)))
    return tuple(found)


def _release(lines: Iterable[str]) -> str:
    """The release that a menu entry starts; `lines` is read to its closing brace."""
    release = ""
    for line in lines:
        words = line.split()
        if words == ["}"]:
            break
        if len(words) > 1 and words[0] in {"linux", "linux16", "linuxefi"} and (image := IMAGE.search(words[1])):
            release = image["release"]
    return release


def _chosen(entries: Sequence[MenuEntry], path: str) -> str:
    """GRUB takes a number, an id or a title at each level, and the first entry where none of them fits."""
    if not entries:
        return ""
    name, _, rest = path.partition(">")
    number = int(name) if name.isdigit() else -1
    fitting = [e for position, e in enumerate(entries) if position == number or name in (e.id, e.title)]
    entry = fitting[0] if fitting else entries[0]
    return _chosen(entry.entries, rest) if entry.entries else entry.release
