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
from urllib.parse import urlsplit

from pydock_lab.client.commands.failure import CommandError

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
        """Tell the process that its stdin has ended; its output goes on."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

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


def hijack(connection: socket.socket, target: str, document: dict[str, Any] | None = None) -> HijackedStream:
    """Send a POST that takes the connection over.

    Args:
        connection: A fresh connection to the engine; closed if the engine refuses.
        target: Path and query, version included: `/v1.41/containers/ID/attach?stream=1`.
        document: JSON body, or None.

    Raises:
        CommandError: the engine refused, in its words.
    """
    body = b"" if document is None else json.dumps(document).encode()
    head = (
        f"POST {target} HTTP/1.1\r\nHost: docker\r\nUser-Agent: pydock_lab\r\n"
        f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(_CHUNK)
        if not piece:
            connection.close()
            raise CommandError("error during connect: the engine closed the connection")
        received += piece
    headers, _, rest = received.partition(b"\r\n\r\n")
    status = int(headers.split(None, 2)[1])
    if status in (101, 200):
        return HijackedStream(connection, rest)
    with contextlib.closing(connection):
        raise CommandError(f"Error response from daemon: {_refusal(connection, headers, rest)}")


def open_socket(base_url: str, tls: Any = None) -> socket.socket:
    """Connect to an engine.

    Args:
        base_url: `unix:///path` or `tcp://host:port`.
        tls: docker-py's TLSConfig, or None.
    """
    parts = urlsplit(base_url)
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(parts.path)
        return connection
    if parts.scheme not in ("tcp", "http", "https"):
        raise CommandError(f"attaching over {parts.scheme}:// is not supported")
    connection = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 2375))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return connection
    import ssl

    context = ssl.create_default_context(cafile=tls.ca_cert or None)
    context.check_hostname = bool(tls.verify)
    context.verify_mode = ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE
    if tls.cert:
        context.load_cert_chain(*tls.cert)
    return context.wrap_socket(connection, server_hostname=parts.hostname)


def _refusal(connection: socket.socket, headers: bytes, rest: bytes) -> str:
    """Read the engine's error message; its length is given or the body is one chunk or ends with the connection."""
    lines = dict(line.lower().split(b":", 1) for line in headers.split(b"\r\n")[1:] if b":" in line)
    length = int(lines.get(b"content-length", b"-1"))
    chunked = b"chunked" in lines.get(b"transfer-encoding", b"")
    connection.settimeout(5)
    with contextlib.suppress(OSError):
        while length < 0 or len(rest) < length:
            if chunked and rest.endswith(b"0\r\n\r\n"):
                break
            piece = connection.recv(_CHUNK)
            if not piece:
                break
            rest += piece
    start, end = rest.find(b"{"), rest.rfind(b"}")
    try:
        return str(json.loads(rest[start : end + 1])["message"])
    except (ValueError, KeyError):
        return rest.decode(errors="replace").strip()
