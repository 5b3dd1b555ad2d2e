"""What the panel shows: the engine's objects as rows, with what can be done to each.

Source: Docker Engine API (containers/json, images/json, volumes, networks).
"""

from __future__ import annotations

import re
from typing import Any

from pydock_lab.client.commands.text import humanize
from pydock_lab.client.connection import Connection
from pydock_lab.server import actions

Document = dict[str, Any]

_NO_TAG = "<none>:<none>"
_ANYWHERE = ("", "0.0.0.0", "::", "127.0.0.1", "::1")
_EXIT = re.compile(r"Exited \((\d+)\)")
_HEALTH = re.compile(r"\((healthy|unhealthy|health: starting)\)")
_SHORT = 12


def look(connection: Connection) -> Document:
    """Read everything once.

    Returns:
        `engine` and the rows of `containers`, `images`, `volumes` and `networks`.

    Raises:
        LabError: nobody answers, in Docker's words.
    """
    containers = connection.request("GET", "/containers/json", query={"all": True}).json()
    images = connection.request("GET", "/images/json").json()
    volumes = connection.request("GET", "/volumes").json()["Volumes"] or []
    networks = connection.request("GET", "/networks").json()
    address = connection.address
    return {
        "engine": {"address": address, "name": "pydock_lab" if connection.is_lab else "Docker"},
        "containers": [container(document, is_here=address.startswith("unix://")) for document in containers],
        "images": sorted((row for document in images for row in image_rows(document)), key=_by_name),
        "volumes": sorted((volume(document, containers) for document in volumes), key=_by_name),
        "networks": sorted((network(document, containers) for document in networks), key=_by_name),
    }


def container(document: Document, *, is_here: bool) -> Document:
    """One container's row.

    Args:
        document: Of the list.
        is_here: Its published ports are this machine's.
    """
    name = document["Names"][0].lstrip("/") if document["Names"] else document["Id"][:_SHORT]
    state = document["State"]
    return {
        "id": document["Id"],
        "name": name,
        "state": state,
        "detail": _state_text(state, document.get("Status") or ""),
        "image": _short_reference(document["Image"]),
        "project": (document.get("Labels") or {}).get("com.docker.compose.project", ""),
        "ports": ports(document.get("Ports") or [], is_here=is_here),
        "actions": actions.of_container(name, state),
    }


def ports(documents: list[Document], *, is_here: bool) -> list[Document]:
    """Return the ports, published ones first.

    Returns:
        `text` (`8080 → 80`), and `proxy`: the path below Jupyter's base URL that leads there, or None where it can't.
    """
    found: dict[str, Document] = {}
    for port in sorted(documents, key=lambda port: (not port.get("PublicPort"), port["PrivatePort"])):
        inside = f"{port['PrivatePort']}" + ("" if port["Type"] == "tcp" else f"/{port['Type']}")
        public = port.get("PublicPort")
        if not public:
            found.setdefault(inside, {"text": inside, "proxy": None, "published": False})
            continue
        host = port.get("IP") or ""
        near = host in _ANYWHERE
        text = f"{public} → {inside}" if near else f"{host}:{public} → {inside}"
        proxy = f"proxy/{public}/" if is_here and near and port["Type"] == "tcp" else None
        found.setdefault(text, {"text": text, "proxy": proxy, "published": True})
    return list(found.values())


def image_rows(document: Document) -> list[Document]:
    """One row for each name of an image, or one for an image without."""
    tags = [tag for tag in document.get("RepoTags") or [] if tag != _NO_TAG]
    short = document["Id"].removeprefix("sha256:")[:_SHORT]
    size = humanize.size(document["Size"])
    return [
        {"id": f"{document['Id']} {name}", "name": tag or "no name", "detail": f"{short} · {size}",
         "actions": actions.of_image(name)}
        for tag in tags or [""]
        for name in (tag or short,)
    ]  # fmt: skip


def volume(document: Document, containers: list[Document]) -> Document:
    """One volume's row; `containers` are those of the list."""
    name = document["Name"]
    users = _names(c for c in containers if any(m.get("Name") == name for m in c.get("Mounts") or []))
    anonymous = len(name) == 64 and all(letter in "0123456789abcdef" for letter in name)
    return {
        "id": name,
        "name": f"{name[:_SHORT]}…" if anonymous else name,
        "detail": "anonymous · " * anonymous + (f"used by {users}" if users else "not in use"),
        "actions": actions.of_volume(name),
    }


def network(document: Document, containers: list[Document]) -> Document:
    """One network's row; `containers` are those of the list."""
    name = document["Name"]
    subnets = ", ".join(pool["Subnet"] for pool in (document.get("IPAM") or {}).get("Config") or [])
    users = _names(c for c in containers if name in (c.get("NetworkSettings") or {}).get("Networks", {}))
    return {
        "id": document["Id"],
        "name": name,
        "detail": " · ".join(part for part in (document["Driver"], subnets, users and f"used by {users}") if part),
        "actions": actions.of_network(name),
    }


def _state_text(state: str, status: str) -> str:
    """`running, healthy`, `exited (0)`: no times, which would be old soon."""
    if state == "exited" and (code := _EXIT.search(status)):
        return f"exited ({code[1]})"
    health = _HEALTH.search(status)
    return f"{state}, {health[1].replace('health: ', '')}" if health else state


def _short_reference(reference: str) -> str:
    return reference.removeprefix("sha256:")[:_SHORT] if reference.startswith("sha256:") else reference


def _names(containers: Any) -> str:
    return ", ".join(document["Names"][0].lstrip("/") for document in containers if document["Names"])


def _by_name(row: Document) -> str:
    return str(row["name"])
