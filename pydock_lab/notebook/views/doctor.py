"""`%lab doctor`: which boundaries are real on this machine, as a table."""

from __future__ import annotations

from typing import Any

from IPython.display import display

from pydock_lab.client.connection import Connection
from pydock_lab.notebook.html import Markup, frame, stacking, tag
from pydock_lab.notebook.steady import Steady

_MARKS = {"real": ("✓", "pd-A"), "limited": ("~", "pd-C"), "missing": ("✕", "pd-D")}


def show(connection: Connection, steady: Steady) -> None:
    """Examine the engine's machine and show what was found."""
    report = steady.data(connection.lab("doctor"))
    display(steady.bundle(plain(report), str(html(report))), raw=True)


def plain(report: dict[str, Any]) -> str:
    """The report as text."""
    lines = [f"{report['kernel']}, engine as {report['tier']}"]
    for check in report["checks"]:
        lines.append(f"{_MARKS[check['state']][0]} {check['name']:<20} {check['state']:<8} {check['detail']}")
    return "\n".join(lines)


def html(report: dict[str, Any]) -> Markup:
    """The report as a table."""
    rows = []
    for check in report["checks"]:
        mark, colour = _MARKS[check["state"]]
        rows.append(
            tag(
                "tr",
                tag("th", check["name"], scope="row"),
                tag("td", tag("span", f"{mark} {check['state']}", class_=colour), style="white-space:nowrap"),
                tag("td", check["detail"], class_="pd-prose"),
            )
        )
    caption = tag("caption", f"{report['kernel']}, engine as {report['tier']}")
    table = tag("table", caption, tag("tbody", *rows), class_="pd-table pd-stacked")
    return frame(stacking(table), label="Doctor")
