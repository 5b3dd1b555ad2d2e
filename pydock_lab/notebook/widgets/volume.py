"""The live view of a volume: one set of files, seen by the host and by every container that mounts it."""

from __future__ import annotations

from pathlib import Path

from pydock_lab.notebook.widgets.watched import WatchedWidget

_HERE = Path(__file__).parent


class VolumeWidget(WatchedWidget):
    """One volume."""

    _esm = "".join((_HERE / name).read_text("utf-8") for name in ("elements.js", "pulse.js", "volume.js"))
    _css = (_HERE.parent / "theme.css").read_text() + (_HERE / "volume.css").read_text()
