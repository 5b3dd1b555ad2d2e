"""Follows one engine for all open panels: its event stream says when to look again.

A thread reads `GET /events`; whatever happens within a moment is one look, and a
look that shows nothing new is not sent. It runs while somebody listens. An engine
that ends is waited for, not started again: only who opens a panel starts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.client.wire import Response
from pydock_lab.errors import LabError
from pydock_lab.server.listing import look

Document = dict[str, Any]
Listener = Callable[[Document], None]

_SETTLE_S = 0.15
_RETRY_S = 2.0
_NOISE = ("exec_", "attach", "detach", "resize", "top", "archive-path", "extract-to-dir")


class Follower:
    """The engine as the panels see it.

    Attributes:
        last: The newest document, or None before the first: `{"type": "engine", …}` as `listing.look`
            has it, or `{"type": "lost", "message", "hint", "is_own"}`: only the user's own engine can be started.
    """

    def __init__(self) -> None:
        self.last: Document | None = None
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self, listener: Listener) -> None:
        """Call a function with every new document, in the event loop; with the last one at once."""
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self.last = None
            self._task = asyncio.get_running_loop().create_task(self._follow(may_start=True))
        elif self.last is not None:
            listener(self.last)

    def leave(self, listener: Listener) -> None:
        """Call it no more; with the last one the following ends."""
        self._listeners.discard(listener)
        if not self._listeners and self._task is not None:
            self._task.cancel()
            self._task = None

    async def start(self) -> None:
        """Start following anew, and the user's engine with it if it is down."""
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.get_running_loop().create_task(self._follow(may_start=True))

    async def _follow(self, *, may_start: bool) -> None:
        while True:
            connection = Connection(looks_on=True)  # anew each time: the context in use may be another
            try:
                if may_start or await asyncio.to_thread(_is_up, connection):
                    may_start = False
                    await self._follow_once(connection)
            except LabError as error:
                self._lose(connection, error.message, error.hint)
            await asyncio.sleep(_RETRY_S)

    async def _follow_once(self, connection: Connection) -> None:
        changed = asyncio.Event()
        changed.set()
        stream = await asyncio.to_thread(connection.request, "GET", "/events", stream=True)
        reader = _Reader(stream, asyncio.get_running_loop(), changed)
        try:
            while not reader.ended:
                await changed.wait()
                changed.clear()
                if not reader.ended:
                    self._publish({"type": "engine"} | await asyncio.to_thread(look, connection))
                    await asyncio.sleep(_SETTLE_S)
        finally:
            stream.close()
        self._lose(connection, "The engine has stopped.")

    def _lose(self, connection: Connection, message: str, hint: str | None = None) -> None:
        try:
            is_own = connection.is_own
        except LabError:  # the context in use is broken: that is the message
            is_own = False
        self._publish({"type": "lost", "message": message, "hint": hint, "is_own": is_own})

    def _publish(self, document: Document) -> None:
        if document != self.last:
            self.last = document
            for listener in tuple(self._listeners):
                listener(document)


def _is_up(connection: Connection) -> bool:
    return connection.is_up


class _Reader:
    """A thread that reads events to the end of the stream.

    Args:
        stream: Closing it ends the thread.
        loop: Where `changed` belongs to.
        changed: Set when something happened that a panel shows, and at the end.

    Attributes:
        ended: The stream is over.
    """

    def __init__(self, stream: Response, loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
        self.ended = False
        self._stream = stream
        self._loop = loop
        self._changed = changed
        threading.Thread(target=self._read, name="pydock-events", daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(LabError, OSError, ValueError):  # cut off in the middle of an event
            for line in self._stream.iter_lines():
                if line and not str(json.loads(line).get("Action", "")).startswith(_NOISE):
                    self._tell()
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._changed.set)
