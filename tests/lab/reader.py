"""Somebody who follows a page of docs/ word by word: writes its files, types its commands, compares what is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from provision.lab import Lab

BLOCK = re.compile(r"(?:^`(?P<path>[\w./]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Followed(NamedTuple):
    """`said`: what each block of commands printed; `shown`: the lines of the page that tell of it."""

    said: list[str]
    shown: list[list[str]]

    def missing(self) -> list[str]:
        """Lines that the page shows and the commands before them did not print."""
        lacking: list[str] = []
        for said, shown in zip(self.said, self.shown, strict=True):
            printed = [line.strip() for line in said.splitlines()]
            lacking += [line for line in shown if not any(like(line).fullmatch(one) for one in printed)]
        return lacking


class Reader:
    """A terminal: its folder and its PATH last from one block to the next. It has no other variables of ours."""

    def __init__(self, folder: Path, lab: Lab, **environment: str) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PROVISION_", "ANSIBLE_", "PYTHON"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        self.environment = kept | {"PATH": path, "PROVISION_LAB": str(lab.state)} | environment

    def type(self, commands: str) -> str:
        """What they print; AssertionError unless each succeeds."""
        after = self.folder.parent / "after"
        done = subprocess.run(
            ["sh", "-eu", "-c", f'{commands}\nprintf "%s\\n" "$PWD" "$PATH" >"$0"', str(after)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        folder, self.environment["PATH"] = after.read_text().splitlines()
        self.folder = Path(folder)
        return done.stdout

    def follow(self, page: str) -> Followed:
        followed = Followed([], [])
        for block in BLOCK.finditer(page):
            match block["language"]:
                case "sh":
                    followed.said.append(self.type(block["text"]))
                    followed.shown.append([])
                case "python" | "yaml" | "ini":
                    (self.folder / block["path"]).write_text(block["text"])
                case "text":
                    followed.shown[-1] += block["text"].splitlines()
        return followed


def like(line: str) -> re.Pattern[str]:
    """A line of the page: digits and the width of columns may be others, `…` stands for anything."""
    pattern = re.escape(line.strip()).replace("…", ".*")
    return re.compile(re.sub(r"(\\ )+", " +", re.sub(r"[0-9]+", "[0-9]+", pattern)))
