"""The output of many containers, line by line, each with its name before it.

Source: docker/compose pkg/compose/logs.go, cmd/formatter/{logs,colors}.go.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Session, Stream
from pydock_lab.client.compose.state import Observed
from pydock_lab.client.hijack import demultiplex

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


class Lines:
    """Writes lines of several containers so that none is cut by another's.

    Args:
        session: The session.
        names: What stands before the lines; the longest sets the width.
        prefix: Write the names.
        colour: Colour them.
    """

    def __init__(self, session: Session, names: Iterable[str], *, prefix: bool = True, colour: bool = False) -> None:
        self._session = session
        self._names = list(dict.fromkeys(names))
        self._prefix = prefix
        self._colour = colour
        self._lock = threading.Lock()

    def add(self, name: str) -> None:
        """Take in a name that was not known at first."""
        with self._lock:
            if name not in self._names:
                self._names.append(name)

    def write(self, name: str, line: bytes, stream: Stream = "stdout") -> None:
        """Write one line, without its end."""
        with self._lock:
            self._session.output.write(stream, self._head(name) + line + b"\n")

    def say(self, text: str) -> None:
        """Write a line of Compose's own."""
        with self._lock:
            self._session.say(text)

    def _head(self, name: str) -> bytes:
        if not self._prefix:
            return b""
        width = max(len(known) for known in [*self._names, name]) + 1
        text = f"{name:<{width}} | "
        if self._colour:
            number = self._names.index(name) if name in self._names else 0
            text = f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{text}\x1b[0m"
        return text.encode()


class Follower(threading.Thread):
    """Shows one container's output until it ends.

    Args:
        session: The session.
        container: The container.
        lines: Where they go.
        query: Of the logs: `follow`, `tail`, `since`, …
        tty: The container has a terminal: its output has no frames.
        joined: Errors are output like any other, as `logs` shows them; otherwise they stay errors, as for `up`.
    """

    def __init__(
        self,
        session: Session,
        container: Observed,
        lines: Lines,
        query: Mapping[str, Any],
        *,
        tty: bool,
        joined: bool = False,
    ) -> None:
        super().__init__(name=f"logs of {container.name}", daemon=True)
        self._session = session
        self._container = container
        self._lines = lines
        self._query = query
        self._tty = tty
        self._joined = joined
        self._response: Any = None

    def run(self) -> None:
        """Read to the end; an engine that goes away ends it too."""
        name = self._container.short_name
        try:
            path = f"/containers/{self._container.id}/logs"
            query = {"stdout": 1, "stderr": 1, **self._query}
            self._response = self._session.connection.request("GET", path, stream=True, query=query)
            rests: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
            chunks = self._response.iter_content(None)
            pieces: Iterator[tuple[Stream, bytes]]
            pieces = (("stdout", chunk) for chunk in chunks) if self._tty else demultiplex(chunks)
            for stream, data in pieces:
                *whole, rest = (rests[stream] + data).split(b"\n")
                for line in whole:
                    self._write(name, line.removesuffix(b"\r"), stream)
                rests[stream] = rest
            for stream, rest in rests.items():
                if rest:
                    self._write(name, rest, stream)
        except (CommandError, OSError, ValueError):
            return

    def _write(self, name: str, line: bytes, stream: Stream) -> None:
        self._lines.write(name, line, "stdout" if self._joined else stream)

    def close(self) -> None:
        """Stop reading."""
        if self._response is not None:
            self._response.close()
