"""`%lab instances IMAGE`: one image, and each container's own thin layer of changes above it.

Class and instance: the image's layers are there once, read-only, for all of its
containers; what a container writes goes to its upperdir and nowhere else.
"""

from __future__ import annotations

import json
from typing import Any

from pydock_lab.client.connection import Connection
from pydock_lab.notebook.html import Markup, join, tag
from pydock_lab.notebook.units import byte_count, plural
from pydock_lab.notebook.views.launch import short_ids
from pydock_lab.notebook.views.picture import Picture

_CONTAINERS = 12
_CHANGES = 8
_MARKS = {0: ("~", "C", "changed"), 1: ("+", "A", "added"), 2: ("−", "D", "deleted")}


def read(connection: Connection, image: str) -> dict[str, Any]:
    """Ask for the image, its containers, and what each has changed."""
    found = connection.request("GET", f"/images/{image}/json").json()
    query = {"all": True, "filters": json.dumps({"ancestor": [found["Id"]]})}
    listed = connection.request("GET", "/containers/json", query=query).json()
    containers = []
    for entry in listed[:_CONTAINERS]:
        details = connection.request("GET", f"/containers/{entry['Id']}/json", query={"size": True}).json()
        changes = connection.request("GET", f"/containers/{entry['Id']}/changes").json() or []
        containers.append(
            {
                "id": entry["Id"],
                "name": details["Name"].lstrip("/"),
                "state": details["State"]["Status"],
                "size": details.get("SizeRw") or 0,
                "upper": ((details.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir", ""),
                "changes": [[change["Kind"], change["Path"]] for change in changes[:_CHANGES]],
                "changed": len(changes),
            }
        )
    layers = len((found.get("RootFS") or {}).get("Layers") or [])
    name = (found.get("RepoTags") or [image])[0]
    return {
        "image": name,
        "size": found["Size"],
        "layers": layers,
        "containers": containers,
        "more": len(listed) - len(containers),
    }


def draw(document: dict[str, Any]) -> Picture:
    """Draw the image once, and a card for each container above it."""
    containers = document["containers"]
    count = plural(len(containers) + document["more"], "container")
    own = sum(container["size"] for container in containers)
    once = f"{document['image']} is there once, {byte_count(document['size'])}"
    summary = f"{once}; {count} of it, {byte_count(own)} written by them"
    lines = [f"{summary}:"]
    for container in containers:
        lines.append(f"  {container['name']} ({container['state']}): {byte_count(container['size'])} in its own layer")
        lines += [f"      {_MARKS[kind][0]} {path}" for kind, path in container["changes"]]
    more = tag("p", f"and {plural(document['more'], 'more container')}", class_="pd-note") if document["more"] else None
    nobody = tag("p", "No container is made from it. Run one and watch this place.", class_="pd-note")
    layers = plural(document["layers"], "layer")
    html = join(
        tag("div", *(map(_card, containers) if containers else [nobody]), class_="pd-cards"),
        more,
        tag(
            "div",
            tag("b", document["image"]),
            tag("span", f"{layers}, {byte_count(document['size'])}, read-only, shared by all of the above"),
            class_="pd-floor pd-guest",
        ),
        tag("p", f"{summary}.", class_="pd-verdict"),
    )
    return Picture(f"Containers of {document['image']}", "\n".join(lines), html, summary)


def _card(container: dict[str, Any]) -> Markup:
    state = container["state"]
    mark = "● " if state == "running" else "○ "
    items = [
        tag(
            "li",
            tag("span", _MARKS[kind][0], class_=f"pd-{_MARKS[kind][1]}", aria_hidden="true"),
            tag("span", _MARKS[kind][2], class_="pd-sr"),
            tag("code", f" {path}"),
            data_key=path,
        )
        for kind, path in container["changes"]
    ]
    if left := container["changed"] - len(items):
        items.append(tag("li", f"and {left:,} more", class_="pd-soft"))
    return tag(
        "article",
        tag("h4", container["name"], class_="pd-title"),
        tag("span", mark + state, class_="pd-A" if state == "running" else "pd-soft"),
        tag("p", f"its own layer: {byte_count(container['size'])}", class_="pd-note"),
        tag("ul", *items, aria_label=f"Changes in {container['name']}") if items else tag("p", "nothing written yet"),
        tag("p", tag("code", short_ids(container["upper"]), title=container["upper"]), class_="pd-where")
        if container["upper"]
        else None,
        class_="pd-card",
        data_key=container["id"],
    )
