"""The messages of one build on their way to its client."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")

_ENOUGH = 1000
_AT_ONCE = 100


class Mailbox(Generic[T]):
    """A queue that never refuses a message, and tells a fast writer when to wait for a slow reader."""

    def __init__(self) -> None:
        self._messages: list[T] = []
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def put(self, message: T) -> None:
        """Add a message."""
        self._messages.append(message)
        self._filled.set()
        if len(self._messages) >= _ENOUGH:
            self._room.clear()

    async def take(self) -> list[T]:
        """Wait until there is a message, and take those that there are, a hundred at most."""
        await self._filled.wait()
        taken, self._messages = self._messages[:_AT_ONCE], self._messages[_AT_ONCE:]
        if not self._messages:
            self._filled.clear()
        if len(self._messages) < _ENOUGH:
            self._room.set()
        return taken

    async def room(self) -> None:
        """Wait until the reader has caught up."""
        await self._room.wait()
