"""From what `inspect` says of a container to the request that makes one like it.

Source: Docker Engine API 1.47, ContainerInspect and ContainerCreate: both hold the
same Config and HostConfig; what the engine filled in by itself has to go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHORT = 12


def container_body(document: Mapping[str, Any], fresh: Mapping[str, str]) -> dict[str, Any]:
    """The body of the request.

    Args:
        document: What `inspect` said; `LessonImage`, where there is one, is the image to use instead.
        fresh: Ids of containers that were made again, by their old ids (`--network container:ID`).
    """
    config = dict(document["Config"])
    if config.get("Hostname") == document["Id"][:_SHORT]:
        del config["Hostname"]  # the new one gets its own id's
    config["Image"] = document.get("LessonImage") or config["Image"]
    host = dict(document["HostConfig"])
    host["Mounts"] = [*(host.get("Mounts") or ()), *_unnamed_volumes(document)]
    kind, _, other = host["NetworkMode"].partition(":")
    if kind == "container" and other in fresh:
        host["NetworkMode"] = f"container:{fresh[other]}"
    first = _first_network(document)
    networks = {first: _endpoint(document, first)} if first else {}
    return config | {"HostConfig": host, "NetworkingConfig": {"EndpointsConfig": networks}}


def other_networks(document: Mapping[str, Any]) -> dict[str, Any]:
    """The networks to connect it to afterwards: engines before API 1.44 take one at creation."""
    first = _first_network(document)
    if not first:
        return {}
    return {name: _endpoint(document, name) for name in document["NetworkSettings"]["Networks"] if name != first}


def _first_network(document: Mapping[str, Any]) -> str:
    """The network it was created on, or "" where it has none of its own."""
    mode = document["HostConfig"]["NetworkMode"]
    networks = document["NetworkSettings"]["Networks"]
    wanted = "bridge" if mode == "default" else mode
    return wanted if wanted in networks and wanted not in ("host", "none") else ""


def _endpoint(document: Mapping[str, Any], network: str) -> dict[str, Any]:
    found = document["NetworkSettings"]["Networks"][network]
    aliases = [alias for alias in found.get("Aliases") or () if alias != document["Id"][:_SHORT]]
    return {"Aliases": aliases or None, "IPAMConfig": found.get("IPAMConfig"), "Links": found.get("Links")}


def _unnamed_volumes(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Volumes that came from the image's VOLUME or `-v /path`: the same ones, by their 64 digits."""
    host = document["HostConfig"]
    named = {bind.split(":")[1] for bind in host.get("Binds") or () if ":" in bind}
    named |= {mount["Target"] for mount in host.get("Mounts") or ()}
    return [
        {"Type": "volume", "Source": mount["Name"], "Target": mount["Destination"], "ReadOnly": not mount["RW"]}
        for mount in document["Mounts"]
        if mount["Type"] == "volume" and mount["Destination"] not in named and not host.get("VolumesFrom")
    ]
