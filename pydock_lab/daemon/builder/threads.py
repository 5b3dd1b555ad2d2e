"""Waiting for a worker thread in a task that may be canceled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finished(work: Coroutine[Any, Any, T]) -> T:
    """Wait until the work is done, also when canceled meanwhile: only then is the cancellation passed on.

    A thread can't be stopped. Were it left alone, it would go on writing to a directory that is being removed.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
