"""Taking the connection of a request away from aiohttp: attach, exec, and what becomes HTTP/2.

Docker's clients ask with `Connection: Upgrade, Upgrade: tcp` (or not at all,
the old way) and then speak raw bytes in both directions. The socket goes to
the keeper, which outlives this daemon; nothing the client sent early may be
lost. Source: moby api/server/httputils (HijackConnection), Docker Engine API,
ContainerAttach.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import termios
from types import TracebackType

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from pydock_lab.daemon.api.connection import Connection
from pydock_lab.daemon.runtime.streams import HEAD_POLL_S, HEAD_POLLS
from pydock_lab.errors import SystemFailure

RAW = "application/vnd.docker.raw-stream"
_READ_AHEAD = 1 << 20
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


class Hijack:
    """The connection of one request, held apart from aiohttp; a context manager.

    Made before anything is awaited: a client that has closed its sending side
    already would be gone afterwards. An error before `accept` is answered in
    HTTP; after it, `fail` writes it into the stream.
    """

    def __init__(self, request: web.Request) -> None:
        transport = request.transport
        if transport is None:
            raise SystemFailure("the client has gone")
        self._transport: asyncio.Transport = transport
        self._upgrade = request.headers.get("Upgrade", "").lower() == "tcp"
        self._accepted = False
        # A descriptor of our own: aiohttp closes its one when the handler returns.
        self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))

    def __enter__(self) -> Hijack:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        if not self._accepted:
            self._connection.forget()
            if not self._transport.is_closing():
                self._transport.resume_reading()

    @property
    def fd(self) -> int:
        """The connected socket."""
        return self._socket.fileno()

    @property
    def early(self) -> bytes:
        """What the client sent behind its request before `hold`."""
        return self._connection.early

    @property
    def _connection(self) -> Connection:
        connection = self._transport.get_protocol()
        assert isinstance(connection, Connection)
        return connection

    def hold(self) -> None:
        """Read no more from the client: the rest is for the process. The request's body must have been read."""
        self._transport.pause_reading()

    async def accept(self, content_type: str) -> None:
        """Answer the request; from now on the connection is the client's and the process's."""
        if self._upgrade:
            head = f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {content_type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        else:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n"
        self._accepted = True
        await asyncio.get_running_loop().sock_sendall(self._socket, f"{head}\r\n".encode())

    async def upgrade(self, protocol: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Answer the request and go on in another protocol, in this process: return the connection's two ends."""
        head = f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        self._accepted = True
        await asyncio.get_running_loop().sock_sendall(self._socket, head.encode())
        own = socket.socket(fileno=self._socket.detach())
        own.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=own, limit=_READ_AHEAD)
        if self.early:
            reader.feed_data(self.early)
        return reader, writer

    async def send(self, data: bytes) -> None:
        """Write raw bytes to the client."""
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def fail(self, message: str, *, tty: bool) -> None:
        """Tell the client on its stream what went wrong (too late for a status)."""
        text = f"{message}\r\n".encode()
        frame = text if tty else bytes((1, 0, 0, 0)) + len(text).to_bytes(4, "big") + text
        try:
            await self._head_is_read()
            await asyncio.get_running_loop().sock_sendall(self._socket, frame)
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    async def _head_is_read(self) -> None:
        """Wait until the client has the head, as the keeper does: docker-py loses what comes along with it."""
        for _ in range(HEAD_POLLS if self._socket.family == socket.AF_UNIX else 0):
            if not struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))[0]:
                return
            await asyncio.sleep(HEAD_POLL_S)

    def response(self) -> web.StreamResponse:
        """Return what the handler returns: aiohttp writes nothing and lets the connection go."""
        return _Hijacked()


class _Hijacked(web.StreamResponse):
    """A response that has been written already."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write no header; the connection is not to be used again."""
        self.force_close()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write no end."""


def content_type(tty: bool, version: tuple[int, int]) -> str:
    """Return the type of an attached stream: clients since API 1.42 tell frames by it."""
    return MULTIPLEXED if not tty and version >= (1, 42) else RAW
