"""Name servers outside: where questions go that are not about containers.

Asked with sockets of the daemon's own network, or rootless of the host's (the
broker makes those): so a name server on the host's loopback can be reached,
as from any other program of the host.

Source: moby libnetwork/resolver.go (servers in turn, four seconds each).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence

from pydock_lab.daemon.network.dns_message import REFUSED, SERVFAIL, response_code

_DNS_PORT = 53
_PATIENCE_S = 4.0
_MESSAGE = 65535
_NEXT_SERVER = (SERVFAIL, REFUSED)

MakeSocket = Callable[[int, int], socket.socket]


class Upstream:
    """Name servers, asked one after the other until one knows.

    Args:
        servers: Addresses.
        make_socket: From family and type to a socket in the network that reaches them.
    """

    def __init__(self, servers: Sequence[str], make_socket: MakeSocket = socket.socket) -> None:
        self._servers = servers
        self._make_socket = make_socket

    async def ask(self, query: bytes, *, stream: bool) -> bytes | None:
        """Pass a message on and return what comes back; None if no server answers.

        Args:
            query: The whole message, without TCP's length.
            stream: Over TCP: the client asked so because an answer did not fit a datagram.
        """
        refusal = None
        for server in self._servers:
            try:
                answer = await asyncio.wait_for(self._exchange(server, query, stream=stream), _PATIENCE_S)
            except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                continue
            if response_code(answer) not in _NEXT_SERVER:
                return answer
            refusal = answer
        return refusal

    async def _exchange(self, server: str, query: bytes, *, stream: bool) -> bytes:
        flags = socket.AI_NUMERICHOST
        family, _, _, _, place = socket.getaddrinfo(server, _DNS_PORT, type=socket.SOCK_DGRAM, flags=flags)[0]
        loop = asyncio.get_running_loop()
        with self._make_socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            await loop.sock_connect(channel, place)
            if stream:
                await loop.sock_sendall(channel, struct.pack("!H", len(query)) + query)
                (length,) = struct.unpack("!H", await _read(channel, 2))
                return await _read(channel, length)
            await loop.sock_sendall(channel, query)
            while True:
                answer = await loop.sock_recv(channel, _MESSAGE)
                if answer[:2] == query[:2]:  # anything else answers nobody
                    return answer


async def _read(channel: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        chunk = await asyncio.get_running_loop().sock_recv(channel, length - len(data))
        if not chunk:
            raise asyncio.IncompleteReadError(data, length)
        data += chunk
    return data
