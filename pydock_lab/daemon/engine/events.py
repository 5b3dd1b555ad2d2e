"""Docker's events: that something happened to a container, image, volume or network.

How it happened is in the trace (daemon/trace.py). Source: moby daemon/events, api EventMessage.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any


class Events:
    """The last 1,000 events and everyone who follows; used from the event loop only."""

    def __init__(self, capacity: int = 1000) -> None:
        self._past: deque[dict[str, Any]] = deque(maxlen=capacity)
        self._followers: set[asyncio.Queue[dict[str, Any]]] = set()

    def publish(self, kind: str, action: str, actor_id: str, attributes: dict[str, str]) -> dict[str, Any]:
        """Tell everyone; `kind` is container, image, volume, network, daemon or builder."""
        now = time.time_ns()
        event: dict[str, Any] = {
            "Type": kind,
            "Action": action,
            "Actor": {"ID": actor_id, "Attributes": attributes},
            "scope": "local",
            "time": now // 1_000_000_000,
            "timeNano": now,
        }
        if kind in ("container", "image"):
            event |= {"status": action, "id": actor_id}
            if source := attributes.get("image" if kind == "container" else "name"):
                event["from"] = source
        self._past.append(event)
        for queue in self._followers:
            queue.put_nowait(event)
        return event

    def past(self, since_ns: int, until_ns: int | None = None) -> list[dict[str, Any]]:
        """Return remembered events in a span of wall-clock time, oldest first."""
        return [e for e in self._past if e["timeNano"] >= since_ns and (until_ns is None or e["timeNano"] <= until_ns)]

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """Yield events as they happen, until the consumer stops."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._followers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._followers.discard(queue)
