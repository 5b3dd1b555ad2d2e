"""What one request of a client brings and another asks for, in whichever order the two come.

Such are a client's session and the build that it serves, a build and those who follow its progress.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from pydock_lab.errors import NotFound

T = TypeVar("T")


class Arrivals(Generic[T]):
    """Things that have come, by the ids that their clients gave them.

    Args:
        missing: What is said of one that does not come, with `{}` for its id.
        kept: So many of the latest; None for all until they are removed.
        patience_s: How long who asks waits for one to come.
    """

    def __init__(self, missing: str, *, kept: int | None = None, patience_s: float = 5) -> None:
        self._missing = missing
        self._kept = kept
        self._patience_s = patience_s
        self._things: dict[str, T] = {}
        self._news = asyncio.Event()

    def add(self, id: str, thing: T) -> None:
        """It has come; where its id was another's, that one is no longer found."""
        self._things[id] = thing
        if self._kept is not None and len(self._things) > self._kept:
            del self._things[next(iter(self._things))]
        self._news.set()

    def remove(self, id: str, thing: T) -> None:
        """It has gone; what came after it under its id stays."""
        if self._things.get(id) is thing:
            del self._things[id]

    async def get(self, id: str) -> T:
        """Return a thing; who asks for it may come a moment before it.

        Raises:
            NotFound: it does not come.
        """
        if id in self._things:
            return self._things[id]
        try:
            return await asyncio.wait_for(self._come(id), self._patience_s)
        except asyncio.TimeoutError:
            raise NotFound(self._missing.format(id)) from None

    async def _come(self, id: str) -> T:
        while id not in self._things:
            self._news.clear()
            await self._news.wait()
        return self._things[id]
