"""`%lab network`: who is on which network, at which address, and which ports lead in from this host.

On the lab's own engine also what the kernel says: bridges, both ends of each
cable, the way of a packet to each published port, who reaches whom, the rules.

Drawn like a bus plan: a network is a line across, a container a column, a dot
on a line a place on that network.
"""

from __future__ import annotations

from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.notebook.html import Markup, join, scroll, tag
from pydock_lab.notebook.units import plural
from pydock_lab.notebook.views import packet_way
from pydock_lab.notebook.views.picture import Picture

_COLUMNS = 16
_ROW_PX, _COLUMN_PX, _LEFT_PX = 70, 164, 190
_SMALLEST = 0.8
"""Of its natural size; where there is less room, the drawing scrolls."""


def read(connection: Connection) -> dict[str, Any]:
    """Ask for the networks and the running containers."""
    networks = connection.request("GET", "/networks").json()
    containers = connection.request("GET", "/containers/json").json()
    kernel = connection.lab("network") if connection.is_lab else {}
    names = {entry["Id"]: entry["Names"][0].lstrip("/") for entry in containers}
    return {
        "kernel": kernel,
        "links": _links(kernel),
        "networks": sorted((_network(network) for network in networks), key=lambda network: _rank(network)),
        "containers": [_container(entry, names) for entry in containers],
    }


def draw(document: dict[str, Any]) -> Picture:
    """Draw the plan and its tables."""
    networks, containers = document["networks"], document["containers"]
    on = plural(len([n for n in networks if n["driver"] not in ("null", "host")]), "network")
    summary = f"{plural(len(containers), 'running container')} on {on}"
    kernel, links = document["kernel"], document["links"]
    published = kernel.get("published", [])
    html = join(
        tag("p", summary, class_="pd-title"),
        _drawing(networks, containers[:_COLUMNS], links),
        packet_way.ways(published),
        packet_way.reach(kernel.get("reach", []), sorted({one["name"] for one in containers if one["addresses"]})),
        packet_way.rules(kernel.get("rules", []), kernel.get("backend", "")),
        _table(networks, containers),
    )
    plain = [summary, *_plain(networks, containers), *packet_way.plain(published)]
    return Picture("Networks", "\n".join(plain), html, summary)


def _links(kernel: dict[str, Any]) -> dict[str, str]:
    """Names in the kernel of bridges and cables: `{"net": "pd1-0", "net/web": "eth0, pd1v23"}`."""
    found = {}
    for network in kernel.get("networks", ()):
        if network["bridge"]:
            found[network["name"]] = network["bridge"]["name"]
        for container in network["containers"]:
            outside, inside = container["outside"], container["inside"]
            if outside:
                found[f"{network['name']}/{container['name']}"] = (
                    f"{inside['name'] if inside else '?'}, {outside['name']}"
                )
    return found


def _network(network: dict[str, Any]) -> dict[str, Any]:
    pools = (network.get("IPAM") or {}).get("Config") or []
    options = network.get("Options") or {}
    bridge = options.get("com.docker.network.bridge.name") or ""
    return {
        "name": network["Name"],
        "driver": network["Driver"],
        "subnet": pools[0].get("Subnet", "") if pools else "",
        "gateway": pools[0].get("Gateway", "") if pools else "",
        "bridge": bridge,
        "internal": bool(network.get("Internal")),
    }


def _rank(network: dict[str, Any]) -> tuple[int, str]:
    """The host's network first, `none` last, as the plan is read from the outside in."""
    return {"host": 0, "null": 2}.get(network["driver"], 1), network["name"]


def _container(entry: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    attached = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    ports = {
        f"{port.get('IP') or '0.0.0.0'}:{port['PublicPort']} → {port['PrivatePort']}/{port['Type']}"
        for port in entry.get("Ports") or ()
        if port.get("PublicPort")
    }
    mode = (entry.get("HostConfig") or {}).get("NetworkMode") or ""
    other = mode.removeprefix("container:") if mode.startswith("container:") else ""
    return {
        "id": entry["Id"],
        "name": entry["Names"][0].lstrip("/"),
        "addresses": {name: (endpoint or {}).get("IPAddress", "") for name, endpoint in attached.items()},
        "ports": sorted(ports),
        "shares": names.get(other) or other[:12],
    }


def _plain(networks: list[dict[str, Any]], containers: list[dict[str, Any]]) -> list[str]:
    lines = []
    for network in networks:
        lines.append(f"  {network['name']} ({network['driver']}) {network['subnet']}".rstrip())
        for container in containers:
            if network["name"] in container["addresses"]:
                ports = f"  from the host: {', '.join(container['ports'])}" if container["ports"] else ""
                lines.append(f"      {container['name']:<20} {container['addresses'][network['name']] or '-'}{ports}")
    return [*lines, *(f"  {text}" for text in _sharing(containers))]


def _sharing(containers: list[dict[str, Any]]) -> list[str]:
    """Who is on no network by itself: `docker run --network container:web`."""
    return [
        f"{one['name']} shares the network of {one['shares']}: its addresses, its ports"
        for one in containers
        if one["shares"]
    ]


def _drawing(networks: list[dict[str, Any]], containers: list[dict[str, Any]], links: dict[str, str]) -> Markup:
    shown = [n for n in networks if n["driver"] == "bridge" or any(n["name"] in c["addresses"] for c in containers)]
    width = _LEFT_PX + _COLUMN_PX * max(len(containers), 2) + 10
    bottom = _ROW_PX * len(shown) + 30
    parts: list[Markup] = []
    for row, network in enumerate(shown):
        y = _ROW_PX * row + 26
        parts.append(tag("line", x1=_LEFT_PX - 20, x2=width - 10, y1=y, y2=y, class_="pd-bus"))
        parts.append(tag("text", _cut(network["name"], 24), x=0, y=y - 2, class_="pd-strong"))
        parts.append(tag("text", network["subnet"] or network["driver"], x=0, y=y + 13, class_="pd-label"))
        if bridge := links.get(network["name"]):
            parts.append(tag("text", f"bridge {bridge}", x=0, y=y + 27, class_="pd-label"))
    for column, container in enumerate(containers):
        x = _LEFT_PX + _COLUMN_PX * column + 40
        rows = [row for row, network in enumerate(shown) if network["name"] in container["addresses"]]
        if rows:
            parts.append(tag("line", x1=x, x2=x, y1=_ROW_PX * rows[0] + 26, y2=bottom, class_="pd-wire"))
        for row in rows:
            y = _ROW_PX * row + 26
            parts.append(tag("circle", cx=x, cy=y, r=5, class_="pd-dot"))
            parts.append(tag("text", container["addresses"][shown[row]["name"]], x=x + 8, y=y + 16, class_="pd-label"))
            if cable := links.get(f"{shown[row]['name']}/{container['name']}"):
                parts.append(tag("text", tag("title", cable), _cut(cable, 24), x=x + 8, y=y + 29, class_="pd-label"))
        if container["shares"]:
            told = f"in the network of {_cut(container['shares'], 15)}"
            parts.append(tag("text", told, x=x + 8, y=bottom - 8, class_="pd-label", text_anchor="middle"))
        parts.append(tag("rect", x=x - 49, y=bottom, width=114, height=26, rx=5, class_="pd-box"))
        parts.append(tag("text", _cut(container["name"], 15), x=x + 8, y=bottom + 17, text_anchor="middle"))
        if container["ports"]:
            outside = container["ports"][0].partition(" →")[0].rpartition(":")[2]
            more = f" +{len(container['ports']) - 1}" if len(container["ports"]) > 1 else ""
            parts.append(tag("path", d=f"M{x + 8} {bottom + 50}v-20m-4 5l4 -5l4 5", class_="pd-wire"))
            parts.append(
                tag("text", f"port {outside}{more}", x=x + 8, y=bottom + 64, class_="pd-label", text_anchor="middle")
            )
    if any(container["ports"] for container in containers):
        parts.append(tag("text", "from this host", x=0, y=bottom + 64, class_="pd-label"))
    height = bottom + (72 if any(container["ports"] for container in containers) else 34)
    svg = tag(
        "svg",
        tag("title", "Networks and the containers on them"),
        tag("desc", "The table below says the same."),
        *parts,
        viewBox=f"0 0 {width} {height}",
        role="img",
        class_="pd-drawing",
        style=f"min-width:{_SMALLEST * width:.0f}px;max-width:{width}px",
        xmlns="http://www.w3.org/2000/svg",
    )
    return scroll(svg, "Plan of the networks")


def _table(networks: list[dict[str, Any]], containers: list[dict[str, Any]]) -> Markup:
    head = tag(
        "tr", *(tag("th", name, scope="col") for name in ("Network", "Driver", "Subnet", "Gateway", "Who is on it"))
    )
    rows = []
    for network in networks:
        on = [container for container in containers if network["name"] in container["addresses"]]
        people = [
            tag(
                "div",
                tag("b", container["name"]),
                f" {container['addresses'][network['name']]}",
                *(tag("span", f", host {port}", class_="pd-soft") for port in container["ports"]),
            )
            for container in on
        ]
        name = tag(
            "th",
            network["name"],
            tag("span", " no way out", class_="pd-chip") if network["internal"] else None,
            scope="row",
        )
        cells = [tag("td", network[key]) for key in ("driver", "subnet", "gateway")]
        rows.append(tag("tr", name, *cells, tag("td", *people)))
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="pd-table")
    notes = [tag("p", f"{text}.", class_="pd-note") for text in _sharing(containers)]
    return tag("details", tag("summary", "As a table"), scroll(table, "Table"), *notes)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
