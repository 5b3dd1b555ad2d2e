"""Published ports and rootless traffic carried by the daemon itself, TCP and UDP.

As root the kernel forwards IPv4 and this is the way in for IPv6 (and the net
below the kernel's rules if somebody flushed them), as Docker's userland proxy
is. Rootless it is the only way: a listening socket of the host's namespace,
a connection in the daemon's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from pydock_lab.daemon.network.reach import close_with_reset

log = logging.getLogger("pydock.network")

Dial = Callable[[socket.socket], Awaitable[socket.socket]]
"""From an accepted connection to a connected, non-blocking socket on the other side."""

_UDP_IDLE_S = 90.0  # docker-proxy's UDPConnTrackTimeout
_CHUNK = 65536
_PENDING = 512


class Pipe(asyncio.Protocol):
    """One end of a proxied connection: what arrives here is sent by `other`, whose pace it keeps.

    The ends connect one after the other, so the first may have something for
    the second before that has a transport: it waits in `_early`.
    """

    other: Pipe

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._early = b""
        self._ended = False
        self._lost = False

    @classmethod
    def pair(cls) -> tuple[Pipe, Pipe]:
        """Return two ends that belong together."""
        one, other = cls(), cls()
        one.other, other.other = other, one
        return one, other

    def send(self, data: bytes) -> None:
        """Send to our peer."""
        if self.transport is None:
            self._early += data
        elif not self._lost:
            self.transport.write(data)

    def end(self) -> None:
        """Send our peer the end of the stream; it may go on sending."""
        self._ended = True
        if self.transport is not None and not self.transport.is_closing():
            with contextlib.suppress(OSError):
                self.transport.write_eof()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what the other end had for us."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._early:
            transport.write(self._early)
            self._early = b""
        if self._ended:
            self.end()
        if self.other._lost:
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self.other.send(data)

    def eof_received(self) -> bool:
        """Pass a half-close on and stay open for the answer; close when both have ended."""
        self.other.end()
        return not self._ended

    def pause_writing(self) -> None:
        """Our peer is slow: read no more from the other one."""
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Our peer caught up."""
        if self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Close the other end once it has sent what it has; break it if we were broken."""
        self._lost = True
        if self.other.transport is not None:
            if error is not None:
                self.other.transport.abort()
            else:
                self.other.transport.close()


class TcpProxy:
    """Accepts on a listening socket and joins each connection with one that `dial` makes."""

    def __init__(self, listener: socket.socket, dial: Dial) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._dial = dial
        self._tasks: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.Transport] = set()
        self._loop = asyncio.get_running_loop()
        # A reader, not a task per listener: hundreds of published ports must cost nothing while idle.
        self._loop.add_reader(listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it went away again, or no descriptors are left
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._join(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, connection: socket.socket) -> None:
        try:
            onward = await self._dial(connection)
        except OSError as error:
            log.debug("proxy: %s", error)
            close_with_reset(connection)
            return
        except asyncio.CancelledError:
            connection.close()
            raise
        for pipe, sock in zip(Pipe.pair(), (connection, onward), strict=True):
            transport, _ = await self._loop.create_connection(partial(_same, pipe), sock=sock)
            self._transports = {t for t in self._transports if not t.is_closing()} | {transport}

    def close(self) -> None:
        """Stop accepting and break what is open."""
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        for transport in self._transports:
            transport.abort()


def _same(pipe: Pipe) -> Pipe:
    return pipe


def dial_addresses(addresses: Sequence[str], port: int) -> Dial:
    """Return a dialler to the first of these that listens, in the daemon's own network namespace."""

    async def dial(_: socket.socket) -> socket.socket:
        for address in addresses[:-1]:
            with contextlib.suppress(OSError):
                return await _connect(address, port)
        return await _connect(addresses[-1], port)

    return dial


async def _connect(address: str, port: int) -> socket.socket:
    onward = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    onward.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(onward, (address, port))
    except BaseException:
        onward.close()
        raise
    return onward


@dataclass
class _Client:
    """One peer of a UDP port and the socket that speaks for it."""

    onward: socket.socket
    used_at: float


class UdpProxy:
    """Carries datagrams between the clients of one bound socket and one other place.

    Args:
        listener: Bound datagram socket; closed by close().
        connect: Makes a socket connected to the other place.
    """

    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._connect = connect
        self._clients: dict[tuple[object, ...], _Client] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listener.fileno(), self._from_client)
        self._sweeper = self._loop.call_later(_UDP_IDLE_S, self._sweep)

    def _from_client(self) -> None:
        for _ in range(_PENDING):
            try:
                data, peer = self._listener.recvfrom(_CHUNK)
            except OSError:
                return
            client = self._clients.get(peer) or self._meet(peer)
            if client is not None:
                client.used_at = self._loop.time()
                with contextlib.suppress(OSError):  # a full buffer or a dead container loses datagrams
                    client.onward.send(data)

    def _meet(self, peer: tuple[object, ...]) -> _Client | None:
        try:
            onward = self._connect()
        except OSError as error:
            log.debug("proxy: %s", error)
            return None
        onward.setblocking(False)
        client = self._clients[peer] = _Client(onward, self._loop.time())
        self._loop.add_reader(onward.fileno(), self._to_client, peer, client)
        return client

    def _to_client(self, peer: tuple[object, ...], client: _Client) -> None:
        try:
            data = client.onward.recv(_CHUNK)
        except OSError:
            return
        client.used_at = self._loop.time()
        with contextlib.suppress(OSError):
            self._listener.sendto(data, peer)

    def _sweep(self) -> None:
        oldest = self._loop.time() - _UDP_IDLE_S
        for peer, client in list(self._clients.items()):
            if client.used_at < oldest:
                self._forget(peer, client)
        self._sweeper = self._loop.call_later(_UDP_IDLE_S, self._sweep)

    def _forget(self, peer: tuple[object, ...], client: _Client) -> None:
        del self._clients[peer]
        self._loop.remove_reader(client.onward.fileno())
        client.onward.close()

    def close(self) -> None:
        """Stop carrying."""
        self._sweeper.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for peer, client in list(self._clients.items()):
            self._forget(peer, client)


def connected_datagrams(address: str, port: int) -> Callable[[], socket.socket]:
    """Return a maker of datagram sockets connected to one place in the daemon's own namespace."""

    def connect() -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        onward = socket.socket(family, socket.SOCK_DGRAM)
        onward.connect((address, port))
        return onward

    return connect
