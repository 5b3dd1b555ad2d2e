"""rtnetlink by hand: just what a container's launch needs, in about one message each.

pyroute2 can do all of this and much more, but importing it costs more than a
whole launch, and here every byte runs between clone and exec. The network room,
which manages bridges for the daemon, uses pyroute2.

Source: netlink(7), rtnetlink(7), veth(4), include/uapi/linux/if_link.h.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct

from pydock_lab.errors import KernelError

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLMSG_ERROR = 2

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_NEWADDR = 20
RTM_NEWROUTE = 24

IFF_UP = 1
IFLA_ADDRESS = 1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_MASTER = 10
IFLA_LINKINFO = 18
IFLA_AF_SPEC = 26
IFLA_NET_NS_FD = 28
IFLA_NUM_TX_QUEUES = 31
IFLA_NUM_RX_QUEUES = 32
IFLA_INET6_ADDR_GEN_MODE = 8
IN6_ADDR_GEN_MODE_NONE = 1
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
VETH_INFO_PEER = 1
IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_BROADCAST = 4
IFA_F_NODAD = 0x02
RTA_OIF = 4
RTA_GATEWAY = 5
RT_TABLE_MAIN = 254
RTPROT_BOOT = 3
RT_SCOPE_UNIVERSE = 0
RT_SCOPE_LINK = 253
RTN_UNICAST = 1


def attribute(kind: int, payload: bytes) -> bytes:
    """Encode one `struct rtattr` with its padding."""
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + b"\0" * (-length % 4)


def _text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def _link(flags: int = 0, index: int = 0) -> bytes:
    """Encode `struct ifinfomsg`; `flags` are also the change mask."""
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


class Netlink:
    """A route socket of the network namespace it was opened in; it stays there whoever uses it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._sequence = 0

    def fileno(self) -> int:
        """Return the socket's fd."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def request(self, kind: int, flags: int, body: bytes, *, name: str, about: str = "") -> None:
        """Send one message and wait for the kernel's answer.

        Args:
            kind: RTM_*.
            flags: NLM_F_* besides REQUEST and ACK.
            body: The header of the family and its attributes.
            name: What to call it in an error.
            about: The link or address it is about.

        Raises:
            KernelError: the kernel refused.
        """
        self._sequence += 1
        header = struct.pack("=IHHII", 16 + len(body), kind, flags | NLM_F_REQUEST | NLM_F_ACK, self._sequence, 0)
        self._socket.send(header + body)
        while True:
            answer = self._socket.recv(65536)
            _, answer_kind, _, sequence, _ = struct.unpack_from("=IHHII", answer)
            if sequence == self._sequence and answer_kind == NLMSG_ERROR:
                break
        (code,) = struct.unpack_from("=i", answer, 16)
        if code:
            raise KernelError(f"netlink({name})", -code, about or None)

    def make_veth(
        self, host_ifname: str, *, bridge_index: int, ifname: str, mac: str, mtu: int, namespace_fd: int
    ) -> None:
        """Make a veth pair in one message: this end on the bridge and up, the peer in another namespace.

        Args:
            host_ifname: Name of the end in this socket's namespace.
            bridge_index: Link index of its master, or 0.
            ifname: Name of the peer.
            mac: The peer's address, or "" for one of the kernel's choice.
            mtu: Of both ends, bytes.
            namespace_fd: The peer's network namespace.
        """
        # The kernel would make a queue for each CPU and, after an RCU grace period, leave all but one unused.
        queues = _number(IFLA_NUM_TX_QUEUES, 1) + _number(IFLA_NUM_RX_QUEUES, 1)
        peer = _link() + _text(IFLA_IFNAME, ifname) + _number(IFLA_MTU, mtu) + queues
        peer += _number(IFLA_NET_NS_FD, namespace_fd)
        if mac:
            peer += attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
        kind = attribute(IFLA_INFO_KIND, b"veth") + attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer))
        body = _link(IFF_UP) + _text(IFLA_IFNAME, host_ifname) + _number(IFLA_MTU, mtu) + queues
        if bridge_index:
            body += _number(IFLA_MASTER, bridge_index)
        body += attribute(IFLA_LINKINFO, kind)
        try:
            self.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, name="veth", about=host_ifname)
        except KernelError as error:
            if error.errno != errno.EEXIST:
                raise
            # A restarted container's old namespace may still be on its way out, with its link.
            self.delete_link(host_ifname)
            self.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, name="veth", about=host_ifname)
        self._keep_bare(host_ifname)

    def _keep_bare(self, ifname: str) -> None:
        """Let a bridge's port have no link-local address: nobody talks to it.

        Each address that comes or goes makes a browser on this host break off what it loads (Chromium:
        ERR_NETWORK_CHANGED), which the learner would see in JupyterLab whenever a container starts. The kernel
        gives the address when the peer is up, so there is time for this message of its own, which it ignores in
        the one that makes the link.
        """
        mode = attribute(IFLA_INET6_ADDR_GEN_MODE, bytes([IN6_ADDR_GEN_MODE_NONE]))
        body = _link() + _text(IFLA_IFNAME, ifname) + attribute(IFLA_AF_SPEC, attribute(socket.AF_INET6, mode))
        with contextlib.suppress(KernelError):  # a kernel without IPv6 has none to give
            self.request(RTM_NEWLINK, 0, body, name="link", about=ifname)

    def delete_link(self, ifname: str) -> None:
        """Remove a link by name."""
        self.request(RTM_DELLINK, 0, _link() + _text(IFLA_IFNAME, ifname), name="link", about=ifname)

    def set_up(self, index: int) -> None:
        """Bring a link up."""
        self.request(RTM_NEWLINK, 0, _link(IFF_UP, index), name="link", about=str(index))

    def add_address(self, index: int, address: str) -> None:
        """Give a link an address with prefix, `172.17.0.2/16` or `fd00::2/64`."""
        text, _, prefix = address.partition("/")
        family, packed = _packed(text)
        bits = int(prefix or len(packed) * 8)
        flags = 0 if family == socket.AF_INET else IFA_F_NODAD
        body = struct.pack("=BBBBI", family, bits, flags, RT_SCOPE_UNIVERSE, index)
        body += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
        if family == socket.AF_INET and bits < 31:
            broadcast = int.from_bytes(packed, "big") | (1 << (32 - bits)) - 1
            body += attribute(IFA_BROADCAST, broadcast.to_bytes(4, "big"))
        self.request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body, name="address", about=address)

    def set_default_route(self, gateway: str, index: int) -> None:
        """Route everything else through `gateway`, reached over link `index`, and no longer through another."""
        family, packed = _packed(gateway)
        body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0)
        body += attribute(RTA_GATEWAY, packed) + _number(RTA_OIF, index)
        self.request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, name="route", about=f"default via {gateway}")


def _packed(address: str) -> tuple[int, bytes]:
    """Return an address's family and its bytes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


def own_namespace() -> int:
    """Return an fd of this process's network namespace; close-on-exec."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
