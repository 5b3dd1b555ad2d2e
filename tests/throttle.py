"""A slow way to a server on this machine, so that a transfer can be watched."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

_PIECE = 32 << 10


@contextlib.contextmanager
def throttled(target: str, *, bytes_per_s: int) -> Iterator[str]:
    """Forward connections to `target` (HOST:PORT); what it sends comes at `bytes_per_s` on each; yield the address."""
    host, _, port = target.rpartition(":")
    ready = threading.Event()
    running: list[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause_s: float) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while data := await reader.read(_PIECE):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(pause_s * len(data) / _PIECE)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_target, to_target = await asyncio.open_connection(host, int(port))
        await asyncio.gather(copy(reader, to_target, 0), copy(from_target, writer, _PIECE / bytes_per_s))

    async def serve() -> None:
        end = asyncio.Event()
        server = await asyncio.start_server(forward, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        running.append((f"127.0.0.1:{port}", asyncio.get_running_loop(), end))
        ready.set()
        await end.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    [(address, loop, end)] = running
    yield address
    loop.call_soon_threadsafe(end.set)
    thread.join()
