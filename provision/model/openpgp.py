"""The fingerprints in an OpenPGP public key, so that a key is known by what its owner published before it is used.

RFC 4880, sections 4.2 (packets), 6.2 (armour), 12.2 (fingerprint of version 4); RFC 9580, section 5.5.4.3 (version 6).
Read 2026-11-21.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator

BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
END = "-----END PGP PUBLIC KEY BLOCK-----"
PUBLIC_KEY = 6
"""Tag of a primary key's packet; subkeys and signatures have others."""


def fingerprints(armour: str) -> tuple[str, ...]:
    """The fingerprints of every primary key in an ASCII-armoured text, upper case, in order.

    Raises: ValueError with what is wrong with the text.
    """
    return tuple(_fingerprint(body) for block in _blocks(armour) for tag, body in _packets(block) if tag == PUBLIC_KEY)


def _blocks(armour: str) -> Iterator[bytes]:
    inside: list[str] | None = None
    for line in (line.strip() for line in armour.splitlines()):
        if line == BEGIN:
            inside = []
        elif line == END and inside is not None:
            yield _decoded(inside)
            inside = None
        elif inside is not None:
            inside.append(line)
    if inside is not None:
        raise ValueError("the key's armour has no end")


def _decoded(lines: list[str]) -> bytes:
    """Headers (`Comment: ...`) end with an empty line; the checksum begins with `=`."""
    start = lines.index("") + 1 if "" in lines else 0
    text = "".join(line for line in lines[start:] if not line.startswith("="))
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"the key's armour is not base64: {error}") from error


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        tag, start, length = _header(data, position)
        position = start + length
        if position > len(data):
            raise ValueError("the key is cut short")
        yield tag, data[start:position]


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, where the body begins, and its length."""
    first = data[at]
    if not first & 0x80:
        raise ValueError("the key is not made of OpenPGP packets")
    if not first & 0x40:
        size = 1 << (first & 3)
        if size == 8:
            raise ValueError("the key has a packet without a length")
        return (first >> 2) & 0x0F, at + 1 + size, int.from_bytes(data[at + 1 : at + 1 + size])
    one = data[at + 1] if at + 1 < len(data) else 255
    if one < 192:
        return first & 0x3F, at + 2, one
    if one < 224:
        return first & 0x3F, at + 3, ((one - 192) << 8) + int.from_bytes(data[at + 2 : at + 3]) + 192
    if one < 255:
        raise ValueError("the key has a packet of partial length")
    return first & 0x3F, at + 6, int.from_bytes(data[at + 2 : at + 6])


def _fingerprint(body: bytes) -> str:
    version = body[0] if body else 0
    if version == 4:
        # SHA-1 is the fingerprint's definition here, not a choice.
        return hashlib.sha1(b"\x99" + len(body).to_bytes(2) + body, usedforsecurity=False).hexdigest().upper()
    if version == 6:
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4) + body).hexdigest().upper()
    raise ValueError(f"a key of OpenPGP version {version} is not known here")
