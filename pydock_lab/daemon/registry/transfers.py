"""The record of pulls and pushes: who asked whom for what, with bytes and times.

Every request of a transfer is one entry, from the engine to the registry (or to the
server that hands out its tokens); what the client asked the engine for stands above
them. `/lab/images/transfers` shows it, the notebook draws it as a sequence.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from pydock_lab.errors import LabError
from pydock_lab.spec.ids import fresh_id

_REMEMBERED = 50
_REQUESTS = 2000


class Exchange(msgspec.Struct):
    """One request and its answer.

    Attributes:
        at_ns: Nanoseconds since the transfer began.
        to: `host:port`.
        subject: manifest, config, layer, upload, token, or "" for anything else.
        status: HTTP's, 0 where no answer came.
        sent: Bytes of the request's body.
        received: Bytes of the answer's body.
        duration_ns: Until the last byte.
    """

    at_ns: int
    to: str
    method: str
    path: str
    subject: str = ""
    status: int = 0
    sent: int = 0
    received: int = 0
    duration_ns: int = 0


class Transfer:
    """One pull, push or look at a registry.

    Args:
        kind: pull, push, tags, inspect, login.
        reference: As Docker shows it.
        asked: The client's request to the engine, `POST /images/create?…`, or "" where none is known.
    """

    def __init__(self, kind: str, reference: str, asked: str = "") -> None:
        self.id = fresh_id(12)
        self._kind = kind
        self._reference = reference
        self._asked = asked
        self._started_at_ns = time.time_ns()
        self._began_ns = time.monotonic_ns()
        self._duration_ns = 0
        self._state = "running"
        self._error = ""
        self._requests: list[Exchange] = []

    def begin(self, to: str, method: str, path: str) -> Exchange:
        """Note a request; its answer is filled in as it comes."""
        exchange = Exchange(time.monotonic_ns() - self._began_ns, to, method, path, _subject(path))
        if len(self._requests) < _REQUESTS:
            self._requests.append(exchange)
        return exchange

    def end(self, exchange: Exchange) -> None:
        """Note that an answer is through."""
        exchange.duration_ns = time.monotonic_ns() - self._began_ns - exchange.at_ns

    def finish(self, error: BaseException | None = None) -> None:
        """Note how it ended."""
        self._duration_ns = time.monotonic_ns() - self._began_ns
        self._state = "done" if error is None else "failed"
        self._error = error.message if isinstance(error, LabError) else str(error or "")

    def summary(self) -> dict[str, Any]:
        """What it came to."""
        running = self._state == "running"
        return {
            "id": self.id,
            "kind": self._kind,
            "reference": self._reference,
            "asked": self._asked,
            "state": self._state,
            "error": self._error,
            "started_at_ns": self._started_at_ns,
            "duration_ns": time.monotonic_ns() - self._began_ns if running else self._duration_ns,
            "sent": sum(exchange.sent for exchange in self._requests),
            "received": sum(exchange.received for exchange in self._requests),
            "count": len(self._requests),
        }

    def document(self) -> dict[str, Any]:
        """The summary and every request, in the order they began."""
        return {**self.summary(), "requests": [msgspec.structs.asdict(exchange) for exchange in self._requests]}


class Transfers:
    """The latest transfers of one daemon."""

    def __init__(self) -> None:
        self._transfers: deque[Transfer] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def record(self, kind: str, reference: str, asked: str = "") -> Iterator[Transfer]:
        """Record one transfer as long as the `with` lasts."""
        transfer = Transfer(kind, reference, asked)
        self._transfers.append(transfer)
        try:
            yield transfer
        except BaseException as error:
            transfer.finish(error)
            raise
        transfer.finish()

    def list(self) -> list[dict[str, Any]]:
        """Return all summaries, newest first."""
        return [transfer.summary() for transfer in reversed(self._transfers)]

    def get(self, transfer_id: str) -> dict[str, Any] | None:
        """Return one whole record, or None."""
        return next((each.document() for each in self._transfers if each.id == transfer_id), None)


def _subject(path: str) -> str:
    """What a path is about, as far as it shows."""
    if "/blobs/uploads/" in path:
        return "upload"
    for word in ("manifests", "blobs"):
        if f"/{word}/" in path:
            return word.removesuffix("s")
    return ""
