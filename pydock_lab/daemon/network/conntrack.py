"""The kernel's memory of connections: forgetting those of a UDP port that has moved.

A flow keeps the way its first packet went. A UDP client that goes on sending
keeps such a flow alive for ever, so when its port is published, or published
by another container, the old one has to be forgotten or it never arrives.
TCP needs none of this: its connections end.

Source: linux/netfilter/nfnetlink_conntrack.h; moby libnetwork/iptables/conntrack.go.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Collection, Iterator

_NETLINK_NETFILTER = 12
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 0x1, 0x4, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_CTNETLINK = 1 << 8
_GET, _DELETE = _CTNETLINK | 1, _CTNETLINK | 2
_TUPLE_ORIG, _TUPLE_PROTO, _PROTO_NUM, _PROTO_DST_PORT = 1, 2, 1, 3
_NESTED = 0x7FFF  # the flags of an attribute's type masked out
_BUFFER = 1 << 16
_PATIENCE_S = 2.0


def forget_udp(ports: Collection[int]) -> int:
    """Forget flows to these UDP ports, of both families; return how many. Blocks; takes some 0.1 ms.

    No error where the kernel does not let us: then there is nothing that could be remembered for us either.
    """
    forgotten = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
        kernel.settimeout(_PATIENCE_S)
        with contextlib.suppress(OSError):
            flows = [flow for flow in _dump(kernel) if _udp_port(flow[1]) in ports]
            for family, flow in flows:
                body = struct.pack("=BBH", family, 0, 0) + _attribute(_TUPLE_ORIG | 0x8000, flow)
                _send(kernel, _DELETE, _NLM_F_ACK, body)
                answer = kernel.recv(_BUFFER)
                (code,) = struct.unpack_from("=i", answer, 16)
                forgotten += code == 0
    return forgotten


def _dump(kernel: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield family and original tuple of every flow."""
    _send(kernel, _GET, _NLM_F_DUMP, struct.pack("=BBH", socket.AF_UNSPEC, 0, 0))
    while True:
        data, at = kernel.recv(_BUFFER), 0
        while at + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", data, at + 16)
                raise OSError(-code, errno.errorcode.get(-code, ""))
            tuple_ = _attributes(data[at + 20 : at + length]).get(_TUPLE_ORIG)
            if tuple_ is not None:
                yield data[at + 16], tuple_
            at += length + -length % 4


def _udp_port(flow: bytes) -> int:
    """Return the port a UDP flow goes to, -1 for another protocol."""
    protocol = _attributes(_attributes(flow).get(_TUPLE_PROTO, b""))
    if protocol.get(_PROTO_NUM, b"")[:1] != bytes([socket.IPPROTO_UDP]):
        return -1
    return int.from_bytes(protocol[_PROTO_DST_PORT][:2], "big")


def _attributes(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind & _NESTED] = data[at + 4 : at + length]
        at += length + -length % 4
    return found


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def _send(kernel: socket.socket, kind: int, flags: int, body: bytes) -> None:
    kernel.send(struct.pack("=IHHII", 16 + len(body), kind, flags | _NLM_F_REQUEST, 1, 0) + body)
