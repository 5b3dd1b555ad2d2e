"""A pull, push or load as it runs: one bar per layer, and the lines that Docker prints."""

from __future__ import annotations

from pydock_lab.client.commands.session import Progress
from pydock_lab.notebook.html import Bundle, Markup, bar, frame, tag
from pydock_lab.notebook.steady import Steady
from pydock_lab.notebook.units import byte_count


class TransferView:
    """One transfer."""

    def __init__(self) -> None:
        self._layers: dict[str, Progress] = {}
        self._lines: list[str] = []

    def add(self, event: Progress) -> None:
        """Take note of one line of progress."""
        # `3.12: Pulling from library/python`: an id that is a tag, said once, is a line of its own.
        if not event.id or event.status.startswith("Pulling from"):
            self._lines.append(f"{event.id}: {event.status}" if event.id else event.status)
        else:
            self._layers[event.id] = event

    def bundle(self, steady: Steady) -> Bundle:
        """Draw the present state; `steady` makes ids stable where outputs are compared."""
        layers = [f"{key}: {event.status}" for key, event in self._layers.items()]
        head, tail = self._lines[:1], self._lines[1:]
        text = "\n".join([*head, *layers, *tail])
        return steady.bundle(text, str(self._html()))

    def _html(self) -> Markup:
        names = (("Layer", None), ("Status", None), ("", None), ("Bytes", "pd-num"))
        headings = tag("tr", *(tag("th", name, scope="col", class_=kind) for name, kind in names))
        body = tag("tbody", *map(self._row, self._layers.values()))
        table = tag("table", tag("thead", headings), body, class_="pd-table")
        head, tail = self._lines[:1], self._lines[1:]
        return frame(
            *(tag("p", line, class_="pd-title") for line in head),
            table if self._layers else None,
            *(tag("p", line, class_="pd-note") for line in tail),
            label="Transfer",
        )

    def _row(self, event: Progress) -> Markup:
        size = f"{byte_count(event.current)} of {byte_count(event.total)}" if event.total else ""
        return tag(
            "tr",
            tag("td", tag("code", event.id)),
            tag("td", event.status),
            tag("td", bar(event.current / event.total) if event.total else None),
            tag("td", size, class_="pd-num"),
        )
