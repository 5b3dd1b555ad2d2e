"""An output that changes while a command runs, at most eight times a second, and then stands still."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from IPython.display import DisplayHandle

Bundle = dict[str, Any]

_EVERY_S = 1 / 8


class Live:
    """One display of the cell that is running.

    Args:
        draw: Makes the mimebundle of the present state.
    """

    def __init__(self, draw: Callable[[], Bundle]) -> None:
        self._draw = draw
        self._handle: DisplayHandle | None = None
        self._drawn_at = 0.0

    def changed(self) -> None:
        """Show the new state, unless the last one is younger than an eighth of a second."""
        now = time.monotonic()
        if self._handle is not None and now - self._drawn_at < _EVERY_S:
            return
        self._drawn_at = now
        self.settle()

    def settle(self) -> None:
        """Show the present state in any case."""
        bundle = self._draw()
        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(bundle, raw=True)
        else:
            self._handle.update(bundle, raw=True)
