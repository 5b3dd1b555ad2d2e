"""What the kernel itself says of links, addresses and routes: the base of the network map.

Read by a library of its own (pyroute2), not by the code that made the links,
so that the map shows what is there and not what we meant to make. Containers'
ends are read through /proc/PID/net, which shows a process's own network
namespace without entering it.

Source: rtnetlink(7), proc(5).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True)
class Link:
    """One link of this network namespace.

    Attributes:
        peer: Link index of a veth's other end, in the namespace `namespace`; 0 for other links.
        namespace: The kernel's number for the other end's network namespace, -1 for this one.
        master: Link index of its bridge, or 0.
        addresses: With prefix.
    """

    index: int
    name: str
    kind: str
    state: str
    mac: str
    mtu: int
    master: int
    peer: int
    namespace: int
    addresses: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Route:
    """Where packets for a range leave; the range of a default route is 0.0.0.0/0 or ::/0."""

    to: str
    link: str
    gateway: str


@dataclass(frozen=True)
class HostView:
    """Links by index, and the main routing table."""

    links: dict[int, Link]
    routes: list[Route]

    def by_name(self, name: str) -> Link | None:
        """Return a link by its name."""
        return next((link for link in self.links.values() if link.name == name), None)

    def route_to(self, address: str) -> Route | None:
        """Return the most specific route to an address."""
        wanted = ipaddress.ip_address(address)
        ranges = ((ipaddress.ip_network(route.to), route) for route in self.routes)
        fitting = [(r.prefixlen, route) for r, route in ranges if r.version == wanted.version and wanted in r]
        return max(fitting, key=lambda one: one[0])[1] if fitting else None


def read_host() -> HostView:
    """Ask the kernel for everything at once; blocks for some 50 ms, the first time longer."""
    from pyroute2 import IPRoute  # 11 MiB and 0.1 s, for those who look at the map

    with IPRoute() as kernel:
        links = {message["index"]: _link(message) for message in kernel.get_links()}
        for message in kernel.get_addr():
            if link := links.get(message["index"]):
                link.addresses.append(f"{message.get('local') or message.get('address')}/{message['prefixlen']}")
        routes = [route for family in _FAMILIES for route in _routes(kernel, family, links)]
    return HostView(links, routes)


def _link(message: object) -> Link:
    get = message.get  # type: ignore[attr-defined]
    kind = get(("linkinfo", "kind")) or ("loopback" if get("ifname") == "lo" else "")
    return Link(
        index=get("index"),
        name=get("ifname"),
        kind=kind,
        state=(get("operstate") or "").lower(),
        mac=get("address") or "",
        mtu=get("mtu") or 0,
        master=get("master") or 0,
        peer=(get("link") or 0) if kind == "veth" else 0,
        namespace=-1 if get("link_netnsid") is None else get("link_netnsid"),
    )


def _routes(kernel: object, family: int, links: dict[int, Link]) -> Iterator[Route]:
    for message in kernel.get_routes(family=family, table=254):  # type: ignore[attr-defined]
        link = links.get(message.get("oif") or 0)
        if link is not None:
            start = message.get("dst") or ("0.0.0.0" if family == socket.AF_INET else "::")
            yield Route(f"{start}/{message['dst_len']}", link.name, message.get("gateway") or "")


@dataclass(frozen=True)
class InnerLink:
    """A link as seen in a container: its index and name there, and its addresses with prefix."""

    index: int
    name: str
    addresses: list[str]


def read_container(pid: int) -> list[InnerLink]:
    """Return the links of a process's network namespace; none where it has ended."""
    try:
        net = Path(f"/proc/{pid}/net")
        names = dict(_link_names((net / "igmp").read_text()))
        addresses = [*_addresses4(net)]
        if (net / "if_inet6").exists():
            addresses += _addresses6((net / "if_inet6").read_text())
    except OSError:
        return []
    return [InnerLink(index, name, [a for link, a in addresses if link == name]) for index, name in names.items()]


def _link_names(igmp: str) -> Iterator[tuple[int, str]]:
    """Every link that is up is in a multicast group, and listed with its index and name."""
    for line in igmp.splitlines()[1:]:
        fields = line.replace(":", " ").split()
        if fields[0].isdigit() and not line[0].isspace():
            yield int(fields[0]), fields[1]


def _addresses4(net: Path) -> Iterator[tuple[str, str]]:
    """Local addresses with the range that is routed over the same link."""
    local, last = [], ""
    for line in (net / "fib_trie").read_text().splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == "|--":
            last = words[1]
        elif words[:1] == ["/32"] and "LOCAL" in words and last not in local:
            local.append(last)
    for line in (net / "route").read_text().splitlines()[1:]:
        fields = line.split()
        address, mask = (socket.inet_ntoa(struct.pack("=I", int(fields[i], 16))) for i in (1, 7))
        if mask != "0.0.0.0" and int(fields[2], 16) == 0:
            network = ipaddress.IPv4Network((address, mask), strict=False)
            yield from ((fields[0], f"{a}/{network.prefixlen}") for a in local if ipaddress.IPv4Address(a) in network)


def _addresses6(if_inet6: str) -> Iterator[tuple[str, str]]:
    for line in if_inet6.splitlines():
        address, _, prefix, _, _, name = line.split()
        yield name, f"{ipaddress.IPv6Address(int(address, 16))}/{int(prefix, 16)}"
