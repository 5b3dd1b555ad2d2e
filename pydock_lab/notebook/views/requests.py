"""`%lab requests COMMAND`: what a docker command asks the engine over HTTP, and what the engine then does.

The lesson of the architecture, on a real command: the client only sends
requests; everything else happens in the daemon, between a request and its answer,
and for a pull or push between the daemon and a registry.
"""

from __future__ import annotations

import re
from itertools import dropwhile
from typing import Any
from urllib.parse import urlsplit

from pydock_lab.notebook.html import Markup, join, scroll, stacking, tag
from pydock_lab.notebook.units import byte_count, plural
from pydock_lab.notebook.views.launch import milliseconds, short, short_ids
from pydock_lab.notebook.views.picture import Picture
from pydock_lab.notebook.views.sequence import Message
from pydock_lab.notebook.views.sequence import draw as draw_sequence

# Uploads are named by the registry: at great length, and with its state in the query.
_UPLOAD_ID = re.compile(r"(?<=/uploads/)([\w-]{12})[\w-]+")
_HIDDEN = frozenset({"duration_ns", "steps", "root", "mounts", "namespaces"})


def rows(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make a row of each event of the engine's trace, in the order in which they began.

    What went before the first request was done for somebody else: a health check, say.
    """
    found = sorted((_row_of(event) for event in events), key=lambda row: row["began_ns"])
    return list(dropwhile(lambda row: not row["request"], found)) or found


def draw(command: str, rows: list[dict[str, Any]]) -> Picture:
    """Draw requests and steps.

    Args:
        command: As typed, without `docker`.
        rows: What happened while it ran.
    """
    start = rows[0]["began_ns"] if rows else 0
    asked = [row for row in rows if row["request"]]
    registries = sorted({row["who"] for row in rows if row["registry"]})
    end = max((row["ended_ns"] for row in rows), default=0)
    summary = f"docker {command}: {plural(len(asked), 'request')} in {milliseconds(end - start)}"
    if registries:
        further = [row for row in rows if row["registry"]]
        moved = byte_count(sum(row["bytes"] for row in further))
        summary += f"; {len(further)} from the engine to {', '.join(registries)}, {moved}"
    lines = [summary]
    for row in rows:
        who = "client → API" if row["request"] else f"  → {row['who']}" if row["registry"] else f"  {row['who']}"
        lines.append(f"{milliseconds(row['began_ns'] - start):>12}  {who:<14} {row['text']}{row['answer']}")
    names = ("At", "Client → API", "Daemon", "Answer")
    head = tag("tr", *(tag("th", name, scope="col", class_="pd-num" if name == "At" else None) for name in names))
    body = [_tr(row, start) for row in rows]
    kinds = "pd-table pd-stacked pd-requests"
    table = tag("table", tag("caption", summary), tag("thead", head), tag("tbody", *body), class_=kinds)
    diagram = scroll(_diagram(rows, registries, summary), "Sequence") if registries else None
    return Picture("Requests", "\n".join(lines), join(diagram, stacking(scroll(table, "Table"))), summary)


def _diagram(rows: list[dict[str, Any]], registries: list[str], label: str) -> Markup:
    """Client, engine and every registry; each request and its answer an arrow."""
    messages = []
    for row in rows:
        if not (row["request"] or row["registry"]):
            continue
        source = 0 if row["request"] else 1
        target = 1 if row["request"] else 2 + registries.index(row["who"])
        answer = row["answer"].removeprefix("  → ")
        text = row["text"].split("?")[0]
        messages.append(Message(row["began_ns"], source, target, text))
        messages.append(Message(row["ended_ns"], target, source, answer, answer=True, bad=row["status"] >= 400))
    return draw_sequence(["client", "engine", *registries], messages, label)


def _row_of(event: dict[str, Any]) -> dict[str, Any]:
    data, took = event["data"], event["data"].get("duration_ns", 0)
    row = {"began_ns": event["at_ns"], "ended_ns": event["at_ns"], "who": event["source"], "request": False,
           "registry": False, "answer": "", "status": 0, "bytes": 0}  # fmt: skip
    # A step stands where it was over: a process that was forked ahead of time began before anybody asked for it.
    asked = row | {"began_ns": event["at_ns"] - took}
    if event["kind"] == "request.answered":
        answer = f"  → {data['status']} after {milliseconds(took)}"
        text = f"{data['method']} {short_ids(data['path'])}"
        return asked | {"request": True, "text": text, "answer": answer, "who": "api", "status": data["status"]}
    if event["kind"] == "registry.answered":
        url, moved = urlsplit(data["url"]), data["sent"] + data["received"]
        size = f", {byte_count(moved)} {'sent' if data['sent'] > data['received'] else 'received'}" if moved else ""
        answer = f"  → {data['status']}{size} after {milliseconds(took)}"
        path = _UPLOAD_ID.sub(lambda found: f"{found[1]}…", short_ids(url.path))
        text = f"{data['method']} {path}"
        return asked | {"registry": True, "text": text, "answer": answer, "who": url.netloc, "status": data["status"],
                        "bytes": moved}  # fmt: skip
    details = ", ".join(f"{key} {short(value)}" for key, value in data.items() if key not in _HIDDEN and value != "")
    steps = f", {plural(len(data['steps']), 'step')}" if data.get("steps") else ""
    return row | {"text": event["kind"].replace(".", " ") + (f": {details}" if details else "") + steps}


def _tr(row: dict[str, Any], start_ns: int) -> Markup:
    at = tag("td", milliseconds(row["began_ns"] - start_ns), class_="pd-num pd-soft")
    if not (row["request"] or row["registry"]):
        done = tag("td", tag("b", row["who"]), f" {row['text']}", class_="pd-prose")
        return tag("tr", at, tag("td", "", class_="pd-spare"), done, tag("td", "", class_="pd-spare"))
    colour = "pd-D" if row["status"] >= 400 else "pd-A"
    status, _, rest = row["answer"].removeprefix("  → ").partition(" ")
    answer = tag("td", tag("span", status.rstrip(","), class_=colour), "," if status.endswith(",") else "", f" {rest}")
    if row["registry"]:
        asked = tag("td", tag("b", f"→ {row['who']}"), " ", tag("code", row["text"]), class_="pd-prose")
        return tag("tr", at, tag("td", "", class_="pd-spare"), asked, answer)
    asked = tag("td", tag("code", row["text"]), colspan=2, class_="pd-prose")
    return tag("tr", at, asked, answer, class_="pd-request")
