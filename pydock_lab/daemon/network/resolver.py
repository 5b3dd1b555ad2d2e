"""One container's name server: it sits on 127.0.0.11 in the container, and the daemon answers.

The container's launch opened both sockets inside its network namespace and
passed them out, so nothing of this runs in the container: it works the same
without capabilities, on a read-only root, for any user.

Source: moby libnetwork/resolver.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine, Sequence

from pydock_lab.daemon.network.dns_message import SERVFAIL, Query, failure, read_query
from pydock_lab.daemon.network.upstream import Upstream

ADDRESS = "127.0.0.11"

_DATAGRAM = 4096
_AT_ONCE = 64  # datagrams read before others get a turn
_FORWARDED = 1024  # questions outside at a time; more are dropped, and the client asks again
_IDLE_S = 10.0
_STREAM_BYTES = 65535

Know = Callable[[Query, int], "bytes | None"]
"""From a question and the bytes its answer may have to our answer, or None: somebody outside may know."""


class Resolver:
    """Answers on a container's datagram and stream socket.

    Args:
        sockets: Descriptors of the bound datagram socket and the listening stream socket; taken over.
        know: What the engine itself knows.
        upstream: Whom to ask otherwise.
    """

    def __init__(self, sockets: Sequence[int], know: Know, upstream: Upstream) -> None:
        self._datagrams = socket.socket(fileno=sockets[0])
        self._streams = socket.socket(fileno=sockets[1])
        self._know = know
        self._upstream = upstream
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        for listener, reader in ((self._datagrams, self._on_datagram), (self._streams, self._on_connection)):
            listener.setblocking(False)
            self._loop.add_reader(listener.fileno(), reader)

    def close(self) -> None:
        """Answer no more."""
        for listener in (self._datagrams, self._streams):
            self._loop.remove_reader(listener.fileno())
            listener.close()
        for task in self._tasks:
            task.cancel()

    def _on_datagram(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                message, peer = self._datagrams.recvfrom(_DATAGRAM)
            except OSError:
                return
            query = read_query(message)
            if query is None:
                continue
            answer = self._know(query, query.limit)
            if answer is not None:
                self._send(answer, peer)
            elif len(self._tasks) < _FORWARDED:
                self._spawn(self._pass_on(query, message, peer))

    def _on_connection(self) -> None:
        try:
            connection, _ = self._streams.accept()
        except OSError:
            return
        connection.setblocking(False)
        self._spawn(self._converse(connection))

    async def _pass_on(self, query: Query, message: bytes, peer: tuple[str, int]) -> None:
        self._send(await self._ask(query, message, stream=False), peer)

    async def _converse(self, connection: socket.socket) -> None:
        """Answer the questions of one TCP connection, one after the other."""
        reader, writer = await asyncio.open_connection(sock=connection)
        # Clients vanish, lose patience or send half a question; the next one is none the worse for it.
        with contextlib.closing(writer), contextlib.suppress(OSError, EOFError, asyncio.TimeoutError):
            while True:
                (length,) = struct.unpack("!H", await asyncio.wait_for(reader.readexactly(2), _IDLE_S))
                message = await asyncio.wait_for(reader.readexactly(length), _IDLE_S)
                query = read_query(message)
                if query is None:
                    return
                answer = self._know(query, _STREAM_BYTES) or await self._ask(query, message, stream=True)
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()

    async def _ask(self, query: Query, message: bytes, *, stream: bool) -> bytes:
        return await self._upstream.ask(message, stream=stream) or failure(query, SERVFAIL)

    def _send(self, answer: bytes, peer: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):  # a full buffer loses datagrams; the client asks again
            self._datagrams.sendto(answer, peer)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
