"""The keeper's event loop: epoll, callbacks, timers; one thread.

asyncio would do, at three times the memory and start-up time of the whole keeper.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import select
import time
import traceback
from collections.abc import Callable, Iterator

Handler = Callable[[int], None]

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
GONE = select.EPOLLHUP | select.EPOLLERR


class Timer:
    """A callback that may be cancelled before it is due."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget it."""
        self.callback = None


class Loop:
    """Wait for fds and for time, and call whoever asked."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self.running = True

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        """Call `handler(events)` when any event of `mask` (or GONE) is on `fd`."""
        self._epoll.register(fd, mask)
        self._handlers[fd] = handler

    def change(self, fd: int, mask: int) -> None:
        """Wait for other events of an fd that was added; 0 waits for GONE only."""
        self._epoll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Forget an fd; before it is closed. Harmless if it is not known."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back once after some time."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def run(self) -> None:
        """Go on until `running` is False."""
        while self.running:
            timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for fd, events in self._epoll.poll(timeout):
                self._handle(fd, events)
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                timer = heapq.heappop(self._timers)[2]
                if timer.callback is not None:
                    with _reported():
                        timer.callback()

    def _handle(self, fd: int, events: int) -> None:
        handler = self._handlers.get(fd)
        if handler is None:
            return
        failed = True
        with _reported():
            handler(events)
            failed = False
        if failed and self._handlers.get(fd) is handler:
            # It would be called again at once, for ever.
            self.remove(fd)

    def close(self) -> None:
        """Close the epoll fd."""
        self._epoll.close()


def report() -> None:
    """Write down the exception that is being handled; on a full disk that fails, too, and nothing may come of it."""
    with contextlib.suppress(OSError):
        traceback.print_exc()


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    """A bug in one handler is written down; it must not end every container of the keeper."""
    try:
        yield
    except Exception:
        report()
