"""An output that changes while a command runs, at most eight times a second, and then stands still."""

from __future__ import annotations

import time
from collections.abc import Callable

from IPython.display import DisplayHandle

from pydock_lab.notebook.html import Bundle
from pydock_lab.notebook.steady import Steady

_EVERY_S = 1 / 8


class Live:
    """One display of the cell that is running.

    Args:
        draw: Makes the mimebundle of the present state.
        steady: Makes ids and times stable where outputs are compared.
    """

    def __init__(self, draw: Callable[[Steady], Bundle], steady: Steady) -> None:
        self._draw = draw
        self._steady = steady
        self._handle: DisplayHandle | None = None
        self._drawn_at = 0.0

    def changed(self) -> None:
        """Show the new state, unless the last one is younger than an eighth of a second."""
        now = time.monotonic()
        if self._handle is not None and now - self._drawn_at < _EVERY_S:
            return
        self._drawn_at = now
        self._show(self._steady.sketch())

    def settle(self) -> None:
        """Show the present state in any case."""
        self._show(self._steady)

    def _show(self, steady: Steady) -> None:
        bundle = self._draw(steady)
        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(bundle, raw=True)
        else:
            self._handle.update(bundle, raw=True)
