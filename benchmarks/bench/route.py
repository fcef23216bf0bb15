"""How a contender reaches the nodes: straight, or through the relay that delays; with ssh settings of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from provision.lab import Node
from provision.lab.base import USER
from provision.model import Frozen

DELAY = Path(__file__).with_name("delay.py")


class Route(Frozen):
    """`ssh_config` names every node; connections are not shared, so that every run pays for its own."""

    rtt_ms: int
    folder: Path
    names: tuple[str, ...]

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"


@contextmanager
def route(nodes: Sequence[Node], key: Path, rtt_ms: int, folder: Path) -> Iterator[Route]:
    folder.mkdir(parents=True, exist_ok=True)
    if rtt_ms == 0:
        yield _written(nodes, [(node.address, 22) for node in nodes], key, Route(**_of(nodes, rtt_ms, folder)))
        return
    targets = [f"{node.address}:22" for node in nodes]
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(DELAY), str(rtt_ms / 2), *targets],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as relay:
        assert relay.stdin and relay.stdout
        ports = [("127.0.0.1", int(port)) for port in relay.stdout.readline().split()]
        try:
            yield _written(nodes, ports, key, Route(**_of(nodes, rtt_ms, folder)))
        finally:
            relay.stdin.close()
            relay.terminate()


@contextmanager
def routes(
    nodes: Sequence[Node], counts: Sequence[int], delays: Sequence[int], key: Path, folder: Path
) -> Iterator[list[Route]]:
    """To the first so many of the nodes, for each count and each round-trip time; the fewest nodes come first."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(route(nodes[:count], key, rtt, folder / f"n{count}rtt{rtt}"))
            for count in sorted(counts)
            for rtt in sorted(delays)
        ]


def _of(nodes: Sequence[Node], rtt_ms: int, folder: Path) -> dict[str, object]:
    return {"rtt_ms": rtt_ms, "folder": folder, "names": tuple(node.name for node in nodes)}


def _written(nodes: Sequence[Node], places: Sequence[tuple[str, int]], key: Path, made: Route) -> Route:
    known = made.folder / "known_hosts"
    hosts, keys = [], []
    for node, (address, port) in zip(nodes, places, strict=True):
        hosts.append(
            f"Host {node.name}\n    HostName {address}\n    Port {port}\n    User {USER}\n    IdentityFile {key}\n"
            f"    IdentitiesOnly yes\n    IdentityAgent none\n    UserKnownHostsFile {known}\n"
            "    GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n    HostKeyAlgorithms ssh-ed25519\n"
            "    BatchMode yes\n"
        )
        place = address if port == 22 else f"[{address}]:{port}"
        keys.append(f"{node.name},{place} {' '.join(node.peer().host_key_public.split()[:2])}\n")
    known.write_text("".join(keys), encoding="ascii")
    made.ssh_config.write_text("\n".join(hosts), encoding="ascii")
    return made
