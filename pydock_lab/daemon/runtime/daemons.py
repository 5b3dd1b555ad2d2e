"""The keeper's ends of its connections to daemons: usually one, two while a new daemon takes over."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pydock_lab.daemon.runtime.channel import Message, close_all, receive_message, send_message
from pydock_lab.daemon.runtime.loop import READ, WRITE, Loop
from pydock_lab.errors import InvalidParameter, KernelError, LabError


class Connection:
    """One daemon's connection: requests in, answers and events out."""

    def __init__(
        self,
        loop: Loop,
        channel: socket.socket,
        *,
        on_request: Callable[[Connection, Message, list[int]], None],
        on_closed: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._channel = channel
        self._on_request, self._on_closed = on_request, on_closed
        self._waiting: deque[tuple[Message, Sequence[int]]] = deque()
        channel.setblocking(False)
        loop.add(channel.fileno(), READ, self._on_events)

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send, or keep until the daemon reads again; `fds` are closed here when they have gone."""
        if not self._waiting:
            try:
                send_message(self._channel, message, fds)
                close_all(fds)
                return
            except BlockingIOError:
                pass
            except OSError:
                close_all(fds)
                return
        self._waiting.append((message, fds))
        with contextlib.suppress(OSError, KeyError):
            self._loop.change(self._channel.fileno(), READ | WRITE)

    def _on_events(self, events: int) -> None:
        if events & WRITE:
            with contextlib.suppress(BlockingIOError, OSError):
                while self._waiting:
                    send_message(self._channel, *self._waiting[0])
                    close_all(self._waiting.popleft()[1])
            if not self._waiting:
                self._loop.change(self._channel.fileno(), READ)
        if events & ~WRITE:
            try:
                message, fds = receive_message(self._channel)
            except BlockingIOError:
                return
            except OSError:
                message, fds = None, []
            if message is None:
                self.close()
                self._on_closed(self)
            else:
                self._on_request(self, message, fds)

    def close(self) -> None:
        """Close the socket."""
        self._loop.remove(self._channel.fileno())
        self._channel.close()
        while self._waiting:
            close_all(self._waiting.popleft()[1])


class Answer:
    """Where the answer of one request goes."""

    def __init__(self, connection: Connection, sequence: int) -> None:
        self.connection = connection
        self._sequence = sequence

    def result(self, value: Any = None, fds: Sequence[int] = ()) -> None:
        """Answer with a value, and descriptors that are the daemon's from now on."""
        self.connection.send({"seq": self._sequence, "result": value}, fds)

    def error(self, failure: Message) -> None:
        """Answer with an error: `message`, `kind`, perhaps `steps`."""
        self.connection.send({"seq": self._sequence, "error": failure})

    def refuse(self, error: LabError) -> None:
        """Answer with an error and its kind: `config` was refused before anything was done."""
        kinds = ((InvalidParameter, "config"), (KernelError, "kernel"), (LabError, "other"))
        self.error({"message": error.message, "kind": next(kind for of, kind in kinds if isinstance(error, of))})
