"""How a rootless daemon's containers reach other machines: TCP and DNS, through the broker's sockets.

A network namespace of one's own has no way out. netfilter redirects what
leaves it to two ports of this process: each TCP connection is made anew with
a socket of the host's namespace, and every DNS query goes to the host's own
name servers. Other UDP, ICMP and IPv6 don't get out; `warnings` says so.

Source: SO_ORIGINAL_DST in linux/netfilter_ipv4.h.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

from pydock_lab.daemon.network.nat import Redirect
from pydock_lab.daemon.network.proxy import TcpProxy, UdpProxy
from pydock_lab.daemon.rootless.broker import Broker

_SO_ORIGINAL_DST = 80
_BACKLOG = 512
_CONNECT_S = 30.0
_DNS_PORT = 53


class Outbound:
    """The two ports to which netfilter redirects what leaves the namespace."""

    warnings = ("WARNING: rootless: TCP and DNS reach other machines; other UDP, ping and IPv6 don't leave the engine",)

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._tcp: TcpProxy | None = None
        self._dns: UdpProxy | None = None

    async def start(self) -> Redirect:
        """Open both ports in this process's own network namespace."""
        stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        stream.bind(("0.0.0.0", 0))
        stream.listen(_BACKLOG)
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagram.bind(("0.0.0.0", 0))
        redirect = Redirect(stream.getsockname()[1], datagram.getsockname()[1])
        self._tcp = TcpProxy(stream, self._dial)
        self._dns = UdpProxy(datagram, self._ask)
        return redirect

    def close(self) -> None:
        """Close both ports."""
        if self._tcp is not None:
            self._tcp.close()
        if self._dns is not None:
            self._dns.close()

    async def _dial(self, connection: socket.socket) -> socket.socket:
        raw = connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
        port, packed = struct.unpack_from("!H4s", raw, 2)
        address = name_server() if port == _DNS_PORT else socket.inet_ntoa(packed)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        onward = self._broker.make_socket(family, socket.SOCK_STREAM)
        onward.setblocking(False)
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(onward, (address, port)), _CONNECT_S)
        except asyncio.TimeoutError as error:
            onward.close()
            raise TimeoutError(f"connect {address}:{port}") from error
        except BaseException:
            onward.close()
            raise
        return onward

    def _ask(self) -> socket.socket:
        address = name_server()
        onward = self._broker.make_socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        onward.connect((address, _DNS_PORT))
        return onward


def name_server() -> str:
    """Return the host's first name server; it may well be on the host's loopback, where the broker's sockets are."""
    try:
        for line in Path("/etc/resolv.conf").read_text().splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                return words[1]
    except OSError:
        pass
    return "127.0.0.1"  # resolv.conf(5): the default is the local machine
