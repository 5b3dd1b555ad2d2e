"""HTTP spoken by hand over the daemon's socket: for what no client library shows."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from tests.conftest import Daemon


class Wire:
    """An HTTP connection spoken by hand."""

    def __init__(self, daemon: Daemon) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(daemon.socket))

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def send(self, method: str, path: str, *headers: str, body: bytes = b"", then: bytes = b"") -> None:
        """Send a request, and what follows it in the same packet."""
        lines = [f"{method} {path} HTTP/1.1", "Host: d", *headers]
        if body or method == "POST":
            lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body + then)

    def head(self) -> list[str]:
        """Read the answer's head."""
        text = b""
        while not text.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            assert byte, text
            text += byte
        return text.decode().split("\r\n")[:-2]

    def rest(self) -> bytes:
        """Read to the end."""
        data = b""
        while chunk := self.socket.recv(65536):
            data += chunk
        return data


UPGRADE = ("Connection: Upgrade", "Upgrade: tcp")


def frames(data: bytes) -> dict[int, bytes]:
    """Return what Docker's frames carry, by stream."""
    found: dict[int, bytes] = {}
    while data:
        stream, length = struct.unpack(">BxxxL", data[:8])
        found[stream] = found.get(stream, b"") + data[8 : 8 + length]
        data = data[8 + length :]
    return found


def eventually(condition: Callable[[], bool], patience_s: float = 30) -> None:
    """Wait until something holds; fail if it never does."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.02)
