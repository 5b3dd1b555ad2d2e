"""`%lab explain CONTAINER`: what the engine did to start a container, step by step, as it was done.

The steps are the launch plan itself: the engine executes, times and records the
same list that is shown here.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.notebook.html import Markup, bar, join, scroll, stacking, tag
from pydock_lab.notebook.units import plural
from pydock_lab.notebook.views.picture import Picture

_HIDDEN = frozenset({"duration_ns", "steps", "root", "mounts"})
_FOLDED = 3
_LONG = re.compile(r"[0-9a-f]{64}")


def read(connection: Connection, container: str) -> Any:
    """Ask for what is remembered of a container; by full id it may be removed already."""
    if re.fullmatch(_LONG, container):
        return connection.lab("trace", subject=container)
    return connection.lab(f"containers/{container}/trace")


def draw(name: str, events: list[dict[str, Any]]) -> Picture:
    """Draw a line per event, and below a launch the steps it took."""
    label = f"How {name} was started"
    if not events:
        text = "Nothing is remembered of it: the engine keeps its record only while it runs."
        return Picture(label, text, tag("p", text))
    rows = _rows(events)
    longest = max((row["took_ns"] for row in rows if row["step"]), default=1) or 1
    total = sum(row["took_ns"] for row in rows if row["step"])
    steps = sum(row["step"] for row in rows)
    summary = f"{plural(steps, 'step')} in {milliseconds(total)}" if steps else "not started yet"
    lines = [f"{name}: {summary}"]
    for row in rows:
        indent = "    " if row["step"] else "  "
        took = milliseconds(row["took_ns"]) if row["took_ns"] else ""
        lines.append(f"{took:>10}{indent}{row['where']:<10} {row['text']}".rstrip())
    head = tag(
        "tr",
        tag("th", "Who", scope="col"),
        tag("th", "What", scope="col"),
        tag("th", "Took", scope="col", class_="pd-num"),
        tag("td", ""),
    )
    table = tag(
        "table",
        tag("caption", f"{label}: {summary}"),
        tag("thead", head),
        tag("tbody", *(_folded(group, longest) for group in _groups(rows))),
        class_="pd-table pd-steps-table pd-stacked",
    )
    return Picture(label, "\n".join(lines), stacking(scroll(table, label)), summary)


def _rows(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for event in events:
        data = event["data"]
        details = ", ".join(
            f"{key} {short(value)}" for key, value in data.items() if key not in _HIDDEN and value != ""
        )
        text = event["kind"].replace(".", " ") + (f": {details}" if details else "")
        took = 0 if data.get("steps") else data.get("duration_ns", 0)
        rows.append({"where": event["source"], "text": text, "took_ns": took, "step": False, "error": ""})
        for step in data.get("steps") or ():
            rows.append(
                {
                    "where": step.get("where", ""),
                    "text": short_ids(step["description"]),
                    "took_ns": step["duration_ns"],
                    "step": True,
                    "error": step.get("error", ""),
                }
            )
    return rows


def _groups(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Put steps of one kind that follow each other together, by their first words; what failed stands alone."""

    def kind(row: dict[str, Any]) -> object:
        return tuple(row["text"].split()[:3]) if row["step"] and not row["error"] else id(row)

    return [list(group) for _, group in groupby(rows, key=kind)]


def _folded(group: list[dict[str, Any]], longest_ns: int) -> Markup:
    """One row, or one that opens to show the many it stands for."""
    if len(group) < _FOLDED:
        return join(*(_row(row, longest_ns) for row in group))
    took = sum(row["took_ns"] for row in group)
    words = " ".join(group[0]["text"].split()[:3])
    items = [tag("li", row["text"], tag("span", f" {milliseconds(row['took_ns'])}", class_="pd-soft")) for row in group]
    details = tag("details", tag("summary", f"{len(group)} × {words} …"), tag("ul", *items))
    return tag(
        "tr",
        tag("td", group[0]["where"], class_="pd-soft"),
        tag("td", details, class_="pd-prose pd-step-of"),
        tag("td", milliseconds(took), class_="pd-num"),
        tag("td", bar(took / longest_ns), class_="pd-spare"),
    )


def _row(row: dict[str, Any], longest_ns: int) -> Markup:
    failed = tag("span", f" ✕ {row['error']}", class_="pd-D") if row["error"] else None
    text = tag("span", row["text"]) if row["step"] else tag("b", row["text"])
    return tag(
        "tr",
        tag("td", row["where"], class_="pd-soft"),
        tag("td", text, failed, class_="pd-prose pd-step-of" if row["step"] else "pd-prose"),
        tag("td", milliseconds(row["took_ns"]) if row["took_ns"] else "", class_="pd-num"),
        tag("td", bar(row["took_ns"] / longest_ns) if row["step"] else None, class_="pd-spare"),
    )


def short_ids(text: str) -> str:
    """Cut ids to the twelve digits that Docker shows."""
    return _LONG.sub(lambda match: match[0][:12], text)


def short(value: Any) -> str:
    """Write a value of a trace event in little room."""
    if isinstance(value, dict):
        text = ", ".join(f"{key} {short(item)}" for key, item in value.items())
    elif isinstance(value, list):
        text = ", ".join(short(item) for item in value)
    else:
        text = short_ids(str(value))
    return text if len(text) <= 160 else text[:159] + "…"


def milliseconds(duration_ns: int) -> str:
    """A duration as the trace shows it."""
    return f"{duration_ns / 1e6:.2f} ms"
