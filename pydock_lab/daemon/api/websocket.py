"""Between a client's WebSocket and a process's stream of raw bytes.

Source: Docker Engine API 1.47, ContainerAttachWebsocket; RFC 6455.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from aiohttp import WSMsgType, web

_CHUNK = 1 << 16


async def relay(client: web.WebSocketResponse, process: socket.socket) -> None:
    """Pass bytes both ways until the process or the client ends; close the socket."""
    reader, writer = await asyncio.open_connection(sock=process)
    output = asyncio.create_task(_send_output(client, reader))
    try:
        async for message in client:
            if message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
                data = message.data.encode() if message.type == WSMsgType.TEXT else message.data
                writer.write(data)
                await writer.drain()
    except ConnectionError:
        pass  # the process has ended: what it said last is still on its way
    finally:
        output.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await output
        writer.close()


async def _send_output(client: web.WebSocketResponse, reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            await client.send_bytes(data)
    await client.close()
