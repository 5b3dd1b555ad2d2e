"""A live picture: the still picture of a view, drawn anew by the kernel whenever the engine has changed.

One drawing serves the notebook's file and the page, so that a reader of the
file sees what the learner saw. The page changes only the parts that differ:
what is opened stays open, what has the focus keeps it.
"""

from __future__ import annotations

from pathlib import Path

from pydock_lab.notebook.widgets.watched import WatchedWidget

_HERE = Path(__file__).parent


class PictureWidget(WatchedWidget):
    """One picture; its document is described in `picture.js`."""

    _esm = "".join((_HERE / name).read_text("utf-8") for name in ("pulse.js", "picture.js"))
    _css = (_HERE.parent / "theme.css").read_text() + (_HERE / "picture.css").read_text()
