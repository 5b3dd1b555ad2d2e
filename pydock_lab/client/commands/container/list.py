"""`ps`: containers as a table."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.filters import filters_json
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text import humanize
from pydock_lab.client.commands.text.tables import Table

_HEADINGS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "RunningFor": "CREATED",
    "CreatedAt": "CREATED AT",
    "Status": "STATUS",
    "State": "STATE",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
}
_FIELDS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_COMMAND_WIDTH = 20
_MOUNT_WIDTH = 15


def ls(arguments: Arguments, session: Session) -> Result:
    """List containers."""
    template, with_size = arguments.text("format"), arguments.on("size")
    last = 1 if arguments.on("latest") else arguments.number("last")
    query = {
        "all": arguments.on("all") or last > 0,
        "limit": last if last > 0 else None,
        "size": with_size or ".Size" in template,
        "filters": filters_json(arguments),
    }
    documents = session.connection.request("GET", "/containers/json", query=query).json()
    rows = [container_row(document, truncate=not arguments.on("no-trunc")) for document in documents]
    fields = (*_FIELDS, "Size") if with_size else _FIELDS
    table = Table(_HEADINGS, fields, "*formatter.ContainerContext", checked=True)
    found = table.result(rows, template=template, quiet=arguments.on("quiet"))
    found.documents = documents
    found.names = tuple(row["Names"] for row in rows)
    return found


def container_row(document: Mapping[str, Any], *, truncate: bool = True) -> dict[str, Any]:
    """Return a container's fields in the vocabulary of `docker ps --format`."""
    labels: Mapping[str, str] = document.get("Labels") or {}
    mounts = [mount.get("Name") or mount.get("Source") or "" for mount in document.get("Mounts") or ()]
    names = [name.removeprefix("/") for name in document.get("Names") or () if name.count("/") == 1]
    command = str(document.get("Command") or "")
    if truncate:
        command = ellipsis(command, _COMMAND_WIDTH)
        mounts = [ellipsis(mount, _MOUNT_WIDTH) for mount in mounts]
    return {
        "ID": document["Id"][:12] if truncate else document["Id"],
        "Image": _image(document, truncate=truncate),
        "Command": f'"{command}"' if command.isprintable() else json.dumps(command, ensure_ascii=False),
        "CreatedAt": humanize.local_time(document["Created"]),
        "RunningFor": humanize.ago(time.time() - document["Created"]),
        "Status": document.get("Status") or "",
        "State": document.get("State") or "",
        "Ports": displayed_ports(document.get("Ports") or ()),
        "Names": ",".join(names),
        "Size": _size(document),
        "Labels": ",".join(sorted(f"{key}={value}" for key, value in labels.items())),
        "Label": lambda name: labels.get(name, ""),
        "Mounts": ",".join(mounts),
        "LocalVolumes": str(sum(mount.get("Driver") == "local" for mount in document.get("Mounts") or ())),
        "Platform": None,
        "Networks": ",".join((document.get("NetworkSettings") or {}).get("Networks") or {}),
    }


def displayed_ports(ports: Sequence[Mapping[str, Any]]) -> str:
    """`0.0.0.0:8080->80/tcp, 9000-9002/udp`: neighbours that map to themselves become a range."""

    def key(port: Mapping[str, Any]) -> tuple[int, str, int, str]:
        return port["PrivatePort"], port.get("IP") or "", port.get("PublicPort") or 0, port["Type"]

    groups: dict[str, tuple[int, int]] = {}
    shown: list[str] = []
    mapped: list[str] = []
    for port in sorted(ports, key=key):
        private, address, public, protocol = key(port)
        group = protocol
        if address:
            host = f"[{address}]" if ":" in address else address
            if public != private:
                mapped.append(f"{host}:{public}->{private}/{protocol}")
                continue
            group = f"{host}/{protocol}"
        first, last = groups.get(group, (private, private))
        if private > last + 1:
            shown.append(_port_range(group, first, last))
            first = private
        groups[group] = (first, private)
    shown += [_port_range(group, first, last) for group, (first, last) in sorted(groups.items())]
    return ", ".join(shown + mapped)


def ellipsis(text: str, width: int) -> str:
    """Cut a text to a width, with `…` as its last character."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _port_range(group: str, first: int, last: int) -> str:
    address, _, protocol = group.rpartition("/")
    numbers = str(first) if first == last else f"{first}-{last}"
    return f"{address}:{numbers}->{numbers}/{protocol}" if address else f"{numbers}/{protocol}"


def _image(document: Mapping[str, Any], *, truncate: bool) -> str:
    image = str(document.get("Image") or "")
    if not image:
        return "<no image>"
    if truncate:
        short = _short(str(document.get("ImageID") or ""))
        if short and short == _short(image):
            return short
        image = image.partition("@sha256:")[0]
    return image


def _short(identifier: str) -> str:
    return identifier.removeprefix("sha256:")[:12]


def _size(document: Mapping[str, Any]) -> str:
    written, total = document.get("SizeRw") or 0, document.get("SizeRootFs") or 0
    text = humanize.size(written)
    return f"{text} (virtual {humanize.size(total)})" if total > 0 else text
