"""Docker's documents of a container: inspect, the entry of a list, its networks.

Only shapes and names (Docker's casing is irregular, so every key is written
out). Source: Docker Engine API 1.47, ContainerInspectResponse and
ContainerSummary; compared with dockerd's answers.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from pydock_lab.daemon.engine.containers import ports
from pydock_lab.daemon.engine.containers.launch import Launcher
from pydock_lab.daemon.engine.containers.networking import network_mode
from pydock_lab.daemon.engine.containers.record import Container, MountPoint, Record, State, rfc3339
from pydock_lab.daemon.network.endpoint import Endpoint
from pydock_lab.spec.durations import in_words


def inspect(container: Container, launcher: Launcher) -> dict[str, Any]:
    """Return the document of `GET /containers/{id}/json`, without sizes."""
    record, directory = container.record, launcher.directory(container.id)
    files_there = bool(record.state.started_at_ns)
    document = {
        "Id": record.id,
        "Created": rfc3339(record.created_ns),
        "Path": record.path,
        "Args": record.args,
        "State": state_document(record.state),
        "Image": record.image_id,
        "ResolvConfPath": str(directory / "resolv.conf") if files_there else "",
        "HostnamePath": str(directory / "hostname") if files_there else "",
        "HostsPath": str(directory / "hosts") if files_there else "",
        "LogPath": "" if record.host_config["LogConfig"]["Type"] != "json-file" else str(launcher.log_path(record.id)),
        "Name": f"/{record.name}",
        "RestartCount": record.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": container.exec_ids or None,
        "HostConfig": record.host_config,
        "GraphDriver": _graph_driver(container, launcher),
        "Mounts": [mount_document(point) for point in record.mounts],
        "Config": record.config,
        "NetworkSettings": network_settings(container),
    }
    if record.warnings:
        document["Warnings"] = record.warnings  # ours: what the last start asked for and did not get
    return document


def state_document(state: State) -> dict[str, Any]:
    """Return the State of an inspect document."""
    document: dict[str, Any] = {
        "Status": state.status,
        "Running": state.running or state.status == "restarting",
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_at_ns),
        "FinishedAt": rfc3339(state.finished_at_ns),
    }
    if state.health is not None:
        document["Health"] = state.health
    return document


def mount_document(point: MountPoint) -> dict[str, Any]:
    """Return one entry of Mounts."""
    document: dict[str, Any] = {"Type": point.type}
    if point.name:
        document["Name"] = point.name
    document |= {"Source": point.source, "Destination": point.destination}
    if point.driver:
        document["Driver"] = point.driver
    return document | {"Mode": point.mode, "RW": point.rw, "Propagation": point.propagation}


def network_settings(container: Container) -> dict[str, Any]:
    """Return NetworkSettings; the top-level address is the default bridge's, as Docker keeps it."""
    record = container.record
    endpoints = list(record.endpoints.values())
    default = record.endpoints.get("bridge")
    # Who joins another's network has no place of his own for it.
    own = record.state.running and not network_mode(record).startswith("container:")
    sandbox = record.id[::-1] if own and network_mode(record) != "host" else ""
    return {
        "Bridge": "",
        "SandboxID": sandbox,
        "SandboxKey": f"/proc/{record.state.pid}/ns/net" if own else "",
        "Ports": ports.inspect_ports(record.config, endpoints) if record.state.running else {},
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": default.endpoint_id if default else "",
        "Gateway": default.gateway if default else "",
        "GlobalIPv6Address": default.address6 if default else "",
        "GlobalIPv6PrefixLen": default.prefix6 if default else 0,
        "IPAddress": default.address if default else "",
        "IPPrefixLen": default.prefix if default else 0,
        "IPv6Gateway": default.gateway6 if default else "",
        "MacAddress": default.mac if default else "",
        "Networks": networks_document(record),
    }


def networks_document(record: Record) -> dict[str, Any]:
    """Return network name → EndpointSettings, with addresses while the container runs."""
    return {name: _endpoint(settings, record.endpoints.get(name)) for name, settings in record.networks.items()}


def _endpoint(settings: dict[str, Any], endpoint: Endpoint | None) -> dict[str, Any]:
    return {
        "IPAMConfig": settings.get("IPAMConfig"),
        "Links": settings.get("Links"),
        "Aliases": settings.get("Aliases"),
        "MacAddress": endpoint.mac if endpoint else settings.get("MacAddress") or "",
        "DriverOpts": settings.get("DriverOpts"),
        "NetworkID": settings.get("NetworkID") or "",
        "EndpointID": endpoint.endpoint_id if endpoint else "",
        "Gateway": endpoint.gateway if endpoint else "",
        "IPAddress": endpoint.address if endpoint else "",
        "IPPrefixLen": endpoint.prefix if endpoint else 0,
        "IPv6Gateway": endpoint.gateway6 if endpoint else "",
        "GlobalIPv6Address": endpoint.address6 if endpoint else "",
        "GlobalIPv6PrefixLen": endpoint.prefix6 if endpoint else 0,
        "DNSNames": (endpoint.names or None) if endpoint else None,
    }


def summary(container: Container, links: Iterable[str] = ()) -> dict[str, Any]:
    """Return the entry of `GET /containers/json`, without sizes.

    Args:
        container: Any.
        links: What linking containers call it: `/web/db`.
    """
    record = container.record
    return {
        "Id": record.id,
        "Names": [f"/{record.name}", *links],
        "Image": record.config["Image"],
        "ImageID": record.image_id,
        "Command": " ".join([record.path, *(_quoted(arg) for arg in record.args)]),
        "Created": record.created_ns // 1_000_000_000,
        "Ports": ports.summary_ports(record.config, list(record.endpoints.values())) if record.state.running else [],
        "Labels": container.labels,
        "State": record.state.status,
        "Status": status_text(record.state, time.time()),
        "HostConfig": {"NetworkMode": record.host_config["NetworkMode"]},
        "NetworkSettings": {"Networks": networks_document(record)},
        "Mounts": [mount_document(point) for point in record.mounts],
    }


def status_text(state: State, now: float) -> str:
    """Return what `docker ps` shows: `Up 5 minutes (healthy)`, `Exited (0) 2 hours ago`."""
    if state.status == "created":
        return "Created"
    if state.status == "removing":
        return "Removal In Progress"
    if state.status == "dead":
        return "Dead"
    ended = in_words(now - state.finished_at_ns / 1e9)
    if state.status == "restarting":
        return f"Restarting ({state.exit_code}) {ended} ago"
    if state.status == "exited":
        return f"Exited ({state.exit_code}) {ended} ago" if state.finished_at_ns else ""
    text = f"Up {in_words(now - state.started_at_ns / 1e9)}"
    if state.status == "paused":
        return f"{text} (Paused)"
    if state.health is not None:
        status = state.health["Status"]
        return f"{text} (health: starting)" if status == "starting" else f"{text} ({status})"
    return text


def _quoted(argument: str) -> str:
    return f"'{argument}'" if " " in argument else argument


def _graph_driver(container: Container, launcher: Launcher) -> dict[str, Any]:
    root = launcher.overlay(container)
    return {
        "Data": {
            "LowerDir": ":".join(root.lower),
            "MergedDir": str(launcher.directory(container.id) / "merged"),
            "UpperDir": root.upper,
            "WorkDir": root.work,
        },
        "Name": "overlay2",
    }
