"""Whether what comes to a host port of ours reaches us, before the port is given away.

A listening socket keeps others from listening. It does not keep packets from
being led past it: the filter rules of an engine that was killed, Docker's or
ours, outlive its sockets and send its ports to its containers, dead or alive.
A port that we may choose is better another one then. Rootless, too, where
those rules can't be read: a packet to ourselves tells.

Called by ports.py.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable

_WAIT_S = 0.1  # the loopback delivers within the call that sends; only what went astray is waited for
_TOKEN = b"pydock"


def reaches(listener: socket.socket, make_socket: Callable[[int, int], socket.socket]) -> bool:
    """Tell whether a call from this machine to a socket's own address arrives in it.

    Takes some 0.1 ms where it does, 0.1 s where it does not.

    Args:
        listener: Listening (TCP) or bound (UDP), and nobody reads it yet.
        make_socket: From family and type to a socket in the same network namespace.
    """
    address, port = listener.getsockname()[:2]
    return all(_arrives(listener, make_socket, (one, port)) for one in _addresses(address, make_socket))


def close_with_reset(connection: socket.socket) -> None:
    """Close with RST: the other end sees a refusal and not an empty answer, and no TIME_WAIT is left."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def _addresses(address: str, make_socket: Callable[[int, int], socket.socket]) -> list[str]:
    """Of all addresses, the two that rules tell apart: Docker's leave the loopback alone."""
    if address == "::":
        return ["::1"]
    if address != "0.0.0.0":
        return [address]
    with make_socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # sends nothing; the kernel chooses the address it would send from
        return ["127.0.0.1", probe.getsockname()[0]]
    return ["127.0.0.1"]


def _arrives(
    listener: socket.socket, make_socket: Callable[[int, int], socket.socket], address: tuple[str, int]
) -> bool:
    with make_socket(listener.family, listener.type) as caller:
        caller.setblocking(False)
        try:
            with contextlib.suppress(BlockingIOError):
                caller.connect(address)
            if listener.type == socket.SOCK_DGRAM:
                caller.send(_TOKEN)
            if not select.select([listener], [], [], _WAIT_S)[0]:
                return False
            if listener.type == socket.SOCK_DGRAM:
                data, peer = listener.recvfrom(len(_TOKEN))
                return data == _TOKEN and peer == caller.getsockname()
            connection, peer = listener.accept()
            close_with_reset(connection)
            return bool(peer == caller.getsockname())
        except OSError:  # refused, unreachable: whoever answered, it wasn't us
            return False
