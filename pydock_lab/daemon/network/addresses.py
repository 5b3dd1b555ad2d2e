"""IP address management: which subnet a network gets, which address a container gets.

Two laws: a subnet never overlaps a route the host has (another daemon's
bridges are such routes), and an address is never given out twice. Addresses
are given lowest first, as Docker's default IPAM driver does.

Source: moby libnetwork/ipamutils (the default pools), libnetwork/ipam.
"""

from __future__ import annotations

import heapq
import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydock_lab.errors import Forbidden, InvalidParameter, NotFound

Network4or6 = ipaddress.IPv4Network | ipaddress.IPv6Network
Address4or6 = ipaddress.IPv4Address | ipaddress.IPv6Address

_DEFAULT_POOLS = (
    *((f"172.{second}.0.0/16", 16) for second in range(17, 32)),
    ("192.168.0.0/16", 20),
)


class AddressPool:
    """The addresses of one subnet, lowest free one first.

    Args:
        subnet: The network's subnet.
        ip_range: The part of it that containers get addresses from when they ask for none.
        reserved: Addresses never given out (gateway, auxiliary addresses).
    """

    def __init__(
        self, subnet: Network4or6, ip_range: Network4or6 | None = None, reserved: Iterable[Address4or6] = ()
    ) -> None:
        self.subnet = subnet
        pool = ip_range or subnet
        # The subnet's own first and (IPv4) last address name the network and its broadcast.
        self._first = max(int(pool.network_address), int(subnet.network_address) + 1)
        last = int(subnet.broadcast_address) - (1 if subnet.version == 4 else 0)
        self._last = min(int(pool.broadcast_address), last)
        self._address = type(subnet.network_address)
        self._used = {int(address) for address in reserved}
        self._watermark = self._first  # nothing at or above it was ever given out by take()
        self._freed: list[int] = []  # heap of freed numbers below the watermark

    def take(self) -> Address4or6:
        """Reserve the lowest free address. Raises Forbidden when the range is exhausted."""
        while self._freed:
            number = heapq.heappop(self._freed)
            if number not in self._used:
                self._used.add(number)
                return self._address(number)
        while self._watermark in self._used:
            self._watermark += 1
        if self._watermark > self._last:
            raise Forbidden(f"no available IPv{self.subnet.version} addresses on this network's address pools")
        number = self._watermark
        self._watermark += 1
        self._used.add(number)
        return self._address(number)

    def take_this(self, text: str) -> Address4or6:
        """Reserve the address that was asked for.

        Raises:
            InvalidParameter: it is not an address of this subnet.
            Forbidden: it is in use.
        """
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise InvalidParameter(f"invalid IPv{self.subnet.version} address: {text}") from None
        if address not in self.subnet:
            raise InvalidParameter(
                f"Invalid address {text}: It does not belong to any of this network's subnets",
                hint=f"the network's subnet is {self.subnet}",
            )
        if int(address) in self._used:
            raise Forbidden("Address already in use")
        self._used.add(int(address))
        return address

    def free(self, text: str) -> None:
        """Give an address back; no error if it was not taken."""
        number = int(ipaddress.ip_address(text))
        if number in self._used:
            self._used.discard(number)
            if self._first <= number < self._watermark:
                heapq.heappush(self._freed, number)


def overlaps(network: Network4or6, others: Iterable[Network4or6]) -> bool:
    """Tell whether a range shares an address with one of the others; the two families never do."""
    return any(network.version == other.version and network.overlaps(other) for other in others)


def free_subnet(taken: Iterable[Network4or6]) -> ipaddress.IPv4Network:
    """Return the first of Docker's default pools that overlaps nothing in `taken`."""
    occupied = list(taken)
    for pool, prefix in _DEFAULT_POOLS:
        for subnet in ipaddress.IPv4Network(pool).subnets(new_prefix=prefix):
            if not overlaps(subnet, occupied):
                return subnet
    raise NotFound(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
        hint="remove networks that are no longer used: docker network prune",
    )


def unique_local_subnet(network_id: str) -> ipaddress.IPv6Network:
    """Return the /64 of RFC 4193 that belongs to a network id: fd, then 56 bits of the id."""
    prefix = int("fd" + network_id[:14], 16) << 64
    return ipaddress.IPv6Network((prefix, 64))


def host_routes() -> list[Network4or6]:
    """Return what this network namespace has routes to, default routes left out.

    Source: proc(5) /proc/net/route and /proc/net/ipv6_route; both show the reader's own namespace.
    """
    return [*_routes4(), *_routes6()]


def _routes4() -> Iterator[Network4or6]:
    for line in Path("/proc/self/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        # Little-endian hex, as the kernel prints a 32-bit number of its own byte order.
        address, mask = (socket.inet_ntoa(struct.pack("=I", int(fields[i], 16))) for i in (1, 7))
        if mask != "0.0.0.0":
            yield ipaddress.IPv4Network((address, mask), strict=False)


def _routes6() -> Iterator[Network4or6]:
    try:
        lines = Path("/proc/self/net/ipv6_route").read_text().splitlines()
    except FileNotFoundError:  # a kernel without IPv6
        return
    for line in lines:
        address, prefix = line.split()[:2]
        if 0 < int(prefix, 16) < 128:
            yield ipaddress.IPv6Network((int(address, 16), int(prefix, 16)), strict=False)
