"""`%lab events`: Docker's events on a line of time, a lane for each object they are about."""

from __future__ import annotations

import math
import re
import time
from itertools import pairwise
from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.notebook.html import Markup, join, scroll, tag
from pydock_lab.notebook.units import plural
from pydock_lab.notebook.views.picture import Picture

SPAN_S = 300
_SECOND_NS = 1_000_000_000
_LANES = 14
_LISTED = 40
_LANE_PX, _LEFT_PX, _WIDTH_PX, _CLOCK_PX = 24, 170, 760, 64
_ID = re.compile(r"(?:sha256:)?([0-9a-f]{12})[0-9a-f]{52}")
_LEAST_PX = 860
"""How narrow the drawing may become before it scrolls: its labels stay readable."""
_ENDS = frozenset(
    {"die", "kill", "stop", "destroy", "delete", "untag", "disconnect", "unmount", "oom", "prune", "remove"}
)
_BEGINS = frozenset(
    {"create", "start", "pull", "tag", "load", "import", "mount", "connect", "build", "unpause", "restart"}
)


def read(connection: Connection) -> dict[str, Any]:
    """Ask for the events of the last five minutes."""
    import json

    now_ns = time.time_ns()
    query = {"since": _api_time(now_ns - SPAN_S * _SECOND_NS), "until": _api_time(now_ns)}
    with connection.request("GET", "/events", stream=True, query=query) as response:
        events = [json.loads(line) for line in response.iter_lines() if line.strip()]
    return {"now_ns": now_ns, "events": [_event(event) for event in events]}


def _api_time(at_ns: int) -> str:
    """Seconds with nine decimals, as the API takes them."""
    return f"{at_ns // _SECOND_NS}.{at_ns % _SECOND_NS:09}"


def draw(document: dict[str, Any]) -> Picture:
    """Draw the lanes, and the events as a table, newest first."""
    events = document["events"]
    summary = plural(len(events), "event") + f" in the last {SPAN_S // 60} minutes"
    last = f"; the last: {events[-1]['type']} {events[-1]['name']} {events[-1]['action']}" if events else ""
    lines = [summary]
    lines += [
        f"  {_clock(event['at_ns'])}  {event['type']:<10} {event['action']:<16} {event['name']}"
        for event in events[-_LISTED:]
    ]
    html = join(tag("p", summary, class_="pd-title"), _drawing(document) if events else None, _table(events))
    return Picture("Events", "\n".join(lines), html, summary + last)


def _event(event: dict[str, Any]) -> dict[str, Any]:
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    name = attributes.get("name") or _ID.sub(r"\1", actor.get("ID", ""))  # a volume's id is its name
    at_ns = event.get("timeNano") or event["time"] * _SECOND_NS
    return {
        "at_ns": at_ns,
        "type": event["Type"],
        "name": name,
        "action": event["Action"],
        "exit": attributes.get("exitCode", ""),
    }


def _clock(at_ns: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at_ns / 1e9))


def _drawing(document: dict[str, Any]) -> Markup:
    lanes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in document["events"]:
        lanes.setdefault((event["type"], event["name"]), []).append(event)
    shown = dict(list(lanes.items())[-_LANES:])
    places = _places(sorted({event["at_ns"] for lane in shown.values() for event in lane}), document["now_ns"])
    height = _LANE_PX * len(shown) + 26
    parts: list[Markup] = []
    for number, ((kind, name), lane) in enumerate(shown.items()):
        y = _LANE_PX * number + 14
        label = f"{kind} {name}"
        label = label if len(label) <= 26 else label[:25] + "…"
        parts.append(tag("text", label, x=0, y=y + 4, class_="pd-label"))
        parts.append(tag("line", x1=_LEFT_PX, x2=_LEFT_PX + _WIDTH_PX, y1=y, y2=y, class_="pd-lane"))
        parts += [_mark(event, places[event["at_ns"]], y) for event in lane]
    parts += _clocks(places, height)
    svg = tag(
        "svg",
        tag("title", "Events on a line of time"),
        tag("desc", "Time is stretched where much happens. The table below lists the same events."),
        *parts,
        viewBox=f"0 0 {_LEFT_PX + _WIDTH_PX + 4} {height}",
        role="img",
        class_="pd-drawing",
        style=f"min-width:{_LEAST_PX}px",
        xmlns="http://www.w3.org/2000/svg",
    )
    legend = tag(
        "p",
        tag("span", "●", class_="pd-A"), " begins something  ", tag("span", "✕", class_="pd-D"), " ends it  ",
        tag("span", "○", class_="pd-soft"), " is anything else. Time is stretched where much happens.",
        class_="pd-note",
    )  # fmt: skip
    return join(scroll(svg, "Line of time"), legend)


def _places(times_ns: list[int], now_ns: int) -> dict[int, int]:
    """Where each time stands, in pixels: a gap counts by its logarithm, so that a burst and a silence both fit."""
    weights, reached = {times_ns[0]: 0.0}, 0.0
    for before, after in pairwise([*times_ns, max(now_ns, times_ns[-1] + 1)]):
        reached += 0.4 + math.log1p((after - before) / 20e6)
        weights[after] = reached
    return {at: round(_LEFT_PX + 6 + (_WIDTH_PX - 12) * weights[at] / reached) for at in times_ns}


def _clocks(places: dict[int, int], height: int) -> list[Markup]:
    """The time of day below the lanes: at the first event, and wherever there is room for more."""
    marks, free_from = [], 0
    for at_ns, x in places.items():
        if x >= free_from and x < _LEFT_PX + _WIDTH_PX - _CLOCK_PX:
            marks.append(tag("text", _clock(at_ns), x=x - 6, y=height - 4, class_="pd-label"))
            free_from = x + _CLOCK_PX
    end = tag("text", "now", x=_LEFT_PX + _WIDTH_PX, y=height - 4, class_="pd-label", text_anchor="end")
    return [*marks, end]


def _mark(event: dict[str, Any], x: int, y: int) -> Markup:
    """A filled circle begins something, a cross ends it, a ring is anything else."""
    title = tag("title", f"{_clock(event['at_ns'])} {event['action']}")
    action = event["action"].partition(":")[0]
    if action in _ENDS:
        return tag("g", title, tag("path", d=f"M{x - 4} {y - 4}l8 8m0 -8l-8 8"), class_="pd-end")
    return tag("g", title, tag("circle", cx=x, cy=y, r="4.5"), class_="pd-begin" if action in _BEGINS else "pd-other")


def _table(events: list[dict[str, Any]]) -> Markup:
    if not events:
        return tag("p", "Nothing has happened. Run a container and watch this place.", class_="pd-note")
    head = tag("tr", *(tag("th", name, scope="col") for name in ("At", "What", "Which", "Event")))
    rows = [
        tag(
            "tr",
            tag("td", _clock(event["at_ns"]), class_="pd-num"),
            tag("td", event["type"]),
            tag("td", event["name"]),
            tag("td", event["action"], f" (exit status {event['exit']})" if event["exit"] else None),
        )
        for event in reversed(events[-_LISTED:])
    ]
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="pd-table")
    return tag("details", tag("summary", "As a table"), scroll(table, "Table"))
