"""Do something to each service, many at a time, each when those it waits for are done."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping

WIDTH = 16
"""How many requests run at a time; each is a thread that waits for the engine."""


class Cancelled(Exception):
    """The user interrupted, or something else failed: what waits stops waiting."""


class Cancellation:
    """Tells the threads to stop."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Stop everything that asks."""
        self._event.set()

    def pause(self, seconds: float) -> None:
        """Sleep, or raise Cancelled."""
        if self._event.wait(seconds):
            raise Cancelled

    def check(self) -> None:
        """Raise Cancelled if it is time to stop."""
        if self._event.is_set():
            raise Cancelled


def visit(
    names: Iterable[str],
    after: Mapping[str, Iterable[str]],
    work: Callable[[str], None],
    cancellation: Cancellation,
    *,
    width: int = WIDTH,
) -> None:
    """Call `work` for each name when it has returned for all that the name comes after.

    The first failure, or an interrupt, stops what has not begun and what waits;
    what runs is finished, so that nothing is left half-made.

    Args:
        names: What there is to do.
        after: For each, what has to be done before; names that are not to be done don't count.
        work: Is called in threads.
        cancellation: Told when it is time to stop.
        width: How many at a time.
    """
    waiting = {name: set(after.get(name, ())) for name in names}
    for needed in waiting.values():
        needed.intersection_update(waiting)
    if len(waiting) == 1:
        work(next(iter(waiting)))
        return
    ended: queue.SimpleQueue[tuple[str, BaseException | None]] = queue.SimpleQueue()

    def run(name: str) -> None:
        try:
            work(name)
        except BaseException as error:
            ended.put((name, error))
        else:
            ended.put((name, None))

    failure: BaseException | None = None
    running = 0
    while (waiting and failure is None) or running:
        ready = [name for name, needed in waiting.items() if not needed] if failure is None else []
        for name in ready[: max(0, width - running)]:
            del waiting[name]
            # Plain threads: concurrent.futures takes longer to import than a small project to start.
            threading.Thread(target=run, args=(name,), name=name, daemon=True).start()
            running += 1
        try:
            name, error = ended.get()
        except KeyboardInterrupt as interrupt:
            failure = failure or interrupt
            cancellation.cancel()
            continue
        running -= 1
        for needed in waiting.values():
            needed.discard(name)
        if error is not None and (failure is None or isinstance(failure, Cancelled)):
            failure = error
            cancellation.cancel()
    if failure is not None:
        raise failure
