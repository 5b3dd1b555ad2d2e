"""A container's log, followed: what a slow page can't take is left out in the middle, and counted.

The reader never waits for the page, the page is sent ten messages a second at
most, and what waits between them is bounded.
"""

from __future__ import annotations

import codecs
import contextlib
import threading
from collections.abc import Iterator
from typing import NamedTuple

from pydock_lab.client.connection import Connection
from pydock_lab.client.hijack import demultiplex
from pydock_lab.client.wire import Response
from pydock_lab.errors import LabError
from pydock_lab.server.actions import LOG_LINES

_WAITING_BYTES = 256 * 1024


class Piece(NamedTuple):
    """What came since the last one.

    Attributes:
        text: Output, stdout and stderr as they came.
        skipped: Bytes that were left out in front of it.
        ended: Nothing more will come.
    """

    text: str
    skipped: int
    ended: bool


class LogTail:
    """The end of a container's log and what is written from now on.

    Args:
        connection: To the engine.
        name: Of the container.

    Raises:
        LabError: there is no such container, or its log can't be read.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        query = {"follow": True, "stdout": True, "stderr": True, "tail": LOG_LINES}
        is_raw = connection.request("GET", f"/containers/{name}/json").json()["Config"]["Tty"]
        self._stream = connection.request("GET", f"/containers/{name}/logs", query=query, stream=True)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lock = threading.Lock()
        self._waiting = bytearray()
        self._skipped = 0
        self._ended = False
        threading.Thread(target=self._read, args=(self._stream, is_raw), name="pydock-logs", daemon=True).start()

    def take(self) -> Piece:
        """Return what waits; may be nothing."""
        with self._lock:
            data, skipped, ended = bytes(self._waiting), self._skipped, self._ended
            self._waiting.clear()
            self._skipped = 0
        return Piece(self._decoder.decode(data, final=ended), skipped, ended)

    def close(self) -> None:
        """Stop following."""
        self._stream.close()

    def _read(self, stream: Response, is_raw: bool) -> None:
        with contextlib.suppress(LabError, OSError, ValueError):  # closed by `close`, or the engine ended
            for data in _output(stream, is_raw):
                with self._lock:
                    self._waiting += data
                    if (over := len(self._waiting) - _WAITING_BYTES) > 0:
                        line_end = self._waiting.find(b"\n", over) + 1
                        cut = line_end or over
                        del self._waiting[:cut]
                        self._skipped += cut
        with self._lock:
            self._ended = True


def _output(stream: Response, is_raw: bool) -> Iterator[bytes]:
    pieces = stream.iter_content()
    return pieces if is_raw else (data for _, data in demultiplex(pieces))
