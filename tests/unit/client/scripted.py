"""An engine that gives one prepared answer, for tests of how it is read."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydock_lab.client.wire import Endpoint


@contextlib.contextmanager
def scripted(directory: Path, pieces: Sequence[bytes]) -> Iterator[Endpoint]:
    """Listen on a unix socket; answer the one request with these pieces, then hang up."""
    path = directory / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(10)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Endpoint(f"unix://{path}")
        finally:
            thread.join()
            path.unlink()
