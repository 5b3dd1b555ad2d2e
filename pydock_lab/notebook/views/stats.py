"""`%lab stats`: what each container uses now, and has used in the last minute."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.notebook.html import Markup, scroll, stacking, tag
from pydock_lab.notebook.units import byte_count, plural
from pydock_lab.notebook.views.picture import Picture

_SAMPLES = 60
_SHOWN = 20
_FIRST_S = 0.25  # between the first two samples: a share of processor time needs both
_WIDTH_PX, _HEIGHT_PX = 160, 30


@dataclass
class _Past:
    cpu: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    memory: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    used_ns: int = 0
    at: float = 0.0


class Reader:
    """Asks for one sample of every running container, and remembers a minute of them."""

    def __init__(self) -> None:
        self._past: dict[str, _Past] = {}

    def __call__(self, connection: Connection) -> list[dict[str, Any]]:
        """Take one sample of each; processor time is counted from the sample before."""
        if not self._past:
            self._sample(connection)
            time.sleep(_FIRST_S)
        return self._sample(connection)

    def _sample(self, connection: Connection) -> list[dict[str, Any]]:
        listed = connection.request("GET", "/containers/json").json()
        rows = []
        for entry in listed[:_SHOWN]:
            query = {"stream": False, "one-shot": True}
            sample = connection.request("GET", f"/containers/{entry['Id']}/stats", query=query).json()
            rows.append(self._row(entry, sample))
        gone = self._past.keys() - {entry["Id"] for entry in listed}
        for container_id in gone:
            del self._past[container_id]
        return rows

    def _row(self, entry: dict[str, Any], sample: dict[str, Any]) -> dict[str, Any]:
        past, now = self._past.setdefault(entry["Id"], _Past()), time.monotonic()
        used_ns = ((sample.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage", 0)
        if past.at:
            past.cpu.append(max(100 * (used_ns - past.used_ns) / 1e9 / max(now - past.at, 1e-3), 0.0))
        past.used_ns, past.at = used_ns, now
        memory = sample.get("memory_stats") or {}
        details = memory.get("stats") or {}
        cache = details.get("total_inactive_file", details.get("inactive_file", 0))
        used = max(memory.get("usage", 0) - cache, 0)
        past.memory.append(used)
        return {
            "id": entry["Id"],
            "name": entry["Names"][0].lstrip("/"),
            "cpu": list(past.cpu),
            "memory": list(past.memory),
            "limit": memory.get("limit", 0),
            "pids": (sample.get("pids_stats") or {}).get("current", 0),
        }


def draw(rows: list[dict[str, Any]]) -> Picture:
    """Draw a line per container with both curves."""
    summary = f"{plural(len(rows), 'container')} running"
    lines = [summary]
    for row in rows:
        lines.append(f"  {row['name']:<24} {_cpu(row):>7} CPU  {byte_count(row['memory'][-1]):>8}  {row['pids']} pids")
    if not rows:
        return Picture(
            "Stats", summary, tag("p", f"{summary}. Start one and watch this place.", class_="pd-note"), summary
        )
    names = ("Container", "CPU", "", "Memory", "", "Limit", "Processes")
    numeric = {"CPU", "Memory", "Limit", "Processes"}
    head = tag(
        "tr",
        *(tag("th", n, scope="col", class_="pd-num" if n in numeric else None) if n else tag("td", "") for n in names),
    )
    body = tag("tbody", *map(_row, rows))
    table = tag("table", tag("caption", summary), tag("thead", head), body, class_="pd-table pd-stacked pd-stats")
    return Picture("Stats", "\n".join(lines), stacking(scroll(table, "Table")), summary)


def _row(row: dict[str, Any]) -> Markup:
    memory = row["memory"]
    return tag(
        "tr",
        tag("th", row["name"], scope="row"),
        tag("td", _cpu(row), class_="pd-num"),
        tag("td", _curve(row["cpu"], max([*row["cpu"], 10.0]))),
        tag("td", byte_count(memory[-1]), class_="pd-num"),
        tag("td", _curve(memory, max([*memory, 1.0]) * 1.2)),
        tag("td", byte_count(row["limit"]) if row["limit"] else "none", class_="pd-num pd-soft pd-spare"),
        tag("td", str(row["pids"]), class_="pd-num pd-spare"),
        data_key=row["id"],
    )


def _cpu(row: dict[str, Any]) -> str:
    return f"{row['cpu'][-1]:.1f}%" if row["cpu"] else "…"


def _curve(values: list[float], top: float) -> Markup:
    """A minute as a line; the number stands beside it."""
    step = _WIDTH_PX / (_SAMPLES - 1)
    begin = _SAMPLES - len(values)
    points = [
        f"{(begin + i) * step:.0f},{(_HEIGHT_PX - 3) * (1 - value / top) + 2:.1f}" for i, value in enumerate(values)
    ]
    line = tag("polyline", points=" ".join(points), class_="pd-curve")
    base = tag("line", x1=0, x2=_WIDTH_PX, y1=_HEIGHT_PX - 1, y2=_HEIGHT_PX - 1, class_="pd-lane")
    return tag(
        "svg", base, line, viewBox=f"0 0 {_WIDTH_PX} {_HEIGHT_PX}", class_="pd-spark", aria_hidden="true",
        xmlns="http://www.w3.org/2000/svg",
    )  # fmt: skip
