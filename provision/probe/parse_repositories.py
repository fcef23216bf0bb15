"""sections/repositories.sh: lines of sources.list(5) in both styles, of apt_preferences(5), and of .repo files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from provision.model.machine import Pin, Repository
from provision.probe.rows import number, table

ONE_LINE = re.compile(r"(deb|deb-src)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)")
NO = frozenset({"no", "0", "false"})

Numbered = Sequence[Sequence[str]]


def repositories(lines: Numbered) -> dict[str, Any]:
    rows = table(lines, {"source": 2, "pin": 2})
    return {
        "repositories": tuple(r for file, texts in _files(rows["source"]) for r in _sources(file, texts)),
        "pins": tuple(p for file, texts in _files(rows["pin"]) for p in _pins(file, texts)),
    }


def _files(rows: Numbered) -> Iterator[tuple[str, list[str]]]:
    for file, group in groupby(rows, key=lambda row: row[0]):
        yield file, [text for _, text in group]


def _sources(file: str, texts: Sequence[str]) -> Iterator[Repository]:
    if file.endswith(".sources"):
        yield from (_stanza(file, fields) for fields in _stanzas(texts))
    elif file.endswith(".repo"):
        yield from _dnf(file, texts)
    else:
        yield from (found for text in texts if (found := _one_line(file, text)) is not None)


def _one_line(file: str, text: str) -> Repository | None:
    match = ONE_LINE.match(text.partition(" #")[0].strip())
    if match is None:
        return None
    kind, options, uri, suite, components = match.groups()
    known = dict(part.split("=", 1) for part in (options or "").split() if "=" in part)
    return Repository(
        file=file,
        kind=kind,
        uris=(uri,),
        suites=(suite,),
        components=tuple(components.split()),
        signed_by=known.get("signed-by", ""),
    )


def _stanza(file: str, fields: dict[str, str]) -> Repository:
    return Repository(
        file=file,
        kind=" ".join(fields.get("types", "").split()),
        uris=tuple(fields.get("uris", "").split()),
        suites=tuple(fields.get("suites", "").split()),
        components=tuple(fields.get("components", "").split()),
        signed_by=_key(fields.get("signed-by", "")),
        enabled=fields.get("enabled", "yes").lower() not in NO,
    )


def _key(value: str) -> str:
    return "a key within the file" if "BEGIN PGP" in value else value.strip()


def _dnf(file: str, texts: Sequence[str]) -> Iterator[Repository]:
    fields: dict[str, str] = {}
    for text in [*texts, "[]"]:
        if text.startswith("["):
            if fields:
                yield _dnf_repository(file, fields)
            fields = {"id": text.strip("[] ")} if text != "[]" else {}
        elif fields:
            key, _, value = text.partition("=")
            fields[key.strip()] = value.strip()


def _dnf_repository(file: str, fields: dict[str, str]) -> Repository:
    urls = [fields[key] for key in ("baseurl", "mirrorlist", "metalink") if fields.get(key)]
    return Repository(
        file=file,
        kind="rpm",
        uris=tuple(urls),
        suites=(fields["id"],),
        signed_by=fields.get("gpgkey", ""),
        enabled=fields.get("enabled", "1").lower() not in NO,
    )


def _pins(file: str, texts: Sequence[str]) -> Iterator[Pin]:
    for fields in _stanzas(texts):
        priority = number(fields.get("pin-priority", ""))
        if priority is not None:
            yield Pin(file=file, packages=fields.get("package", ""), pin=fields.get("pin", ""), priority=priority)


def _stanzas(texts: Iterable[str]) -> Iterator[dict[str, str]]:
    """deb822(5): stanzas between empty lines; a line that begins with a blank goes on with the field before it."""
    fields: dict[str, str] = {}
    key = ""
    for text in [*texts, ""]:
        if not text.strip():
            if fields:
                yield fields
            fields, key = {}, ""
        elif text[:1].isspace():
            if key:
                fields[key] += f"\n{text.strip()}"
        else:
            name, _, value = text.partition(":")
            key = name.strip().lower()
            fields[key] = value.strip()
