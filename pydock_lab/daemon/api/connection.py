"""One client's connection, as it stands before aiohttp's own handler.

aiohttp parses a request and drops what the client sent behind its body; a
client that is to be attached may have sent the first of its input there.
"""

from __future__ import annotations

import asyncio
import re
import socket

from aiohttp import web

_HIJACKS = re.compile(rb"POST [^ ]*/(?:attach|exec/[^/ ]+/start|grpc|session)[? ]")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """Passes everything on; remembers the bytes of a request that asks for the connection itself.

    Args:
        handler: aiohttp's handler for this connection.
    """

    def __init__(self, handler: web.RequestHandler) -> None:
        self._handler = handler
        self._kept = b""

    @property
    def early(self) -> bytes:
        """What has arrived behind the request that is remembered."""
        head, _, rest = self._kept.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if length is None and _CHUNKED.search(head + b"\r\n"):
            # A body without a length that has nothing in it: its end is not for the process.
            return rest.removeprefix(b"0\r\n\r\n")
        return rest[int(length[1]) if length else 0 :]

    def forget(self) -> None:
        """The request has been answered in HTTP; others follow."""
        self._kept = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass on."""
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass on, and remember."""
        if self._kept or _HIJACKS.match(data):
            self._kept += data
        self._handler.data_received(data)

    def eof_received(self) -> None:
        """Pass on."""
        self._handler.eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Pass on."""
        self._handler.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._handler.resume_writing()


async def serve_on(runner: web.AppRunner, listener: socket.socket) -> asyncio.Server:
    """Serve an application on a listening socket; close what is returned."""
    server = runner.server
    assert server is not None, "the runner is set up"
    return await asyncio.get_running_loop().create_server(lambda: Connection(server()), sock=listener)
