"""await_word: stops a bring-up before its reboot for as long as a file is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from provision.model import Gate, Resource
from provision.planning import Context, Role

HOLD = "/etc/hold-the-reboot"


class AwaitWord(Role):
    """Lets a test prepare a node up to its reboot once, and go on from there as often as it likes."""

    component: ClassVar[str] = "word"
    follows: ClassVar[tuple[str, ...]] = ("kernel",)

    def resources(self, ctx: Context) -> Iterator[Resource]:
        yield Gate(
            name="word",
            test=f'[ ! -e {HOLD} ] || {{ echo "{HOLD} is there"; exit 1; }}; echo go',
            expect="the word was given",
            remedy=f"Remove {HOLD}",
        )
