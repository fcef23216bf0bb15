"""A relay that delays every chunk in both directions: `delay.py ONE_WAY_MILLISECONDS ADDRESS:PORT...`.

Stands in for tc-netem, which few container hosts have. Prints the ports it listens on (loopback), one line, in the
order of the addresses; ends when its standard input ends. Chunks keep their order and do not wait for each other, so
bandwidth is not limited; a TCP handshake is not delayed, so one round trip per connection is missing.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable

Due = tuple[float, bytes]


async def receive(source: asyncio.StreamReader, queue: "asyncio.Queue[Due]", delay: float) -> None:
    now = asyncio.get_running_loop().time
    while data := await source.read(1 << 16):
        queue.put_nowait((now() + delay, data))
    queue.put_nowait((now() + delay, b""))


async def send(queue: "asyncio.Queue[Due]", sink: asyncio.StreamWriter) -> None:
    now = asyncio.get_running_loop().time
    while True:
        due, data = await queue.get()
        await asyncio.sleep(max(0.0, due - now()))
        if not data:
            sink.write_eof()
            return
        sink.write(data)
        await sink.drain()


async def one_way(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float) -> None:
    queue: asyncio.Queue[Due] = asyncio.Queue()
    await asyncio.gather(receive(source, queue, delay), send(queue, sink))


def relay(
    address: str, port: int, delay: float
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def connected(near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far_in, far_out = await asyncio.open_connection(address, port)
        for stream in (near_out, far_out):
            stream.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = (one_way(near_in, far_out, delay), one_way(far_in, near_out, delay))
        await asyncio.gather(*ways, return_exceptions=True)
        near_out.close()
        far_out.close()

    return connected


async def main() -> None:
    delay = float(sys.argv[1]) / 1000
    ports = []
    for target in sys.argv[2:]:
        address, _, port = target.rpartition(":")
        server = await asyncio.start_server(relay(address, int(port), delay), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
