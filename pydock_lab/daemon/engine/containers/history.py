"""The trace of each container on disk, beside its log: how it was made outlives the daemon that made it.

Written a moment after something happened, so that a container that is gone
within that moment (`--rm`) costs nothing. One JSON document a line.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from pydock_lab.daemon.trace import Trace, TraceEvent

_DELAY_S = 1.0
# A container that restarts for ever keeps its latest launches only.
_MAX_BYTES = 1 << 20

_decode = msgspec.json.Decoder(TraceEvent).decode


class ContainerHistory:
    """What was done for each container, in this daemon's life and before it.

    Args:
        trace: Of this daemon.
        directory: Container id → its directory.
    """

    def __init__(self, trace: Trace, directory: Callable[[str], Path]) -> None:
        self._trace = trace
        self._directory = directory
        self._saved: dict[str, int] = {}
        self._due: dict[str, asyncio.TimerHandle] = {}

    def note(self, container_id: str) -> None:
        """Something has happened to a container: it will be written down."""
        if container_id not in self._due:
            later = asyncio.get_running_loop().call_later
            self._due[container_id] = later(_DELAY_S, self._save, container_id)

    def events(self, container_id: str, since_seq: int = 0) -> list[TraceEvent]:
        """Return what was done for a container, oldest first; with `since_seq` only what this daemon did after it."""
        if since_seq:
            return self._trace.select(container_id, since_seq)
        written = self._read(container_id)
        last_ns = written[-1].time_ns if written else 0
        return written + [event for event in self._trace.select(container_id) if event.time_ns > last_ns]

    def forget(self, container_id: str) -> None:
        """The container is gone."""
        self._saved.pop(container_id, None)
        if due := self._due.pop(container_id, None):
            due.cancel()

    def close(self) -> None:
        """Write everything that is due now."""
        for container_id, due in list(self._due.items()):
            due.cancel()
            self._save(container_id)

    def _save(self, container_id: str) -> None:
        self._due.pop(container_id, None)
        events = self._trace.select(container_id, self._saved.get(container_id, 0))
        if not events:
            return
        path = self._path(container_id)
        # The directory may be gone, the disk full: the container is worth more than its history.
        with contextlib.suppress(OSError):
            mode = "wb" if path.exists() and path.stat().st_size > _MAX_BYTES else "ab"
            with path.open(mode) as file:
                file.write(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
            self._saved[container_id] = events[-1].seq

    def _read(self, container_id: str) -> list[TraceEvent]:
        events: list[TraceEvent] = []
        with contextlib.suppress(FileNotFoundError):
            for line in self._path(container_id).read_bytes().splitlines():
                with contextlib.suppress(msgspec.DecodeError):  # cut short by a crash
                    events.append(_decode(line))
        return events

    def _path(self, container_id: str) -> Path:
        return self._directory(container_id) / "trace.jsonl"
