"""The live view of an image's layers: what each instruction made, with a slider through time.

Shows what `notebook/views/layers.py` has read; asks it for further files as the
reader wants them, so that an image of any size opens with a small message.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from pydock_lab.errors import LabError

_HERE = Path(__file__).parent

EntriesOf = Callable[[int, str, int, str], dict[str, Any]]
"""(step, directory, offset, search) → a page of `filetree.js`; raises LabError where it can't."""


class LayersWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget has no types
    """One image.

    Args:
        view: The document that `layers.js` describes at its top.
        entries_of: Reads a directory of one step, or the paths that hold a text.
    """

    _esm = "".join((_HERE / name).read_text("utf-8") for name in ("elements.js", "filetree.js", "layers.js"))
    _css = (_HERE.parent / "theme.css").read_text() + (_HERE / "layers.css").read_text()

    view = traitlets.Dict().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(self, view: dict[str, Any], entries_of: EntriesOf) -> None:
        # Open where something is to be seen: at the last instruction that changed files.
        with_files = [number for number, step in enumerate(view["steps"]) if not step["empty"]]
        super().__init__(view=view, step=max(with_files, default=0))
        self._entries_of = entries_of
        self.on_msg(self._answer)

    def _answer(self, _widget: object, message: dict[str, Any], _buffers: object) -> None:
        if message.get("type") != "entries":
            return
        question = (int(message["step"]), str(message["directory"]), int(message["offset"]), str(message["search"]))
        try:
            page = self._entries_of(*question)
        except LabError as error:
            self.send({**message, "error": error.message})
        else:
            self.send({**message, **page})
