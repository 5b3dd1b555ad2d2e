"""Docker's events: that something happened to a container, image, volume or network.

How it happened is in the trace (daemon/trace.py). Source: moby daemon/events, api EventMessage.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from pydock_lab.daemon.engine.filters import Filters


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
            if kind == "container" and attributes.get("image"):
                event["from"] = attributes["image"]
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

    @property
    def listeners(self) -> int:
        """How many follow now."""
        return len(self._followers)

    async def stream(self, since_ns: int | None, until_ns: int | None) -> AsyncIterator[dict[str, Any]]:
        """Yield what is remembered since a time, then what happens, up to a time (None: no past, no end)."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._followers.add(queue)
        if since_ns is None and until_ns is not None:
            since_ns = 0
        try:
            # Past and follower are taken in one step of the loop: nothing is lost or told twice.
            for event in self.past(since_ns, until_ns) if since_ns is not None else ():
                yield event
            while True:
                left_s = None if until_ns is None else (until_ns - time.time_ns()) / 1e9
                if left_s is not None and left_s <= 0 and queue.empty():
                    return
                try:
                    event = await asyncio.wait_for(queue.get(), left_s)
                except asyncio.TimeoutError:
                    return
                if until_ns is not None and event["timeNano"] > until_ns:
                    return
                yield event
        finally:
            self._followers.discard(queue)


class EventFilter:
    """Docker's filters of events; keys that it does not know it ignores. Source: moby daemon/events/filter.go."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters

    def matches(self, event: dict[str, Any]) -> bool:
        """Return whether a client wants an event."""
        filters, actor = self._filters, event["Actor"]
        action, attributes = event["Action"], actor["Attributes"]
        return (
            filters.any("event", lambda value: action == value or action.split(":")[0] == value)
            and filters.any("type", lambda value: event["Type"] == value)
            and filters.any("scope", lambda value: event["scope"] == value)
            and filters.labels(attributes)
            and all(self._about(kind, event) for kind in ("container", "volume", "network", "daemon", "plugin"))
            and self._about_image(event)
        )

    def _about(self, kind: str, event: dict[str, Any]) -> bool:
        if kind not in self._filters:
            return True
        actor = event["Actor"]
        name = actor["Attributes"].get("name", "")
        return event["Type"] == kind and self._filters.any(
            kind, lambda value: actor["ID"].startswith(value) or value in (name, f"/{name}")
        )

    def _about_image(self, event: dict[str, Any]) -> bool:
        """An image filter also means the containers of the image."""
        attributes = event["Actor"]["Attributes"]
        names = {event["Actor"]["ID"], attributes.get("name", "")} if event["Type"] == "image" else set()
        if event["Type"] == "container":
            names = {attributes.get("image", "")}
        names |= {name.rpartition(":")[0] for name in names if ":" in name}
        return self._filters.any("image", lambda value: value in names)
