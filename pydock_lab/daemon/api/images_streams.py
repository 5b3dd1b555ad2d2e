"""Long bodies in and out: uploads read by worker threads, archives they make, JSON as work goes on."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import IO, Any, cast

import msgspec
from aiohttp import web

from pydock_lab.errors import LabError

log = logging.getLogger("pydock.api")

Send = Callable[[dict[str, Any]], None]


def body_file(request: web.Request) -> IO[bytes]:
    """Return a request's body as a file for a worker thread (not for the event loop's own)."""
    return cast("IO[bytes]", io.BufferedReader(_Body(request, asyncio.get_running_loop()), 1 << 20))


class _Body(io.RawIOBase):
    def __init__(self, request: web.Request, loop: asyncio.AbstractEventLoop) -> None:
        self._content = request.content
        self._loop = loop
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = asyncio.run_coroutine_threadsafe(self._content.readany(), self._loop).result()
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


async def iterate_in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what a blocking iterator yields, a few pieces ahead of the consumer."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
    room = threading.Semaphore(8)
    stopped = threading.Event()

    def produce() -> None:
        end: BaseException | None = None
        try:
            for chunk in chunks:
                room.acquire()
                if stopped.is_set():
                    return
                loop.call_soon_threadsafe(queue.put_nowait, chunk)
        except BaseException as error:
            end = error
        finally:
            loop.call_soon_threadsafe(queue.put_nowait, end)

    thread = asyncio.create_task(asyncio.to_thread(produce))
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
            room.release()
    finally:
        stopped.set()
        room.release()
        await asyncio.shield(thread)


async def stream_progress(
    request: web.Request, work: Callable[[Send], Coroutine[Any, Any, None]], *, begun: bool = False
) -> web.StreamResponse:
    """Answer with JSON documents as work goes on.

    An error before the first document is an ordinary error response; later, or
    where the answer has `begun` at once, it is the last document, as Docker does it.
    """
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    task = asyncio.create_task(work(queue.put_nowait))
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    try:
        while True:
            get = asyncio.create_task(queue.get())
            await asyncio.wait({get, task}, return_when=asyncio.FIRST_COMPLETED)
            if not get.done():
                get.cancel()
                break
            await _write(response, request, get.result())
        # What was queued in the last turn of the loop.
        await asyncio.sleep(0)
        while not queue.empty():
            await _write(response, request, queue.get_nowait())
        error = task.exception()
        if error is not None:
            if not (response.prepared or begun) or not isinstance(error, Exception):
                raise error
            await _write(response, request, _error_document(error))
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return response


def _error_document(error: Exception) -> dict[str, Any]:
    """The last document of a stream that fails."""
    if isinstance(error, LabError):
        message, hint = error.message, error.hint
    elif isinstance(error, OSError) and error.errno:  # such as a full disk; Go's wording of the same
        message, hint = os.strerror(error.errno).lower(), None
    else:
        log.error("a stream failed", exc_info=error)
        message, hint = f"{type(error).__name__}: {error}", None
    return {"errorDetail": {"message": message}, "error": message} | ({"hint": hint} if hint else {})


async def _write(response: web.StreamResponse, request: web.Request, document: dict[str, Any]) -> None:
    if not response.prepared:
        await response.prepare(request)
    await response.write(msgspec.json.encode(document) + b"\r\n")
