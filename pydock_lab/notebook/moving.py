"""A picture that moves while a command runs, and stands still in the notebook afterwards.

On a page it is a widget, which puts in what has changed and leaves open what a
reader opened; four messages a second at most, however much the command says.
Without a page (nbclient, a terminal) it is an output that is updated.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable

import anywidget
import traitlets
from IPython.display import DisplayHandle

from pydock_lab.notebook.html import Bundle
from pydock_lab.notebook.live import Live
from pydock_lab.notebook.steady import Steady
from pydock_lab.notebook.views.picture import Picture
from pydock_lab.notebook.widgets.picture import PictureWidget

_EVERY_S, _PATIENCE_S = 1 / 4, 0.4


class _Page(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget has no types
    """The moving picture on a page, drawn by the same module as the live views."""

    _esm = PictureWidget._esm
    _css = PictureWidget._css
    view = traitlets.Dict().tag(sync=True)


class Moving:
    """One picture of the cell that is running.

    Args:
        look: Asks the engine for news; called a few times a second, from a thread of its own.
        draw: Draws what is known by now.
        steady: Makes ids and times stable where outputs are compared.
        on_page: Whether a page shows the cell.
    """

    def __init__(self, look: Callable[[], None], draw: Callable[[], Picture], steady: Steady, *, on_page: bool) -> None:
        self._look = look
        self._draw = draw
        self._steady = steady
        self._on_page = on_page
        self._live = Live(self._bundle, steady)
        self._handle: DisplayHandle | None = None
        self._over = threading.Event()
        self._thread: threading.Thread

    def changed(self) -> None:
        """There is news."""
        if not self._on_page:
            self._live.changed()
        elif self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(self._bundle(self._steady.sketch()), raw=True)
            # With this cell's context: what the thread displays belongs below this cell.
            context = contextvars.copy_context()
            self._thread = threading.Thread(
                target=context.run, args=(self._move, self._handle), name="pydock-moving", daemon=True
            )
            self._thread.start()

    def settle(self) -> None:
        """Leave the still picture."""
        self._over.set()
        if self._handle is not None:
            self._thread.join()
        self._look()
        if self._handle is None:
            self._live.settle()
        else:
            self._handle.update(self._bundle(self._steady), raw=True)

    def _move(self, handle: DisplayHandle) -> None:
        """Put a widget where the first picture is, unless all is over before it would be there; keep it up to date."""
        if self._over.wait(_PATIENCE_S):
            return
        self._look()
        page = _Page(view=self._document())
        handle.update(page._repr_mimebundle_()[0] | self._bundle(self._steady.sketch()), raw=True)
        while not self._over.wait(_EVERY_S):
            self._look()
            document = self._document()
            if document != page.view:
                page.view = document
        # A page that has only begun to show the widget must not find it gone.
        closing = threading.Timer(_PATIENCE_S * 10, page.close)
        closing.daemon = True
        closing.start()

    def _document(self) -> dict[str, str]:
        picture = self._draw()
        return {"html": self._steady.sketch().text(str(picture.html)), "summary": picture.summary, "state": ""}

    def _bundle(self, steady: Steady) -> Bundle:
        return self._draw().bundle(steady)
