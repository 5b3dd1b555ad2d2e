"""A picture of something in the engine: what a view draws, and how it gets onto the page.

A view is two functions, `read(connection)` and `draw(document)`. The same drawing
is the still picture in the notebook's file and, put in anew by
widgets/picture.js, the live one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.errors import LabError, Unavailable
from pydock_lab.notebook.html import Bundle, Markup, frame
from pydock_lab.notebook.steady import Steady

_SHEET = "widgets/picture.css"

Read = Callable[[Connection], Any]


@dataclass(frozen=True)
class Picture:
    """What a view draws.

    Attributes:
        label: What it is a picture of.
        plain: The same as text.
        html: Self-contained but for the style sheets.
        summary: One sentence, read out when it changes.
    """

    label: str
    plain: str
    html: Markup
    summary: str = ""

    def bundle(self, steady: Steady) -> Bundle:
        """The still picture."""
        return steady.bundle(self.plain, str(frame(self.html, label=self.label, sheet=_SHEET)))


def show_still(picture: Picture, steady: Steady) -> None:
    """Display a picture of something that is over."""
    from IPython.display import display

    display(picture.bundle(steady), raw=True)


def show_live(
    read: Read, draw: Callable[[Any], Picture], connection: Connection, steady: Steady, *, fresh: Read | None = None
) -> None:
    """Display a picture that follows the engine: the live one over its still picture.

    Args:
        read: Asks the engine.
        draw: Draws what `read` returned.
        connection: For this cell; the live picture opens its own.
        steady: Makes ids and times stable where outputs are compared.
        fresh: A `read` of the live picture's own, where reading remembers something.

    Raises:
        CommandError: the engine refused, in Docker's words.
    """
    from IPython.display import display

    from pydock_lab.notebook.widgets.picture import PictureWidget

    picture = draw(steady.data(read(connection)))
    look = _Look(fresh or read, draw, picture, steady)
    live = PictureWidget(look.document(picture), look)
    display(live._repr_mimebundle_()[0] | picture.bundle(steady), raw=True)


def reached() -> Connection:
    """Connect to the engine where one runs: a view that is open must not start one that somebody has stopped.

    Raises:
        Unavailable: none runs.
    """
    connection = Connection(looks_on=True)
    if not connection.is_up:
        raise Unavailable("no engine runs; the next command starts it")
    return connection


class _Look:
    """Draws anew, with a connection of its own; an engine that is gone leaves the last picture and says so."""

    def __init__(
        self,
        read: Read,
        draw: Callable[[Any], Picture],
        last: Picture,
        steady: Steady,
        connect: Callable[[], Connection] = reached,
    ) -> None:
        self._read = read
        self._draw = draw
        self._last = last
        self._steady = steady
        self._connect = connect
        self._connection: Connection | None = None

    def __call__(self) -> dict[str, str]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._last = self._draw(self._steady.data(self._read(self._connection)))
        except LabError as error:
            self._connection = None  # the next look finds the engine anew, wherever it is by then
            return self.document(self._last, state=error.message)
        return self.document(self._last)

    def document(self, picture: Picture, *, state: str = "") -> dict[str, str]:
        text = self._steady.sketch().text
        return {"summary": text(picture.summary), "html": text(str(picture.html)), "state": state}
