"""`%lab compose`: the services of a Compose project, what each waits for, and how its containers are.

Read from the labels that Compose writes on what it makes, so it draws projects
of any Compose, on any engine.
"""

from __future__ import annotations

import json
from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.errors import NotFound
from pydock_lab.notebook.html import Markup, join, scroll, tag
from pydock_lab.notebook.units import plural
from pydock_lab.notebook.views.picture import Picture

_LABEL = "com.docker.compose."
_BOX_W, _BOX_H, _GAP_X, _GAP_Y = 170, 58, 90, 22


def read(connection: Connection, project: str = "") -> dict[str, Any]:
    """Ask for the containers of one project; without a name, of the only one.

    Raises:
        NotFound: there is no such project, or several and none was named.
    """
    filters = json.dumps({"label": [f"{_LABEL}project" + (f"={project}" if project else "")]})
    listed = connection.request("GET", "/containers/json", query={"all": True, "filters": filters}).json()
    names = sorted({entry["Labels"][f"{_LABEL}project"] for entry in listed})
    if not names:
        raise NotFound(f"no such project: {project}" if project else "no Compose project has containers")
    if len(names) > 1:
        raise NotFound(f"there are several projects; name one of {', '.join(names)}")
    services: dict[str, dict[str, Any]] = {}
    for entry in listed:
        labels = entry["Labels"]
        name = labels.get(f"{_LABEL}service", "?")
        service = services.setdefault(name, {"name": name, "image": entry["Image"], "needs": {}, "containers": []})
        service["needs"] |= _needs(labels.get(f"{_LABEL}depends_on", ""))
        service["containers"].append(
            {"name": entry["Names"][0].lstrip("/"), "state": entry["State"], "status": entry["Status"]}
        )
    return {"project": names[0], "services": [services[name] for name in sorted(services)]}


def draw(document: dict[str, Any]) -> Picture:
    """Draw the graph from left (needs nobody) to right, and the table."""
    services = document["services"]
    running = sum(container["state"] == "running" for service in services for container in service["containers"])
    total = sum(len(service["containers"]) for service in services)
    summary = (
        f"{document['project']}: {plural(len(services), 'service')}, {running} of {plural(total, 'container')} running"
    )
    lines = [summary]
    for service in services:
        needs = f"  needs {', '.join(service['needs'])}" if service["needs"] else ""
        lines.append(f"  {service['name']} ({service['image']}) {_states(service)}{needs}")
    html = join(tag("p", summary, class_="pd-title"), _drawing(services), _table(services))
    return Picture(f"Project {document['project']}", "\n".join(lines), html, summary)


def _needs(text: str) -> dict[str, str]:
    """Read `redis:service_healthy:false,db:service_started`: service → condition."""
    needs = {}
    for part in filter(None, text.split(",")):
        name, _, rest = part.partition(":")
        needs[name] = rest.partition(":")[0].removeprefix("service_") or "started"
    return needs


def columns(services: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Sort services into columns: everything that one needs stands to the left of it."""
    known = {service["name"]: service for service in services}
    depths: dict[str, int] = {}

    def depth(name: str, above: tuple[str, ...] = ()) -> int:
        if name not in depths:
            needs = [need for need in known[name]["needs"] if need in known and need not in above]
            depths[name] = 1 + max((depth(need, (*above, name)) for need in needs), default=-1)
        return depths[name]

    found: dict[int, list[dict[str, Any]]] = {}
    for name in known:
        found.setdefault(depth(name), []).append(known[name])
    return [found[number] for number in sorted(found)]


def _drawing(services: list[dict[str, Any]]) -> Markup:
    laid_out = columns(services)
    places = {
        service["name"]: (column * (_BOX_W + _GAP_X) + 2, row * (_BOX_H + _GAP_Y) + 2)
        for column, stack in enumerate(laid_out)
        for row, service in enumerate(stack)
    }
    width = len(laid_out) * (_BOX_W + _GAP_X) - _GAP_X + 4
    height = max(map(len, laid_out)) * (_BOX_H + _GAP_Y) - _GAP_Y + 4
    parts: list[Markup] = []
    for service in services:
        x, y = places[service["name"]]
        for need, condition in service["needs"].items():
            if need not in places:
                continue
            from_x, from_y = places[need][0] + _BOX_W, places[need][1] + _BOX_H // 2
            to_y, half = y + _BOX_H // 2, (from_x + x) // 2
            parts.append(
                tag("path", d=f"M{from_x} {from_y}C{half} {from_y} {half} {to_y} {x - 7} {to_y}", class_="pd-wire")
            )
            parts.append(tag("path", d=f"M{x} {to_y}l-8 -4v8z", class_="pd-head"))
            parts.append(
                tag("text", condition, x=half, y=(from_y + to_y) // 2 - 6, class_="pd-label", text_anchor="middle")
            )
    for service in services:
        x, y = places[service["name"]]
        up = any(container["state"] == "running" for container in service["containers"])
        parts.append(tag("rect", x=x, y=y, width=_BOX_W, height=_BOX_H, rx=6, class_="pd-box"))
        parts.append(tag("text", service["name"][:22], x=x + 12, y=y + 22, class_="pd-strong"))
        parts.append(tag("text", service["image"][:24], x=x + 12, y=y + 36, class_="pd-label"))
        parts.append(tag("text", _states(service), x=x + 12, y=y + 50, class_="pd-label pd-up" if up else "pd-label"))
    svg = tag(
        "svg",
        tag("title", "Services and what they wait for"),
        tag("desc", "The table below says the same."),
        *parts,
        viewBox=f"0 0 {width} {height}",
        role="img",
        class_="pd-drawing",
        style=f"min-width:{min(width, 560)}px;max-width:{width}px",
        xmlns="http://www.w3.org/2000/svg",
    )
    return scroll(svg, "Graph of the services")


def _states(service: dict[str, Any]) -> str:
    running = sum(container["state"] == "running" for container in service["containers"])
    return f"{'●' if running else '○'} {running} of {len(service['containers'])} running"


def _table(services: list[dict[str, Any]]) -> Markup:
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Service", "Image", "Waits for", "Containers")))
    rows = [
        tag(
            "tr",
            tag("th", service["name"], scope="row"),
            tag("td", service["image"]),
            tag("td", ", ".join(f"{need} ({condition})" for need, condition in service["needs"].items()) or "nobody"),
            tag("td", *(tag("div", f"{c['name']}: {c['status'] or c['state']}") for c in service["containers"])),
        )
        for service in services
    ]
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="pd-table")
    return tag("details", tag("summary", "As a table"), scroll(table, "Table"))
