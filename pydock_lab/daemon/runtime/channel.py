"""Messages with file descriptors over a unix socket: JSON, one message a packet (SOCK_SEQPACKET).

Spoken between the daemon and the keeper, and between the keeper and its
children. A message longer than a packet goes through a memfd.

Source: unix(7), cmsg(3).
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]

# A packet must fit the send buffer (net.core.wmem_default, 212992 at least); larger ones travel as a memfd.
PACKET_BYTES = 128 * 1024
MAX_FDS = 8
_BY_MEMFD = b"@"


def encode(message: Message) -> bytes:
    """Return a message as compact JSON."""
    return json.dumps(message, separators=(",", ":")).encode()


def send_message(channel: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send one message; the receiver gets duplicates of `fds`.

    Raises:
        OSError: the other side is gone, or (non-blocking) its buffer is full.
    """
    raw = encode(message)
    if len(raw) <= PACKET_BYTES:
        _send(channel, raw, fds)
        return
    memory = os.memfd_create("message", os.MFD_CLOEXEC)
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(raw)
        _send(channel, _BY_MEMFD, (memory, *fds))
    finally:
        os.close(memory)


def _send(channel: socket.socket, raw: bytes, fds: Sequence[int]) -> None:
    if fds:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        channel.sendmsg([raw], rights, socket.MSG_NOSIGNAL)
    else:
        channel.send(raw, socket.MSG_NOSIGNAL)


def receive_message(channel: socket.socket) -> tuple[Message | None, list[int]]:
    """Receive one message and its fds (close-on-exec); (None, []) when the other side is gone."""
    raw, ancillary, _, _ = channel.recvmsg(PACKET_BYTES, socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC)
    numbers = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    fds = list(numbers)
    if not raw:
        close_all(fds)
        return None, []
    if raw == _BY_MEMFD:
        with open(fds.pop(0), "rb") as file:
            file.seek(0)
            raw = file.read()
    message: Message = json.loads(raw)
    return message, fds


def close_all(fds: Sequence[int]) -> None:
    """Close fds that may be closed already."""
    for fd in fds:
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)
