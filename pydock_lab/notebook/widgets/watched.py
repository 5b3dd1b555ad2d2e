"""What the live views share: a thread that reads the engine while a page shows the view.

It reads once a second, sends only what has changed, ends with the widget, and
rests when nobody looks. The page says that it looks (`watch`) or that the view
has gone from it (`rest`), the kernel that it is there (`alive`): each side can
tell when the other is gone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

_EVERY_S = 1.0
_ALIVE_S = 8.0
# A page that shows the view says so every 8 s, but a kernel busy with a long cell hears it late.
_UNWATCHED_S = 600.0
# Another page, or another output, may show the same view: it will say so before this has passed.
_RESTING_S = 20.0

Look = Callable[[], dict[str, Any]]


class WatchedWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget has no types
    """A view of something that changes.

    Args:
        view: The document that the widget's module describes at its top, as it is now.
        look: Reads the engine anew; called from the view's own thread; never raises.
    """

    view = traitlets.Dict().tag(sync=True)

    def __init__(self, view: dict[str, Any], look: Look) -> None:
        super().__init__(view=view)
        self._look = look
        self._watched_until = time.monotonic() + _UNWATCHED_S
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self.on_msg(self._watch)

    def close(self) -> None:
        """Stop looking and take the view away."""
        self._closed.set()
        super().close()

    def _watch(self, _widget: object, message: dict[str, Any], _buffers: object) -> None:
        if self._closed.is_set():
            return
        if message.get("type") == "rest":
            self._watched_until = time.monotonic() + _RESTING_S
        if message.get("type") != "watch":
            return
        self._watched_until = time.monotonic() + _UNWATCHED_S
        self.send({"type": "alive"})
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._poll, name="pydock-view", daemon=True)
            self._thread.start()

    def _poll(self) -> None:
        alive_at = time.monotonic()
        while not self._closed.wait(_EVERY_S):
            now = time.monotonic()
            if now > self._watched_until:
                return
            view = self._look()
            if self._closed.is_set():
                return
            if view != self.view:
                self.view = view
            if now - alive_at > _ALIVE_S:
                alive_at = now
                self.send({"type": "alive"})
