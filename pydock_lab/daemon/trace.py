"""The trace: what the engine did, step by step, as data.

Every room of the engine wing emits here; `/lab/trace` streams it, widgets draw
it, grading and tests read it. Docker's own `/events` is another stream (see
engine/events.py): events say *that* a container started, the trace says *how*.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec


class TraceEvent(msgspec.Struct, frozen=True):
    """One step of the engine.

    Attributes:
        seq: Counts up from 1 within a daemon's life.
        at_ns: CLOCK_MONOTONIC when the step ended.
        time_ns: Wall clock, nanoseconds since the epoch.
        source: The room that emitted it: engine, builder, network, store, runtime, registry, catalog.
        kind: Past-tense dotted name: `layer.mounted`, `veth.created`, `cache.missed`.
        subject: Id of the container, build, image, network or volume it is about, or "".
        data: Details: paths, digests, inodes, addresses, durations in ns (`duration_ns`).
    """

    seq: int
    at_ns: int
    time_ns: int
    source: str
    kind: str
    subject: str
    data: dict[str, Any]


class Trace:
    """A bounded record of trace events with live subscribers; `emit` may be called from any thread.

    Args:
        capacity: Steps remembered; an event is one, a launch as many as its plan has (about 1.5 KB each).
    """

    def __init__(self, capacity: int = 3_000) -> None:
        self._capacity = capacity
        self._remembered = 0
        self._events: deque[TraceEvent] = deque()
        self._subscribers: set[asyncio.Queue[TraceEvent]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._seq = 0

    def emit(self, source: str, kind: str, subject: str = "", **data: Any) -> TraceEvent:
        """Record one step and hand it to every subscriber."""
        with self._lock:
            self._seq += 1
            event = TraceEvent(self._seq, time.monotonic_ns(), time.time_ns(), source, kind, subject, data)
            self._events.append(event)
            self._remembered += _steps(event)
            while self._remembered > self._capacity and len(self._events) > 1:
                self._remembered -= _steps(self._events.popleft())
            if self._subscribers and self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._hand_out, event)
        return event

    def _hand_out(self, event: TraceEvent) -> None:
        for queue in self._subscribers:
            if not queue.full():
                queue.put_nowait(event)

    def select(self, subject: str | None = None, since_seq: int = 0) -> list[TraceEvent]:
        """Return the remembered events after `since_seq`, oldest first; of one subject if given."""
        with self._lock:
            events = list(self._events)
        return [e for e in events if e.seq > since_seq and (subject is None or e.subject == subject)]

    async def follow(self, subject: str | None = None) -> AsyncIterator[TraceEvent]:
        """Yield events as they happen, until the consumer stops; a consumer 1,000 behind loses events."""
        queue: asyncio.Queue[TraceEvent] = asyncio.Queue(maxsize=1000)
        self._loop = asyncio.get_running_loop()
        self._subscribers.add(queue)
        try:
            while True:
                event = await queue.get()
                if subject is None or event.subject == subject:
                    yield event
        finally:
            self._subscribers.discard(queue)


def _steps(event: TraceEvent) -> int:
    return 1 + len(event.data.get("steps") or ())
