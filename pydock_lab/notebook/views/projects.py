"""`%lab compose`: a Compose project: what waits for what, how its containers are, and what they share.

Read from the labels that Compose writes on what it makes, so it draws projects
of any Compose, on any engine. The drawing is in project_graph.py.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.errors import NotFound
from pydock_lab.notebook.html import Markup, join, scroll, tag
from pydock_lab.notebook.units import plural
from pydock_lab.notebook.views.picture import Picture
from pydock_lab.notebook.views.project_graph import drawing, states

_LABEL = "com.docker.compose."
_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")


def read(connection: Connection, project: str = "") -> dict[str, Any]:
    """Ask for the containers and networks of one project; without a name, of the only one.

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
    short = f"{names[0]}_"
    services: dict[str, dict[str, Any]] = {}
    for entry in listed:
        labels = entry["Labels"]
        name = labels.get(f"{_LABEL}service", "?")
        empty: dict[str, Any] = {"needs": {}, "containers": [], "ports": [], "volumes": [], "networks": []}
        service = services.setdefault(name, {"name": name, "image": entry["Image"], **empty})
        service["needs"] |= _needs(labels.get(f"{_LABEL}depends_on", ""))
        service["containers"].append(_container(entry))
        for kind, found in (("ports", _ports(entry)), ("volumes", _volumes(entry, short)), ("networks", _on(entry))):
            service[kind] += [one for one in found if one not in service[kind]]
    used = {name for service in services.values() for name in service["networks"]}
    networks = [_network(one, short) for one in connection.request("GET", "/networks").json() if one["Name"] in used]
    for service in services.values():
        service["networks"] = sorted(name.removeprefix(short) for name in service["networks"])
    return {
        "project": names[0],
        "services": [services[name] for name in sorted(services)],
        "networks": sorted(networks, key=lambda network: str(network["name"])),
    }


def draw(document: dict[str, Any]) -> Picture:
    """Draw the graph from left (needs nobody) to right, and the table."""
    services, networks = document["services"], document["networks"]
    containers = [container for service in services for container in service["containers"]]
    running = sum(container["state"] == "running" for container in containers)
    ill = sum(container["health"] == "unhealthy" for container in containers)
    summary = (
        f"{document['project']}: {plural(len(services), 'service')}, {running} of "
        f"{plural(len(containers), 'container')} running" + (f", {ill} unhealthy" if ill else "")
    )
    lines = [summary]
    for service in services:
        lines.append(f"  {service['name']} ({service['image']}) {states(service)}{_more(service)}")
    for network in networks:
        lines.append(f"  network {network['name']} {network['subnet']}{' (no way out)' if network['internal'] else ''}")
    html = join(tag("p", summary, class_="pd-title"), drawing(services, networks), _table(services))
    return Picture(f"Project {document['project']}", "\n".join(lines), html, summary)


def _container(entry: dict[str, Any]) -> dict[str, str]:
    health = _HEALTH.search(entry["Status"])
    return {
        "name": entry["Names"][0].lstrip("/"),
        "state": entry["State"],
        "status": entry["Status"],
        "health": health[1] if health else "",
    }


def _ports(entry: dict[str, Any]) -> list[str]:
    """`18080 → 80`; the address too where it is not all of them; IPv6 beside IPv4 is not repeated."""
    found = set()
    for port in entry.get("Ports") or ():
        if port.get("PublicPort"):
            address = "" if port.get("IP") in ("", "0.0.0.0", "::", None) else f"{port['IP']}:"
            kind = "" if port["Type"] == "tcp" else f"/{port['Type']}"
            found.add((port["PublicPort"], f"{address}{port['PublicPort']} → {port['PrivatePort']}{kind}"))
    return [text for _, text in sorted(found)]


def _volumes(entry: dict[str, Any], short: str) -> list[str]:
    """`data → /data`; a directory of the host by its last part, a volume without a name left out."""
    found = []
    for mount in entry.get("Mounts") or ():
        name = str(mount.get("Name") or "")
        if mount["Type"] == "volume" and not re.fullmatch("[0-9a-f]{64}", name):
            found.append(f"{name.removeprefix(short)} → {mount['Destination']}")
        elif mount["Type"] == "bind":
            found.append(f"./{mount['Source'].rpartition('/')[2]} → {mount['Destination']}")
    return sorted(found)


def _on(entry: dict[str, Any]) -> list[str]:
    return list((entry.get("NetworkSettings") or {}).get("Networks") or {})


def _network(network: dict[str, Any], short: str) -> dict[str, Any]:
    pools = (network.get("IPAM") or {}).get("Config") or [{}]
    return {
        "name": network["Name"].removeprefix(short),
        "subnet": pools[0].get("Subnet", ""),
        "internal": bool(network.get("Internal")),
    }


def _more(service: dict[str, Any]) -> str:
    parts = [
        f"needs {', '.join(service['needs'])}" if service["needs"] else "",
        f"ports {', '.join(service['ports'])}" if service["ports"] else "",
        f"volumes {', '.join(service['volumes'])}" if service["volumes"] else "",
        f"on {', '.join(service['networks'])}" if service["networks"] else "",
    ]
    return "".join(f"  {part}" for part in parts if part)


def _needs(text: str) -> dict[str, str]:
    """Read `redis:service_healthy:false,db:service_started`: service → started, healthy or completed."""
    needs = {}
    for part in filter(None, text.split(",")):
        name, _, rest = part.partition(":")
        condition = rest.partition(":")[0].removeprefix("service_") or "started"
        needs[name] = condition.partition("_")[0]
    return needs


def _table(services: list[dict[str, Any]]) -> Markup:
    names = ("Service", "Image", "Waits for", "Containers", "Ports", "Volumes", "Networks")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    rows = [
        tag(
            "tr",
            tag("th", service["name"], scope="row"),
            tag("td", service["image"]),
            tag("td", ", ".join(f"{need} ({condition})" for need, condition in service["needs"].items()) or "nobody"),
            tag("td", *(tag("div", f"{c['name']}: {c['status'] or c['state']}") for c in service["containers"])),
            *(tag("td", *(tag("div", one) for one in service[key])) for key in ("ports", "volumes", "networks")),
        )
        for service in services
    ]
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="pd-table")
    return tag("details", tag("summary", "As a table"), scroll(table, "Table"))
