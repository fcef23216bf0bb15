"""Which kernel GRUB starts by default and with which words, read from its menu and its environment. Pure."""

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
    words: tuple[str, ...] = ()
    """What the kernel is started with."""
    entries: tuple[MenuEntry, ...] = ()


def default_entry(menu: str, environment: Mapping[str, str]) -> MenuEntry:
    """The entry that starts when nobody chooses and none is named for once; an empty one where there is none.

    Args:
        menu: content of grub.cfg as grub-mkconfig writes it (util/grub.d/00_header.in of GRUB 2.12, read 2026-11-21).
        environment: what `grub-editenv list` prints.
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
            release, words = _started(lines)
            found.append(MenuEntry(title=title, id=name, release=release, words=words))
    return tuple(found)


def _started(lines: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The release that a menu entry starts, and its words; `lines` is read to its closing brace."""
    release = ""
    given: tuple[str, ...] = ()
    for line in lines:
        words = line.split()
        if words == ["}"]:
            break
        if len(words) > 1 and words[0] in {"linux", "linux16", "linuxefi"} and (image := IMAGE.search(words[1])):
            release, given = image["release"], tuple(words[2:])
    return release, given


def _chosen(entries: Sequence[MenuEntry], path: str) -> MenuEntry:
    """GRUB takes a number, an id or a title at each level, and the first entry where none of them fits."""
    if not entries:
        return MenuEntry(title="", id="")
    name, _, rest = path.partition(">")
    number = int(name) if name.isdigit() else -1
    fitting = [e for position, e in enumerate(entries) if position == number or name in (e.id, e.title)]
    entry = fitting[0] if fitting else entries[0]
    return _chosen(entry.entries, rest) if entry.entries else entry
