"""Talking to QEMU (QMP) and to the agent inside the guest: one JSON document per line, over a unix socket."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from provision.lab.error import LabError
from provision.model import Frozen

SH = "/bin/sh"
ASK_AGAIN_SECONDS = 1.0


class Silent(LabError):
    """Nothing came back in the time allowed."""


class Channel:
    """Raises LabError when the other side is gone, refuses, or says nothing within `seconds`."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._socket = _connect(path, seconds)
        self._socket.settimeout(seconds)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> Any:
        self._send({"execute": command, "arguments": arguments})
        while True:
            answer = self._receive()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise LabError(f"{self._path} refuses {command}: {answer['error']['desc']}")

    def _send(self, document: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(document).encode() + b"\n")
        except TimeoutError as error:
            raise Silent(f"{self._path} takes nothing more in: nobody reads at the other end.") from error
        except OSError as error:
            raise LabError(f"{self._path} is gone: {error}") from error

    def _receive(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._until(b"\n"))
        return answer

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            try:
                more = self._socket.recv(65536)
            except TimeoutError as error:
                raise Silent(f"{self._path} did not answer within {self._socket.gettimeout():.0f} s.") from error
            except OSError as error:
                raise LabError(f"{self._path} is gone: {error}") from error
            if not more:
                raise LabError(f"{self._path} was closed by the other side.")
            self._read += more
        before, _, self._read = self._read.partition(mark)
        return before


class Qmp(Channel):
    """QEMU's own monitor."""

    def __init__(self, folder: Path, seconds: float = 60) -> None:
        super().__init__(folder / "qmp", seconds)
        self._receive()
        self.ask("qmp_capabilities")


class Done(Frozen):
    code: int
    output: str


class Agent(Channel):
    """qemu-guest-agent: reaches the guest without its network. Waits up to `seconds` for a guest that is booting."""

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__(folder / "agent", ASK_AGAIN_SECONDS)
        deadline = time.monotonic() + seconds
        # What is said before the guest listens is lost, and an earlier client's answer may still be on the way: so a
        # number is asked for again and again, and only the answer to the latest counts.
        for number in count(os.getpid() << 16):
            with suppress(Silent):
                self._send({"execute": "guest-sync-delimited", "arguments": {"id": number}})
                while self._synced() != number:
                    continue
                self._socket.settimeout(seconds)
                return
            if time.monotonic() > deadline:
                raise Silent(f"The machine's agent ({folder / 'agent'}) did not answer within {seconds:.0f} s.")

    def _synced(self) -> object:
        self._until(b"\xff")
        return self._receive().get("return")

    def start(self, program: str) -> int:
        """Starts a shell program as root and returns its process number."""
        given = base64.b64encode(program.encode()).decode()
        started = self.ask("guest-exec", path=SH, **{"input-data": given, "capture-output": True})
        return int(started["pid"])

    def run(self, program: str, seconds: float = 120) -> Done:
        """Runs a shell program as root to its end."""
        process = self.start(program)
        deadline = time.monotonic() + seconds
        while not (status := self.ask("guest-exec-status", pid=process))["exited"]:
            if time.monotonic() > deadline:
                raise LabError(f"A program inside the guest did not end within {seconds:.0f} s ({self._path}).")
            time.sleep(0.02)
        said = b"".join(base64.b64decode(status.get(part, "")) for part in ("out-data", "err-data"))
        return Done(code=status.get("exitcode", -1), output=said.decode(errors="replace"))


def _connect(path: Path, seconds: float) -> socket.socket:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return connect(path)
        except OSError as error:
            if time.monotonic() > deadline:
                raise LabError(f"QEMU does not listen at {path}: {error}") from error
            time.sleep(0.02)


def connect(path: Path) -> socket.socket:
    """A path of any length: a unix socket's own may have 107 bytes (unix(7)), the one through /proc is short."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection
