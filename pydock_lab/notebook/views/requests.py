"""`%lab requests COMMAND`: what a docker command asks the engine over HTTP, and what the engine then does.

The lesson of the architecture, on a real command: the client only sends
requests; everything else happens in the daemon, between a request and its answer.
"""

from __future__ import annotations

from typing import Any

from pydock_lab.notebook.html import Markup, join, scroll, tag
from pydock_lab.notebook.units import plural
from pydock_lab.notebook.views.launch import milliseconds, short, short_ids
from pydock_lab.notebook.views.picture import Picture

_HIDDEN = frozenset({"duration_ns", "steps", "root", "mounts", "namespaces"})


def draw(command: str, events: list[dict[str, Any]]) -> Picture:
    """Draw requests and steps in the order in which they began.

    Args:
        command: As typed, without `docker`.
        events: Of the engine's trace, while the command ran.
    """
    rows = sorted((_row_of(event) for event in events), key=lambda row: row["began_ns"])
    start = rows[0]["began_ns"] if rows else 0
    asked = [row for row in rows if row["request"]]
    end = max((row["began_ns"] + row["took_ns"] for row in rows), default=0)
    summary = f"docker {command}: {plural(len(asked), 'request')} in {milliseconds(end - start)}"
    lines = [summary]
    for row in rows:
        who = "client → API" if row["request"] else f"  {row['who']}"
        lines.append(f"{milliseconds(row['began_ns'] - start):>12}  {who:<14} {row['text']}{row['answer']}")
    names = ("At", "Client → API", "Daemon", "Answer")
    head = tag("tr", *(tag("th", name, scope="col", class_="pd-num" if name == "At" else None) for name in names))
    body = [_tr(row, start) for row in rows]
    table = tag(
        "table", tag("caption", summary), tag("thead", head), tag("tbody", *body), class_="pd-table pd-requests"
    )
    return Picture("Requests", "\n".join(lines), join(scroll(table, "Table")), summary)


def _row_of(event: dict[str, Any]) -> dict[str, Any]:
    data, took = event["data"], event["data"].get("duration_ns", 0)
    if event["kind"] == "request.answered":
        answer = f"  → {data['status']} after {milliseconds(took)}"
        text = f"{data['method']} {short_ids(data['path'])}"
        return {"began_ns": event["at_ns"] - took, "took_ns": took, "request": True, "text": text, "answer": answer,
                "who": "api", "status": data["status"]}  # fmt: skip
    details = ", ".join(f"{key} {short(value)}" for key, value in data.items() if key not in _HIDDEN and value != "")
    steps = f", {plural(len(data['steps']), 'step')}" if data.get("steps") else ""
    text = event["kind"].replace(".", " ") + (f": {details}" if details else "") + steps
    return {"began_ns": event["at_ns"] - took, "took_ns": took, "request": False, "text": text, "answer": "",
            "who": event["source"], "status": 0}  # fmt: skip


def _tr(row: dict[str, Any], start_ns: int) -> Markup:
    at = tag("td", milliseconds(row["began_ns"] - start_ns), class_="pd-num pd-soft")
    if not row["request"]:
        return tag("tr", at, tag("td", ""), tag("td", tag("b", row["who"]), f" {row['text']}"), tag("td", ""))
    colour = "pd-D" if row["status"] >= 400 else "pd-A"
    answer = tag("td", tag("span", str(row["status"]), class_=colour), f" after {milliseconds(row['took_ns'])}")
    return tag("tr", at, tag("td", tag("code", row["text"]), colspan=2), answer, class_="pd-request")
