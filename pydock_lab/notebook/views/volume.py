"""`%lab volume NAME`: one volume's files as the host and every container see them.

Remembers which containers were seen to mount the volume, so that one that is
removed is seen to leave its data behind.
"""

from __future__ import annotations

from typing import Any

from IPython.display import display

from pydock_lab.client.commands.failure import EngineError
from pydock_lab.client.connection import Connection
from pydock_lab.errors import LabError
from pydock_lab.notebook.html import Bundle, Markup, frame, tag
from pydock_lab.notebook.steady import Steady
from pydock_lab.notebook.units import byte_count, plural
from pydock_lab.notebook.views.picture import reached

_GONE = "The container and its writable layer are gone. The volume was never part of them."
_STOPPED = "Not running, so nothing is mounted. Started again, it sees these files again."
_STATES = {"running": "●", "exited": "○", "created": "○", "paused": "‖", "removed": "✕"}


def show(name: str, connection: Connection, steady: Steady, seen: dict[str, Any]) -> None:
    """Display the view: the live one over its still picture.

    Args:
        name: Of the volume.
        connection: For this cell; the live view opens its own.
        steady: Makes ids and times stable where outputs are compared.
        seen: What earlier views of this volume remember.
    """
    from pydock_lab.notebook.widgets.volume import VolumeWidget

    view = VolumeLook(name, connection, seen).read()
    # A connection of its own: the view's thread looks while the cell's commands talk to the engine.
    live = VolumeWidget(view, VolumeLook(name, None, dict(seen)))
    display(live._repr_mimebundle_()[0] | bundle(view, steady), raw=True)


class VolumeLook:
    """Reads one volume, again and again.

    Args:
        name: Of the volume.
        connection: Used by one thread only; None for one of its own, made anew when the engine was gone.
        seen: `created`, of the volume that is remembered, and its `observers` by key; grows.
    """

    def __init__(self, name: str, connection: Connection | None, seen: dict[str, Any]) -> None:
        self.name = name
        self._connection = connection
        self._seen = seen

    def __call__(self) -> dict[str, Any]:
        """Read it for a view that is open already: what goes wrong is shown, not raised."""
        try:
            return self._read_or_gone()
        except LabError as error:
            self._connection = None
            ordered = [self._noted(observer) for observer in self._seen.get("observers", {}).values()]
            return self._document("unknown", ordered, error.message)

    def _read_or_gone(self) -> dict[str, Any]:
        try:
            return self.read()
        except EngineError as error:
            if error.status_code != 404:
                raise
            return self._document("removed", [], f"There is no volume {self.name} any more.")

    def read(self) -> dict[str, Any]:
        """Return the document that widgets/volume.js describes.

        Raises:
            EngineError: there is no such volume.
        """
        if self._connection is None:
            self._connection = reached()
        document = self._connection.lab(f"volumes/{self.name}/files")
        if self._seen.get("created") != document["created"]:  # another volume of the same name
            self._seen.update(created=document["created"], observers={})
        now = {observer["key"]: observer for observer in document["observers"]}
        before = self._seen["observers"]
        gone = {key: {**old, "state": "removed", "files": None} for key, old in before.items() if key not in now}
        self._seen["observers"] = {**before, **gone, **now}
        ordered = [self._noted(observer) for observer in self._seen["observers"].values()]
        return self._document("", ordered, verdict(ordered))

    def _document(self, state: str, observers: list[dict[str, Any]], text: str) -> dict[str, Any]:
        return {"volume": self.name, "state": state, "observers": observers, "verdict": text}

    @staticmethod
    def _noted(observer: dict[str, Any]) -> dict[str, Any]:
        note = ""
        if observer["state"] == "removed":
            note = _GONE
        elif observer["files"] is None:
            note = _STOPPED if observer["kind"] == "container" else "Only root may look into this directory."
        return {**observer, "note": note}


def verdict(observers: list[dict[str, Any]]) -> str:
    """Say in one sentence what the observers prove."""
    looking = [observer for observer in observers if observer["files"] is not None]
    gone = [observer for observer in observers if observer["state"] == "removed"]
    identities = [{file["identity"] for file in observer["files"]} for observer in looking]
    if not looking:
        return "Nobody can look into the volume now."
    files = sum(not file["directory"] for file in looking[0]["files"])
    outlived = f" It has outlived {plural(len(gone), 'container')}." if gone else ""
    if not files:
        return f"The volume is empty.{outlived}"
    if len(looking) == 1:
        return f"The volume holds {plural(files, 'file')} and no running container mounts it.{outlived}"
    if all(identity == identities[0] for identity in identities):
        all_of_them = "Both" if len(looking) == 2 else f"All {len(looking)}"
        same = "file" if files == 1 else f"{files} files"
        return f"{all_of_them} see the same {same}: device and inode numbers are equal, so nothing is copied.{outlived}"
    return f"{len(looking)} observers, and they do not see the same files.{outlived}"


def bundle(view: dict[str, Any], steady: Steady) -> Bundle:
    """The still picture."""
    view = steady.data(view)
    return steady.bundle(plain(view), str(html(view)))


def plain(view: dict[str, Any]) -> str:
    """One block of lines per observer."""
    lines = [f"volume {view['volume']}"]
    for observer in view["observers"]:
        lines.append(f"  {_who(observer)}, at {observer['path']}")
        if observer["note"]:
            lines.append(f"      {observer['note']}")
        for file in observer["files"] or []:
            size = "" if file["directory"] else byte_count(file["size"])
            lines.append(f"      {file['path']:<24} {size:>7}  {_first_line(file)}".rstrip())
    return "\n".join([*lines, view["verdict"]])


def html(view: dict[str, Any]) -> Markup:
    """One row per observer."""
    rows = []
    for observer in view["observers"]:
        files = [
            tag(
                "div",
                tag("code", file["path"] + ("/" if file["directory"] else "")),
                tag("span", f"  {byte_count(file['size'])}  ", class_="pd-soft") if not file["directory"] else None,
                tag("code", _first_line(file), class_="pd-soft"),
            )
            for file in observer["files"] or []
        ]
        rows.append(
            tag(
                "tr",
                tag("th", _who(observer), scope="row"),
                tag("td", tag("code", observer["path"])),
                tag("td", *files, tag("span", observer["note"], class_="pd-soft") if observer["note"] else None),
            )
        )
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Who looks", "Where", "What is seen")))
    caption = tag("caption", f"Volume {view['volume']}")
    table = tag("table", caption, tag("thead", head), tag("tbody", *rows), class_="pd-table")
    return frame(table, tag("p", view["verdict"], style="margin:6px 0 0"))


def _who(observer: dict[str, Any]) -> str:
    if observer["kind"] == "host":
        return str(observer["title"])
    return f"{observer['title']} {_STATES.get(observer['state'], '○')} {observer['state']}"


def _first_line(file: dict[str, Any]) -> str:
    line: str = file["text"].partition("\n")[0]
    return f"“{line[:40]}”" if line else ""
