"""`%lab storage CONTAINER`: where a container's files live, and what `rm` takes with it.

Four places: the image's layers (read-only), the container's own writable layer,
volumes, and directories of the host. Left open while the container is removed, the
picture shows what went and what stayed.
"""

from __future__ import annotations

from typing import Any

from pydock_lab.client.commands.failure import EngineError
from pydock_lab.client.connection import Connection
from pydock_lab.notebook.html import Markup, join, scroll, tag
from pydock_lab.notebook.units import byte_count, plural
from pydock_lab.notebook.views.launch import short_ids
from pydock_lab.notebook.views.picture import Picture

_LISTED = 10
_MARKS = {"A": ("+", "new"), "C": ("~", "copied up from the image, then changed"), "D": ("−", "hides the image's")}
_KINDS = {"volume": "named volume", "anonymous": "anonymous volume", "bind": "bind mount", "tmpfs": "tmpfs"}
# Whether what lies there is still there after: stop, rm, rm -v.
_FATES = {
    "image": (True, True, True),
    "layer": (True, False, False),
    "volume": (True, True, True),
    "anonymous": (True, True, False),
    "bind": (True, True, True),
    "tmpfs": (False, False, False),
}


class Reader:
    """Asks for one container's storage, and remembers it when the container is gone.

    Args:
        container: Its name or id.
    """

    def __init__(self, container: str) -> None:
        self._container = container
        self._last: dict[str, Any] | None = None

    def __call__(self, connection: Connection) -> dict[str, Any]:
        """Return what `draw` draws.

        Raises:
            EngineError: there never was such a container.
        """
        try:
            document: dict[str, Any] = connection.lab(
                f"containers/{self._last['id'] if self._last else self._container}/storage"
            )
        except EngineError as error:
            if error.status_code != 404 or self._last is None:
                raise
            document = self._last | {"state": "removed"}
            document["mounts"] = [mount | {"gone": not _is_there(mount, connection)} for mount in self._last["mounts"]]
            return document
        self._last = document
        return document


def _is_there(mount: dict[str, Any], connection: Connection) -> bool:
    if mount["type"] != "volume":
        return bool(mount["type"] == "bind")
    try:
        connection.request("GET", f"/volumes/{mount['name']}")
    except EngineError as error:
        if error.status_code != 404:
            raise
        return False
    return True


def draw(document: dict[str, Any]) -> Picture:
    """Draw a card for each place, and what becomes of it as a table."""
    places = _places(document)
    removed = document["state"] == "removed"
    own = plural(document["upper"]["count"], "file") + f", {byte_count(document['upper']['size'])}"
    if removed:
        gone = [place["title"] for place in places if place["gone"]]
        stayed = [place["title"] for place in places if not place["gone"]]
        summary = f"{document['name']} is removed. Gone: {', '.join(gone)}. Still there: {', '.join(stayed)}"
    else:
        summary = f"{document['name']} wrote {own} into its own layer; {plural(len(document['mounts']), 'mount')}"
    lines = [summary]
    for place in places:
        lines.append(f"  {place['title']}: {place['text']}")
        lines += [f"      {mark} {path}" for mark, path, _ in place["lines"]]
        lines += [f"      {note}" for note in place["notes"]]
        lines.append(f"      {_fate(place)}")
    html = join(
        tag("p", f"Where the files of {document['name']} live", class_="pd-title"),
        tag("div", *map(_card, places), class_="pd-cards pd-places"),
        tag("p", f"{summary}.", class_="pd-verdict"),
        _table(places),
    )
    return Picture(f"Storage of {document['name']}", "\n".join(lines), html, summary)


def _places(document: dict[str, Any]) -> list[dict[str, Any]]:
    upper, removed = document["upper"], document["state"] == "removed"
    written = [(_MARKS[file["kind"]][0], file["path"], _MARKS[file["kind"]][1]) for file in upper["files"][:_LISTED]]
    notes = ["nothing written yet"] if not written else []
    if upper["count"] > len(written) > 0:
        notes.append(f"and {upper['count'] - len(written):,} more")
    layer = {
        "kind": "layer", "title": "writable layer", "where": upper["path"], "lines": written, "notes": notes,
        "text": f"{plural(upper['count'], 'file')}, {byte_count(upper['size'])}", "gone": removed,
    }  # fmt: skip
    image = {
        "kind": "image", "title": f"image {document['image']}", "where": "", "lines": [], "notes": [], "gone": False,
        "text": f"{plural(document['layers'], 'layer')}, read-only: no container changes them",
    }  # fmt: skip
    return [layer, *(_mounted(mount) for mount in document["mounts"]), image]


def _mounted(mount: dict[str, Any]) -> dict[str, Any]:
    kind = "anonymous" if mount["anonymous"] else mount["type"]
    name = f" {mount['name'][:12] if kind == 'anonymous' else mount['name']}" if mount["type"] == "volume" else ""
    size = "in memory" if mount["size"] is None else f"{plural(mount['files'], 'file')}, {byte_count(mount['size'])}"
    notes = [] if mount["writable"] else ["read-only in the container"]
    if mount["image_has_count"] and mount["copied"]:
        there = f"{mount['image_has_count']} of the image's own"
        notes.append(f"an empty volume is filled with what the image has there ({there})")
    elif mount["image_has_count"]:
        names = ", ".join(mount["image_has"][:4]) + (", …" if mount["image_has_count"] > 4 else "")
        notes.append(f"hides what the image has there: {names}")
    return {
        "kind": kind, "title": f"{_KINDS[kind]}{name}", "where": mount["source"], "notes": notes,
        "text": f"at {mount['destination']}, {size}", "lines": [("", each, "") for each in mount["names"][:_LISTED]],
        "gone": bool(mount.get("gone")),
    }  # fmt: skip


def _fate(place: dict[str, Any]) -> str:
    stop, remove, remove_v = _FATES[place["kind"]]
    if not stop:
        return "gone when the container stops"
    if not remove:
        return "docker rm takes it"
    return "stays after docker rm" + ("" if remove_v else ", but docker rm -v and --rm take it")


def _card(place: dict[str, Any]) -> Markup:
    stays = _FATES[place["kind"]][1]
    items = [
        tag(
            "li",
            tag("span", mark or "·", class_=f"pd-{ {'+': 'A', '~': 'C', '−': 'D'}.get(mark, '') }", aria_hidden="true"),
            tag("code", f" {path}"),
            tag("span", f" {text}", class_="pd-soft") if text and text != "new" else None,
            data_key=path,
        )
        for mark, path, text in place["lines"]
    ]
    return tag(
        "article",
        tag("h4", place["title"], class_="pd-title"),
        tag("p", place["text"], class_="pd-note"),
        tag("ul", *items, aria_label=f"Files in {place['title']}") if items else None,
        *(tag("p", note, class_="pd-note") for note in place["notes"]),
        tag("p", tag("code", short_ids(place["where"]), title=place["where"]), class_="pd-where")
        if place["where"]
        else None,
        tag(
            "p",
            "✕ gone" if place["gone"] else ("✓ " if stays else "✕ ") + _fate(place),
            class_=f"pd-fate {'pd-D' if place['gone'] or not stays else 'pd-A'}",
        ),
        class_=f"pd-card pd-of-{place['kind']}" + (" pd-removed" if place["gone"] else ""),
        data_key=place["kind"] + place["title"],
    )


def _table(places: list[dict[str, Any]]) -> Markup:
    names = ("Place", "after stop", "after rm", join("after rm ", tag("span", "-v", style="white-space:nowrap")))
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    rows = []
    for place in places:
        cells = [
            tag("td", "✓ there" if there else "✕ gone", class_="pd-A" if there else "pd-D")
            for there in _FATES[place["kind"]]
        ]
        rows.append(tag("tr", tag("th", place["title"], scope="row"), *cells))
    caption = tag("caption", "What is still there")
    table = tag("table", caption, tag("thead", head), tag("tbody", *rows), class_="pd-table pd-close")
    return scroll(table, "What is still there")
