"""Both ways over one connection: attach and exec, Docker's "hijacked" streams.

docker-py's `attach_socket` drops what the engine sent in the same packet as its
answer (the bytes sit in a buffer it throws away), so a first line of output can
be lost; this reads the answer itself. Source: Docker Engine API, "Attach to a
container", stream format.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydock_lab.client.wire import Endpoint, exchange

StreamName = Literal["stdout", "stderr"]

_HEADER = struct.Struct(">BxxxL")
_STREAMS: dict[int, StreamName] = {0: "stdout", 1: "stdout", 2: "stderr"}
_CHUNK = 65536


class HijackedStream:
    """A connection that became a stream of bytes.

    Args:
        connection: The connected socket.
        early: What arrived after the answer's headers.
    """

    def __init__(self, connection: socket.socket, early: bytes) -> None:
        self._socket = connection
        self._early = early

    def fileno(self) -> int:
        """The descriptor, for select(); see `pending` before waiting on it."""
        return self._socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether `read` returns at once because bytes have been received already."""
        return bool(self._early)

    def read(self, size: int = _CHUNK) -> bytes:
        """Return up to `size` bytes; b"" at the end."""
        if self._early:
            data, self._early = self._early[:size], self._early[size:]
            return data
        try:
            return self._socket.recv(size)
        except ConnectionResetError:
            return b""

    def frames(self) -> Iterator[tuple[StreamName, bytes]]:
        """Yield what a container without a tty writes, with the stream it wrote to."""
        return demultiplex(iter(self.read, b""))

    def chunks(self) -> Iterator[tuple[StreamName, bytes]]:
        """Yield what a container with a tty writes: one stream, no frames."""
        while data := self.read():
            yield "stdout", data

    def write(self, data: bytes) -> None:
        """Send bytes to the process's stdin."""
        self._socket.sendall(data)

    def close_write(self) -> None:
        """Tell the process that its stdin has ended; its output goes on.

        Not over TLS, where Python can't close one direction alone: there stdin stays open.
        """
        if hasattr(self._socket, "unwrap"):
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def handed_over(self) -> HijackedStream:
        """Return the stream as another object; closing this one no longer closes the connection."""
        successor = HijackedStream(self._socket, self._early)
        self._socket, self._early = socket.socket(socket.AF_UNIX), b""  # connected to nobody: fit to be closed
        return successor

    def close(self) -> None:
        """Close the connection; wakes a reader in another thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def demultiplex(chunks: Iterable[bytes]) -> Iterator[tuple[StreamName, bytes]]:
    """Take Docker's frames (stream, length, payload) apart, however the bytes were cut up on the way."""
    buffer, kind, left = b"", 0, 0
    for chunk in chunks:
        buffer += chunk
        while buffer:
            if not left:
                if len(buffer) < _HEADER.size:
                    break
                kind, left = _HEADER.unpack_from(buffer)
                buffer = buffer[_HEADER.size :]
            if buffer and left:
                yield _STREAMS.get(kind, "stderr"), buffer[:left]
                left, buffer = left - len(buffer[:left]), buffer[left:]


def hijack(endpoint: Endpoint, target: str, document: dict[str, Any] | None = None) -> HijackedStream:
    """Send a POST that takes the connection over.

    Args:
        endpoint: Of the engine.
        target: Path and query, version included: `/v1.41/containers/ID/attach?stream=1`.
        document: JSON body, or None.

    Raises:
        EngineError: the engine refused, in its words.
        OSError: nobody listens there.
    """
    body = b"" if document is None else json.dumps(document).encode()
    headers = {"Connection": "Upgrade", "Upgrade": "tcp", "Content-Type": "application/json"}
    return HijackedStream(*exchange(endpoint, "POST", target, body=body, headers=headers).take_over())
